"""The logarithm that is expected of counts, for predictions on the scale on which counts are compared."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

BEFORE, END = 5, 3
"""Log t, relative to one over the mean, below which the integral is told by its power series; and where it ends."""
MAX_LOG_MEAN = 16
"""Log of the largest mean that a device other than the CPU is given, which is not asked for it: to ask is to wait."""
BAND = 2.0
"""Features whose largest means are within this natural log are integrated together."""
MIN_BANDED_VALUES = 2**16
"""Values below which all features are."""


def expected_log1p(
    mean: Tensor,
    theta: Tensor | None = None,
    *,
    scale: Tensor | None = None,
    count: Tensor | None = None,
    kept: Tensor | None = None,
) -> Tensor:
    r"""Expectation of log(1 + s (x + y)) with a Poisson or negative binomial count x and a thinned known count y.

    .. math:: E \log(1 + s X) = \int_0^\infty \frac{e^{-t}}{t} \big(1 - G(e^{-s t})\big)\,dt

    with G the probability generating function; by the trapezoidal rule in log t, at whole numbers, to a thousandth.
    Where t is so small that :math:`1 - G = t\,E[s X]`, the sum of what is left is known. What stands beside a value
    changes it by less than that.

    Parameters
    ----------
    mean, theta
        Mean of x, and its inverse dispersion; None for Poisson.
    scale
        s, 1 by default.
    count, kept
        y is binomial: of how many, and the share that is kept, of the shape of `mean`; no y by default.
    """
    if not mean.numel():
        return torch.zeros_like(mean)
    most = mean.detach() if count is None else mean.detach() + count
    most = most if scale is None else most * scale
    parts = mean, theta, scale, count, kept
    if mean.device.type != "cpu":
        return _integral(MAX_LOG_MEAN, *parts)
    if mean.ndim < 2 or mean.numel() < MIN_BANDED_VALUES:
        return _integral(math.ceil(math.log1p(float(most.max()))), *parts)
    n = mean.shape[-1]
    bands = (most.flatten(0, -2).amax(0).log1p() / BAND).ceil()
    total = torch.full_like(mean, torch.nan)
    for band in bands[bands.isfinite()].unique().tolist():
        at = (bands == band).nonzero()[:, 0]
        own = (each if each is None or each.shape[-1:] != (n,) else each[..., at] for each in parts)
        total[..., at] = _integral(math.ceil(band * BAND), *own)
    return total


def _integral(
    log_mean: int,
    mean: Tensor,
    theta: Tensor | None,
    scale: Tensor | None,
    count: Tensor | None,
    kept: Tensor | None,
) -> Tensor:
    """`expected_log1p` where the log of one more than the mean is at most `log_mean`."""
    first = -BEFORE - log_mean
    level = mean if count is None or kept is None else mean + count * kept
    level = level if scale is None else level * scale
    total = level * (math.exp(first) / (math.e - 1))
    for t in map(math.exp, range(first, END + 1)):
        lost = -math.expm1(-t) if scale is None else -torch.expm1(-t * scale)
        rate = mean * lost
        log_g = -rate if theta is None else -theta * torch.log1p(rate / theta)
        if count is not None and kept is not None:
            log_g = log_g + count * torch.log1p(-(kept * lost).clamp(max=1 - 1e-7))
        total.add_(torch.expm1(log_g), alpha=-math.exp(-t))
    return total
