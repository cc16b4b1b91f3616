"""Unseen batches, and what the base class gives every operator."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from scvcell.measure import Context, Counts, Measurement
from scvcell.testing import example_summary


def context(batch):
    code = torch.tensor(batch)
    return Context(torch.eye(3)[code], code, torch.arange(len(batch)) + 1.0)


def summary(cells):
    from dataclasses import replace

    return replace(example_summary(n_batches=3), cells=np.array(cells))


def test_batches_that_never_had_the_modality_get_the_mean_of_those_that_had():
    operator = Counts(2, summary([5, 0, 7]))
    ctx = context([0, 1, 2])
    known = operator.known(ctx)
    torch.testing.assert_close(known.design, torch.tensor([[1.0, 0, 0], [0.5, 0, 0.5], [0, 0, 1.0]]))
    assert known.batch.tolist()[1] in (0, 2)
    assert ctx.design[1].tolist() == [0, 1, 0], "the given context must not change"


def test_known_leaves_seen_batches_alone():
    operator = Counts(2, summary([5, 1, 7]))
    ctx = context([0, 1, 2])
    assert operator.known(ctx) is ctx


def test_a_panel_is_asked_for_once_and_again_where_it_has_changed(monkeypatch):
    operator, asked = Counts(2, summary([5, 1, 7])), []
    usual = torch.Tensor.all
    monkeypatch.setattr(torch.Tensor, "all", lambda self, *args: asked.append(1) or usual(self, *args))
    ctx = context([0, 1, 2])
    for _ in range(3):
        assert operator.on_panel(ctx) is None
    operator.to(torch.float64)
    assert operator.on_panel(ctx) is None
    assert len(asked) == 1
    operator.panel[1, 0] = False
    assert not operator.on_panel(ctx)[1, 0]
    operator.panel = torch.ones_like(operator.panel)
    assert operator.on_panel(ctx) is None
    state = {**operator.state_dict(), "panel": torch.zeros_like(operator.panel)}
    operator.load_state_dict(state)
    assert not operator.on_panel(ctx).any()
    with torch.inference_mode():
        operator.panel = torch.ones_like(operator.panel)
        assert operator.on_panel(ctx) is None


def test_base_class_sums_forward_over_observed_features():
    class Gaussian(Measurement):
        def forward(self, z, ctx):
            return Normal(z.sum(1, keepdim=True).expand(-1, self.n_features), 2.0)

    operator = Gaussian(2, example_summary(4, 3))
    x, z, ctx = torch.randn(3, 4), torch.randn(3, 2), context([0, 1, 2])
    mask = torch.tensor([True, False, True, True])
    expected = Normal(z.sum(1, keepdim=True), 2.0).log_prob(x[:, mask]).sum(1)
    torch.testing.assert_close(operator.log_prob(x, z, ctx, mask), expected)
    torch.testing.assert_close(operator.predict(z, ctx)[:, 0], z.sum(1))
    assert float(operator.regulariser()) == 0


def test_abstract_operator_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        Measurement(2, example_summary())
