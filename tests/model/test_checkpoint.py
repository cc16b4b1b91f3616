"""Files of a fit: replaced as a whole, refused where damaged, written where that is cheap."""

import errno

import pytest
import torch

from scvcell.errors import Damaged
from scvcell.model import _checkpoint
from scvcell.model._checkpoint import DONE, EPOCH, STEP, Checkpoint, Progress, differences


def test_differences_are_named_also_where_one_side_lacks_them():
    digest = "0" * 32
    assert differences({"a": 1, "b": digest}, {"b": digest[:-1] + "1", "c": 2}) == [
        "a: 1 then, None now",
        "b: others than then",
        "c: None then, 2 now",
    ]
    assert differences({"a": [1]}, {"a": [1]}) == []


def kept(tmp_path, value, minutes=10.0):
    checkpoint = Checkpoint(tmp_path / "kept", {"seed": 0}, minutes)
    return checkpoint, Progress({"world": 1, "value": value}, {"x": torch.full((1000,), float(value))})


def test_a_full_disk_leaves_the_older_one_whole(tmp_path, monkeypatch, caplog):
    checkpoint, first = kept(tmp_path, 1)
    assert checkpoint.save(first, EPOCH)
    original = torch.save

    def full(what, file):
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    assert not checkpoint.save(kept(tmp_path, 2)[1], EPOCH)
    assert not checkpoint.save(kept(tmp_path, 2)[1], EPOCH)
    assert caplog.text.count("No space left on device") == 1
    assert "Training goes on" in caplog.text
    monkeypatch.setattr(torch, "save", original)
    assert [path.name for path in checkpoint.folder.iterdir()] == ["round-0.epoch.pt"]
    assert checkpoint.load().plain["value"] == 1
    assert checkpoint.save(kept(tmp_path, 3)[1], STEP)
    assert checkpoint.load().plain["value"] == 3
    assert checkpoint.save(kept(tmp_path, 4)[1], DONE)
    assert [path.name for path in checkpoint.folder.iterdir()] == ["round-0.done.pt"]


def test_other_processes_go_on_at_the_end_of_the_last_epoch(tmp_path, caplog):
    checkpoint, first = kept(tmp_path, 1)
    checkpoint.save(first, EPOCH)
    checkpoint.save(kept(tmp_path, 2)[1], STEP)
    assert checkpoint.load(world=2).plain["value"] == 1
    assert "is of 1 processes, now there are 2: the fit goes on from the end of the last epoch" in caplog.text
    assert checkpoint.load(world=1).plain["value"] == 2


def test_one_falls_due_by_the_clock_or_where_it_is_cheap(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(_checkpoint.time, "monotonic", lambda: now[0])
    checkpoint, first = kept(tmp_path, 1, minutes=2)
    assert checkpoint.cheap(), "the first costs nobody knows what"
    checkpoint.save(first, STEP)
    checkpoint.cost = 0.5
    assert not checkpoint.due()
    assert not checkpoint.cheap()
    now[0] = 26.0
    assert checkpoint.cheap(), "half a second of 26 is 2 %"
    now[0] = 121.0
    assert checkpoint.due()


def test_a_damaged_file_is_named(tmp_path):
    checkpoint, first = kept(tmp_path, 1)
    checkpoint.save(first, EPOCH)
    path = checkpoint.path(EPOCH)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(Damaged, match=r"round-0.epoch.pt is damaged. Delete it"):
        checkpoint.load()
