"""Contract tests that every measurement operator must pass, the package's own and third parties'."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scvcell._random import seeded
from scvcell.measure import Columns, Context, Measurement, Summary, widen
from scvcell.testing._require import require

CELLS, FEATURES, LATENT, BATCHES = 12, 8, 4, 2


def example_summary(n_features: int = FEATURES, n_batches: int = BATCHES) -> Summary:
    """A `Summary` of made-up features, to construct an operator in tests."""
    rng = np.random.default_rng(0)
    mean = rng.gamma(2.0, 1.0, n_features)
    return Summary(
        n_features=n_features,
        n_context=n_batches,
        n_batches=n_batches,
        mean_log=np.log1p(np.tile(mean, (n_batches, 1))).astype(np.float32),
        sd_log=np.ones((n_batches, n_features), np.float32),
        depth=np.full(n_batches, mean.sum(), np.float32),
        mean=mean.astype(np.float32),
        cells=np.full(n_batches, 10),
    )


def check_measurement(cls: type[Measurement], options: dict[str, Any] | None = None) -> None:
    """Run an operator through the contract of `Measurement`.

    Checked are: finite log-probability of the right shape; gradients that reach the state; independence of a cell's
    value from the other cells of the mini-batch; masked features ignored; prediction of the right shape, also where the
    depth is unknown; effects that move expected values, where the operator takes them; save and load; new batches,
    which must leave what is predicted of cells of known ones as it is; an encoder input with one row per cell.

    Parameters
    ----------
    cls
        Operator class.
    options
        Options to construct it with.

    Raises
    ------
    AssertionError
        If a check fails; the message says which.
    """
    with seeded(0):
        _check(cls, options or {})


def _check(cls: type[Measurement], options: dict[str, Any]) -> None:
    operator = cls(LATENT, example_summary(), **options).eval()
    x = torch.poisson(torch.full((CELLS, FEATURES), 3.0))
    x[0] = 0
    z = torch.randn(CELLS, LATENT, requires_grad=True)
    batch = torch.arange(CELLS) % BATCHES
    ctx = Context(torch.eye(BATCHES)[batch], batch, x.sum(1))
    value = operator.log_prob(x, z, ctx)
    require(value.shape == (CELLS,), f"log_prob must have shape (cells,), not {tuple(value.shape)}")
    require(bool(torch.isfinite(value).all()), "log_prob must be finite, also for a cell of zeros")
    value.sum().backward()
    require(z.grad is not None and bool((z.grad != 0).any()), "the gradient of log_prob must reach the state")
    _independent(operator, x, z.detach(), ctx, value.detach())
    _masked(operator, x, z.detach(), ctx)
    _predictions(operator, z.detach(), ctx)
    _shifts(operator, z.detach(), ctx.measured(None))
    _save_load(cls, options, operator, x, z.detach(), ctx)
    _new_batches(cls, options, operator, z.detach(), ctx)
    encoded = cls.encoder_input(x.numpy(), x.numpy().mean(0))
    require(encoded.shape == (CELLS, FEATURES), "encoder_input must keep the shape (cells, features)")


def _independent(operator: Measurement, x: torch.Tensor, z: torch.Tensor, ctx: Context, value: torch.Tensor) -> None:
    some = torch.tensor([1, 4])
    with torch.no_grad():
        alone = operator.log_prob(x[some], z[some], ctx.at(some))
    require(torch.allclose(alone, value[some], rtol=1e-4, atol=1e-4), "a cell's log_prob depends on its mini-batch")


def _masked(operator: Measurement, x: torch.Tensor, z: torch.Tensor, ctx: Context) -> None:
    mask = torch.ones(CELLS, FEATURES, dtype=torch.bool)
    mask[:, -1] = False
    other = x.clone()
    other[:, -1] += 1
    with torch.no_grad():
        same = torch.allclose(operator.log_prob(x, z, ctx, mask), operator.log_prob(other, z, ctx, mask), atol=1e-4)
    require(same, "a masked feature changes log_prob")


def _predictions(operator: Measurement, z: torch.Tensor, ctx: Context) -> None:
    with torch.no_grad():
        for context in (ctx, ctx.measured(None)):
            for value in (operator.predict(z, context), operator.predictive(z, context).mean):
                require(value.shape == (CELLS, FEATURES), "predictions must have shape (cells, features)")
                require(bool(torch.isfinite(value).all()), "predictions must be finite, also where depth is unknown")


def _shifts(operator: Measurement, z: torch.Tensor, ctx: Context) -> None:
    """An operator that takes effects: none changes nothing, one on a feature moves that feature's mean."""
    if not operator.responds:
        own = type(operator).shifted is not Measurement.shifted
        require(not own, "an operator that defines `shifted` must say so: responds = True")
        return
    none, one = torch.zeros(FEATURES), torch.eye(FEATURES)[0]
    with torch.no_grad():
        plain, same, moved = (
            d.mean for d in (operator.predictive(z, ctx), *(operator.shifted(z, ctx, s) for s in (none, one)))
        )
    require(torch.allclose(plain, same, rtol=1e-4, atol=1e-5), "shifted by nothing must be the same as predictive")
    require(bool((moved[:, 0] > plain[:, 0]).all()), "shifted must move the expected value of the feature")


def _save_load(
    cls: type[Measurement],
    options: dict[str, Any],
    operator: Measurement,
    x: torch.Tensor,
    z: torch.Tensor,
    ctx: Context,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "operator.pt"
        torch.save(operator.state_dict(), path)
        copy = cls(LATENT, example_summary(), **options).eval()
        copy.load_state_dict(torch.load(path, weights_only=True))
    with torch.no_grad():
        same = torch.equal(copy.log_prob(x, z, ctx), operator.log_prob(x, z, ctx))
    require(same, "an operator must be the same after save and load (register fitted values as buffers)")


def _new_batches(
    cls: type[Measurement], options: dict[str, Any], operator: Measurement, z: torch.Tensor, ctx: Context
) -> None:
    """An operator for one batch more predicts the same of cells of known batches."""
    with torch.no_grad():
        for parameter in operator.parameters():  # what starts at zero would hide where columns go
            parameter.add_(0.1 * torch.randn_like(parameter))
    grown = cls(LATENT, example_summary(n_batches=BATCHES + 1), **options).eval()
    try:
        widen(grown, operator, Columns.of(BATCHES, 1, BATCHES + 1))
    except ValueError as error:
        raise AssertionError(f"an operator must be able to take new batches. {error}") from error
    wider = Context(torch.nn.functional.pad(ctx.design, (0, 1)), ctx.batch, ctx.depth)
    with torch.no_grad():
        before, after = operator.predict(z, ctx), grown.predict(z, wider)
    require(torch.allclose(before, after, rtol=1e-4, atol=1e-5), "new batches change what is predicted of known cells")
