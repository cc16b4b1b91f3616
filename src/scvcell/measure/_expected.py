"""The logarithm that is expected of counts, for predictions on the scale on which counts are compared."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

TERMS = (4, 8, 16, 32)
"""Counts that are summed over, as many as a feature needs; one that needs more is integrated."""
MAX_LEFT = 1e-6
"""Probability of counts that are not summed over."""
BEFORE, END = 6, 3
"""Log t, relative to one over the mean, below which the integral is told by its power series; and where it ends."""
BAND = 2.0
"""Values whose means are within this natural log are integrated together."""
MAX_LOG_MEAN = 16
"""Log of the largest mean that a device other than the CPU is given, which is not asked for it: to ask is to wait."""


def expected_log1p(
    mean: Tensor,
    theta: Tensor | None = None,
    *,
    scale: Tensor | None = None,
    count: Tensor | None = None,
    kept: Tensor | None = None,
) -> Tensor:
    r"""Expectation of log(1 + s (x + y)) with a Poisson or negative binomial count x and a thinned known count y.

    .. math:: E \log(1 + s X) = \sum_k p(k) \log(1 + s k) = \int_0^\infty \frac{e^{-t}}{t} \big(1 - G(e^{-s t})\big)\,dt

    with G the probability generating function. Features of few counts are summed. Others, and values with a y, are
    integrated by the trapezoidal rule in log t, at whole numbers, to a thousandth; where t is so small that
    :math:`1 - G = t\,E[s X]`, the sum of what is left is known. Other devices than the CPU integrate all. What stands
    beside a value changes it by less than the error.

    Parameters
    ----------
    mean, theta
        Mean of x, and its inverse dispersion; None for Poisson.
    scale
        s, 1 by default.
    count, kept
        y is binomial: of how many, and the share that is kept, of the shape of `mean`; no y by default.
    """
    if mean.device.type != "cpu" or not mean.numel():
        return _integral(MAX_LOG_MEAN, mean, theta, scale, count, kept)
    if torch.is_grad_enabled() and any(each is not None and each.requires_grad for each in (mean, theta, scale, kept)):
        return _integrated(mean, theta, scale, count, kept)
    total = torch.empty_like(mean)
    terms = _terms(mean, theta)
    for most in terms.unique().tolist():
        at = (terms == most).nonzero()[:, 0]
        own = _columns(at, len(terms), mean, theta, scale)
        total[..., at] = _summed(most, *own) if most else _integrated(*own)
    if count is not None and kept is not None:
        has = count > 0
        own = [each if each is None else each.expand_as(mean)[has] for each in (mean, theta, scale, count, kept)]
        total[has] = _integrated(*own)
    return total


def _columns(at: Tensor, n: int, *parts: Tensor | None) -> list[Any]:
    """Some of n features of what has a value of each; the rest as it is."""
    return [each if each is None or each.shape[-1:] != (n,) else each[..., at] for each in parts]


def _terms(mean: Tensor, theta: Tensor | None) -> Tensor:
    """How many counts of each feature to sum over, of `TERMS`, 0 where these are too few."""
    largest = _flat(mean).amax(0)
    least = None if theta is None else _flat(theta.expand_as(mean)).amin(0) if theta.ndim > 1 else theta
    p, ratio = _start(largest, least)
    left, terms = 1 - p, torch.zeros_like(largest, dtype=torch.long)
    for k in range(1, TERMS[-1]):
        if k in TERMS:
            terms = torch.where((terms == 0) & (left < MAX_LEFT), k, terms)
        p = p * ratio * _step(k, least)
        left = left - p
    return torch.where((terms == 0) & (left < MAX_LEFT), TERMS[-1], terms)


def _flat(values: Tensor) -> Tensor:
    """Cells x features, of whatever shape."""
    return values.reshape(math.prod(values.shape[:-1]), values.shape[-1])


def _start(mean: Tensor, theta: Tensor | None) -> tuple[Tensor, Tensor]:
    """Probability of 0, and what takes that of k - 1 to that of k but for `_step`."""
    if theta is None:
        return (-mean).exp(), mean
    return (-theta * torch.log1p(mean / theta)).exp(), mean / (mean + theta)


def _step(k: int, theta: Tensor | None) -> Tensor | float:
    return 1 / k if theta is None else (theta + (k - 1)) / k


def _summed(terms: int, mean: Tensor, theta: Tensor | None, scale: Tensor | None) -> Tensor:
    """Sum over so many counts, in place: nothing but products but for the probability of 0."""
    p, ratio = _start(mean, theta)
    total = torch.zeros_like(mean)
    for k in range(1, terms):
        p.mul_(ratio).mul_(_step(k, theta))
        if scale is None:
            total.add_(p, alpha=math.log1p(k))
        else:
            total.addcmul_(p, (k * scale).log1p())
    return total


def _integrated(
    mean: Tensor,
    theta: Tensor | None,
    scale: Tensor | None,
    count: Tensor | None = None,
    kept: Tensor | None = None,
) -> Tensor:
    """The integral, with no more steps for a feature (or value, where there is no other axis) than it needs."""
    most = mean.detach() if count is None else mean.detach() + count
    most = most if scale is None else most * scale
    bands = (_flat(most).amax(0).log1p() / BAND).ceil()
    total = torch.full_like(mean, torch.nan)
    for band in bands[bands.isfinite()].unique().tolist():
        at = (bands == band).nonzero()[:, 0]
        total[..., at] = _integral(math.ceil(band * BAND), *_columns(at, len(bands), mean, theta, scale, count, kept))
    return total


def _integral(
    log_mean: int,
    mean: Tensor,
    theta: Tensor | None,
    scale: Tensor | None,
    count: Tensor | None,
    kept: Tensor | None,
) -> Tensor:
    """The integral where the log of one more than the mean is at most `log_mean`."""
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
