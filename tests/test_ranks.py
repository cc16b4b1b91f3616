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
