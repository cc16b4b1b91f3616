"""A mini-batch goes to a device whole, and says where its cells are."""

import numpy as np
import pytest
import torch

from scvcell.measure import Context
from scvcell.state import Batch, Observed


@pytest.fixture
def batch():
    rows = {"rna": np.array([0, 2]), "age": np.array([0, 1, 2])}
    observed = {
        name: Observed(
            torch.from_numpy(own),
            torch.ones(len(own), 4),
            torch.ones(len(own), 2),
            torch.full((len(own),), 4.0),
            torch.ones(len(own), 4, dtype=torch.bool) if name == "rna" else None,
        )
        for name, own in rows.items()
    }
    code = torch.tensor([0, 1, 1])
    host = (rows, ["rna"], code.numpy())
    return Batch(torch.tensor([7, 5, 9]), Context(torch.eye(2)[code], code), observed, torch.ones(3), host, 3)


def test_its_layout_is_made_once_of_what_the_host_keeps(batch):
    assert len(batch) == 3
    assert batch.layout is batch.layout
    assert batch.layout.counts.tolist() == [1, 0, 1]
    keep, at, stands_for = batch.layout.whole.meets["rna"]
    assert stands_for is None
    assert keep.tolist() == [0, 1]
    assert at.tolist() == [0, 2]
    assert batch.layout.pairs == []


def test_every_tensor_moves_and_nothing_else(batch):
    moved = batch.to("meta")
    tensors = [moved.index, moved.context.design, moved.context.batch, moved.confidence]
    for name, one in moved.observed.items():
        before = batch.observed[name]
        for part in ("rows", "x", "scores", "depth", "mask"):
            value, old = getattr(one, part), getattr(before, part)
            assert (value is None) == (old is None)
            if value is not None:
                assert (value.shape, value.dtype) == (old.shape, old.dtype)
                tensors.append(value)
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert moved.layout.counts.device.type == "meta"
    assert moved.host is batch.host
    assert batch.index.device.type == batch.layout.counts.device.type == "cpu"


@pytest.mark.parametrize("sparse", [False, True])
def test_a_gpu_is_given_page_locked_memory_and_not_waited_for(batch, monkeypatch, sparse):
    """No GPU is needed to see what is asked for: each tensor is pinned, and copied without waiting."""
    if sparse:
        for o in batch.observed.values():
            object.__setattr__(o, "x", o.x.to_sparse().coalesce())
    asked = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda values: asked.append("pinned") or values + 0)
    monkeypatch.setattr(torch.Tensor, "to", lambda values, device, **how: asked.append((device, how)) or values)
    pinned, n = batch.pinned(), 15 if sparse else 13
    assert asked == ["pinned"] * n
    moved = pinned.to("cuda:0")
    assert asked[n:] == [("cuda:0", {"non_blocking": True})] * n
    for name, o in batch.observed.items():
        assert moved.observed[name].x.is_sparse == sparse
        assert torch.equal(moved.observed[name].x.to_dense(), o.x.to_dense())
    asked.clear()
    batch.to("cpu")
    assert set(map(str, asked)) == {str(("cpu", {"non_blocking": False}))}


def test_where_all_pairs_can_be_relied_on_there_is_no_confidence_to_move(batch):
    sure = Batch(batch.index, batch.context, batch.observed, None, batch.host, 3)
    assert sure.to("meta").confidence is None
