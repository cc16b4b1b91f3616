"""What is known of cells beside their values."""

import torch

from scvcell.measure import Context, Scale


def context(batch):
    code = torch.tensor(batch)
    return Context(torch.eye(3)[code], code, torch.arange(len(batch)) + 1.0)


def test_context_rows_and_depth():
    ctx = context([0, 1, 2, 1])
    some = ctx.at(torch.tensor([3, 0]))
    assert some.batch.tolist() == [1, 0]
    assert some.depth.tolist() == [4.0, 1.0]
    assert ctx.measured(None).depth is None
    assert ctx.measured(None).at(torch.tensor([1])).depth is None


def test_rows_may_come_twice_and_the_given_context_stays():
    ctx = context([0, 1, 2])
    twice = ctx.at(torch.tensor([1, 1]))
    assert twice.design.tolist() == [[0, 1, 0]] * 2
    other = ctx.measured(torch.zeros(3))
    assert (other.depth.tolist(), ctx.depth.tolist()) == ([0, 0, 0], [1, 2, 3])
    assert other.design is ctx.design


def test_scales_are_their_names():
    assert [str(scale) for scale in Scale] == ["cell", "spot", "niche", "sample"]
    assert Scale("spot") is Scale.SPOT
