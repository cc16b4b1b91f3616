"""Effects of conditions by their likeness: best linear unbiased prediction, one Gaussian process a feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating]

REACH = 0.3
"""Length scale of the likeness of contexts, as a share of their median squared distance."""
STEPS = 80
FEATURES = 400
"""Features from which the shares of variance are learned at most, those with the strongest effects."""
BLOCK = 256


@dataclass(frozen=True)
class Units:
    """Conditions: what was done in which context.

    Attributes
    ----------
    exposure
        Strength of every target, ``(units, targets)``.
    level
        Log dose of every target as a share of the largest, 0 where it was not given, same shape.
    time
        Log of the time as a share of the longest, ``(units,)``.
    place
        Mean state of the context's controls, ``(units, latent)``.
    """

    exposure: Array
    level: Array
    time: Array
    place: Array

    def __len__(self) -> int:
        return len(self.exposure)

    def take(self, rows: NDArray[np.integer] | list[int]) -> Units:
        """Some of the units."""
        return Units(self.exposure[rows], self.level[rows], self.time[rows], self.place[rows])


def kernels(a: Units, b: Units, spread: float) -> dict[str, Array]:
    """What makes two conditions alike, each ``(a, b)``.

    Parameters
    ----------
    a, b
        Conditions.
    spread
        Median squared distance between contexts.
    """
    given_a, given_b = (u.exposure > 0 for u in (a, b))
    targets = a.exposure @ b.exposure.T
    context = np.exp(-((a.place[:, None] - b.place[None]) ** 2).sum(-1) / (REACH * spread))
    dosing = np.exp(
        -0.5 * ((a.level[:, None] - b.level[None]) ** 2 * (given_a[:, None] & given_b[None])).sum(-1)
        - 0.5 * (a.time[:, None] - b.time[None]) ** 2
    )
    same = (given_a[:, None] == given_b[None]).all(-1).astype(float)
    any_target = np.minimum(a.exposure.sum(1)[:, None], 1) * np.minimum(b.exposure.sum(1)[None], 1)
    return {
        "shared": any_target,
        "shared, dose and time": any_target * dosing,
        "target": targets,
        "target in context": targets * context,
        "target, dose and time": targets * dosing,
        "combination": same * any_target,
        "combination in context": same * any_target * context * dosing,
    }


@dataclass
class Anchor:
    r"""Effects by a Gaussian process over conditions, one per feature; the shares of variance are common to all.

    .. math::
        y_{g} \sim \mathcal N\big(0,\ v_g \sum_k w_k K_k + \operatorname{diag}(s_g^2)\big), \qquad
        \hat y_{g*} = v_g k_*^\top (v_g K + S_g)^{-1} y_g

    with known sampling noise :math:`s_g^2`. The kernels make a combination the sum of its parts, shrink what is more
    than that, and let like contexts, doses and times answer alike; their weights maximise the marginal likelihood.

    Attributes
    ----------
    units
        Conditions in training.
    y, noise
        Effects and their sampling variance, ``(units, features)``.
    spread
        See `kernels`.
    weights
        Share of variance of each kernel.
    scale
        Variance of the effect of each feature, ``(features,)``.

    References
    ----------
    Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, eq. 2.25, 5.12;
    Henderson, Best linear unbiased estimation and prediction under a selection model, Biometrics 1975.
    """

    units: Units
    y: Array
    noise: Array
    spread: float
    weights: dict[str, float]
    scale: Array

    @classmethod
    def fit(cls, units: Units, y: Array, noise: Array) -> Anchor:
        """Learn the weights from conditions with known effects."""
        apart = ((units.place[:, None] - units.place[None]) ** 2).sum(-1)
        spread = float(np.median(apart[apart > 1e-9])) if (apart > 1e-9).any() else 1.0
        typical = float(np.median((y**2).mean(0)[(y != 0).any(0)])) if (y != 0).any() else 1.0
        trust = 1 / (noise + typical) ** 2
        scale = np.maximum((trust * (y**2 - noise)).sum(0) / trust.sum(0), 0.1 * typical)
        raw = kernels(units, units, spread)
        diagonal = {name: max(float(np.mean(np.diag(k))), 1e-9) for name, k in raw.items()}
        parts = _distinct({name: k / diagonal[name] for name, k in raw.items()})
        weights = _maximise(parts, y, noise, scale) if len(units) > 1 else dict.fromkeys(parts, 1.0 / len(parts))
        return cls(units, y, noise, spread, {n: w / diagonal[n] for n, w in weights.items()}, scale)

    def kernel(self, a: Units, b: Units) -> Array:
        """Weighted sum of the kernels."""
        parts = kernels(a, b, self.spread)
        return sum(weight * parts[name] for name, weight in self.weights.items())  # type: ignore[return-value]

    def predict(self, units: Units) -> tuple[Array, Array]:
        """Mean and variance of the effects of new conditions, each ``(units, features)``."""
        k, cross = self.kernel(self.units, self.units), self.kernel(units, self.units)
        own = np.diag(self.kernel(units, units))
        mean = np.empty((len(units), self.y.shape[1]))
        var = np.empty_like(mean)
        for start in range(0, self.y.shape[1], BLOCK):
            at = slice(start, start + BLOCK)
            cov = self.scale[at, None, None] * k + self.noise[:, at].T[:, :, None] * np.eye(len(k))
            right = self.scale[at, None, None] * np.broadcast_to(cross.T, (cov.shape[0], *cross.T.shape))
            solved = np.linalg.solve(cov, np.concatenate([self.y[:, at].T[:, :, None], right], 2))
            mean[:, at] = np.einsum("gnu,gn->ug", right, solved[:, :, 0])
            var[:, at] = (self.scale[at, None] * own - np.einsum("gnu,gnu->gu", right, solved[:, :, 1:])).T
        return mean, np.maximum(var, 0)


def _distinct(parts: dict[str, Array]) -> dict[str, Array]:
    """Kernels that these conditions can tell apart: of equal ones the first."""
    kept: dict[str, Array] = {}
    for name, k in parts.items():
        if not any(np.allclose(k, other) for other in kept.values()):
            kept[name] = k
    return kept


def _maximise(parts: dict[str, Array], y: Array, noise: Array, scale: Array) -> dict[str, float]:
    """Weights of the kernels by marginal likelihood, over features with the strongest effects."""
    strong = np.argsort(-(scale / np.median(noise, 0)))[:FEATURES]
    k = torch.tensor(np.stack(list(parts.values())))
    target, var = (
        torch.tensor(y[:, strong].T.copy(), dtype=k.dtype),
        torch.tensor(noise[:, strong].T.copy(), dtype=k.dtype),
    )
    size = torch.tensor(scale[strong], dtype=k.dtype)
    log_weight = torch.full((len(k),), -np.log(len(k)), dtype=k.dtype, requires_grad=True)
    log_size = torch.zeros((), dtype=k.dtype, requires_grad=True)
    optimiser = torch.optim.Adam([log_weight, log_size], lr=0.1)
    for _ in range(STEPS):
        total = (torch.softmax(log_weight, 0)[:, None, None] * k).sum(0) * log_size.exp()
        cov = size[:, None, None] * total + torch.diag_embed(var + 1e-6)
        root = torch.linalg.cholesky(cov)
        white = torch.linalg.solve_triangular(root, target[:, :, None], upper=False)
        loss = 0.5 * white.square().sum() + root.diagonal(dim1=1, dim2=2).log().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    weights = (torch.softmax(log_weight, 0) * log_size.exp()).detach().numpy()
    return dict(zip(parts, map(float, weights), strict=True))
