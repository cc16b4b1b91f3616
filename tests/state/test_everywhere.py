"""Cells of all ranks: which have which assays, and whose gradient is whose; two real ranks are in tests/model."""

import numpy as np
import torch

from scvcell.measure import Context
from scvcell.state import Batch, Posterior, Share, _everywhere, gather

SHARES = (
    Share({"a": np.array([0, 1]), "b": np.array([1]), "e": np.array([0])}, ["a", "b"], np.array([0, 1]), None),
    Share(
        {"a": np.array([], np.int64), "b": np.array([0, 2]), "e": np.array([], np.int64)},
        ["a", "b"],
        np.array([0, 1, 0]),
        None,
    ),
)
"""Two ranks: the second has no cell of assay a; e is an endpoint."""


class Others:
    """torch.distributed with one more rank, whose means are known."""

    def __init__(self, mine, theirs):
        self.mine, self.theirs = mine, theirs

    def all_gather(self, parts, value):
        parts[self.mine].copy_(value)
        parts[1 - self.mine].copy_(self.theirs)

    def all_reduce(self, value):
        value.mul_(2)  # the other rank finds the same gradient

    def get_rank(self):
        return self.mine


def test_positions_means_and_gradients_of_both_ranks(monkeypatch):
    own = {"a": torch.arange(4.0).reshape(2, 2), "b": torch.full((1, 2), 9.0)}
    leaf = {name: value.clone().requires_grad_() for name, value in own.items()}
    theirs = torch.tensor([[5.0, 6.0], [7.0, 8.0], [0.0, 0.0]])
    monkeypatch.setattr(_everywhere.torch, "distributed", Others(0, theirs))
    code = torch.tensor([0, 1])
    batch = Batch(torch.tensor([3, 4]), Context(torch.eye(2)[code], code), {}, None, ({}, [], np.zeros(2)), 5, SHARES)
    experts = {name: (torch.arange(len(v)), Posterior(v, torch.ones_like(v))) for name, v in leaf.items()}
    found = gather(batch, experts, 2)
    assert torch.equal(found.means["a"], own["a"])
    assert torch.equal(found.means["b"], torch.cat([own["b"], theirs[:2]]))
    assert found.batch.tolist() == [0, 1, 0, 1, 0]
    (pair,) = found.pairs()
    assert torch.equal(pair[0], own["a"][1:])
    assert torch.equal(pair[1], own["b"])
    assert pair[2].tolist() == [1]
    groups = [(a.tolist(), b.tolist()) for a, b in found.layout.groups["a", "b"]]
    assert groups == [([0], [1, 2]), ([1], [0])], "by batch, also where a rank has the cells of one assay alone"
    (found.means["a"].sum() + 3 * found.means["b"].sum()).backward()
    assert torch.equal(leaf["a"].grad, torch.full((2, 2), 2.0)), "added up over ranks"
    assert torch.equal(leaf["b"].grad, torch.full((1, 2), 6.0))


def test_a_rank_without_any_assay_takes_part(monkeypatch):
    shares = (SHARES[0], Share({m: np.array([], np.int64) for m in "abe"}, ["a", "b"], np.array([1]), None))
    theirs = torch.arange(6.0).reshape(3, 2)
    monkeypatch.setattr(_everywhere.torch, "distributed", Others(1, theirs))
    code = torch.tensor([1])
    batch = Batch(torch.tensor([3]), Context(torch.eye(2)[code], code), {}, None, ({}, [], np.zeros(1)), 3, shares)
    found = gather(batch, {}, 2)
    assert torch.equal(found.means["a"], theirs[:2])
    assert found.means["a"].requires_grad, "or the others would wait for its backward pass"
