"""Which of several processes this one is; two that train together are in tests/model/test_processes.py."""

import sys

import pytest
import torch

from scvcell import _ranks


def test_alone_it_is_the_first_and_only_one():
    assert (_ranks.rank(), _ranks.world()) == (0, 1)


def test_before_torch_is_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    assert (_ranks.rank(), _ranks.world()) == (0, 1)


def test_as_the_launcher_says_until_the_group_is_there(monkeypatch):
    monkeypatch.setattr(_ranks, "EXPECTED", [0])
    _ranks.expect(3)
    assert (_ranks.rank(), _ranks.world()) == (3, 1)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    assert (_ranks.rank(), _ranks.world()) == (1, 2)


def test_others_than_the_first_write_no_model(small, tmp_path, monkeypatch):
    monkeypatch.setattr(_ranks, "EXPECTED", [1])
    assert small.model.save(tmp_path / "model") == tmp_path / "model"
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(_ranks, "EXPECTED", [0])
    small.model.save(tmp_path / "model")
    with pytest.raises(FileExistsError):
        small.model.save(tmp_path / "model")


class Group:
    """Torch's module of process groups, of two of which this one is `number`; what it is told is `notes`."""

    DistNetworkError, DistStoreError = ConnectionError, TimeoutError
    lost = TimeoutError()

    def __init__(self, number, notes):
        self.distributed_c10d, self.number, self.notes = self, number, notes

    def get_world_size(self):
        return 2

    def get_rank(self):
        return self.number

    def _get_default_store(self):
        return self

    def set(self, key, value):
        self.notes[key] = value.encode()

    def get(self, key):
        return self.notes[key]

    def wait(self, keys, timeout):
        if keys[0] not in self.notes:
            raise self.lost


def test_others_wait_for_the_work_of_the_first_and_fail_as_it_does(monkeypatch):
    notes, done = {}, []

    def work(number, error=None):
        monkeypatch.setattr(_ranks, "_group", lambda: Group(number, notes))
        with _ranks.first_alone("Work") as here:
            if here:
                done.append(number)
                if error is not None:
                    raise error

    counts = {}
    for number in (0, 1):
        monkeypatch.setattr(_ranks, "DONE", counts.setdefault(number, {}))
        work(number)
        with pytest.raises(PermissionError, match="not for you"):
            work(number, PermissionError("not for you") if number == 0 else None)
    with pytest.raises(RuntimeError, match="the first process, which did not come to it in 0:30"):
        work(1)
    monkeypatch.setattr(Group, "lost", ConnectionError())
    work(1)  # the first process is at its end
    assert done == [0, 0]
