"""Effects of conditions by their likeness: best linear unbiased prediction, one Gaussian process a feature."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import nnls

from scvcell.response._kernels import START_SHAPE, distinct, kernels, spread_of, strength_of
from scvcell.response._nearest import own_and_others
from scvcell.response._novelty import COMBINATION, novelty

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell._types import Array
    from scvcell.response._conditions import Conditions


N_STEPS = 60
MAX_FEATURES = 400
"""Features from which the shares of variance are learned at most, those with the strongest effects."""
MAX_OPERATIONS = 5e8
"""Sets of features of like noise share one covariance while the shares are learned, so many that this is the work."""
MAX_NOISE_DIFFERENCE = 0.01
"""Relative difference up to which sampling noise is taken for a size of each unit times one of each feature."""
MIN_OWN_SHARE = 0.1
"""Least share of the variance of a feature that is its own, not that of what it has in common with others."""
MAX_ENTRIES = 2**24
"""Numbers in the covariances that are solved at once."""


@dataclass(eq=False, repr=False)
class Anchor:
    r"""Effects by a Gaussian process over conditions, one per feature; the shares of variance are common to all.

    .. math::
        y_{g} \sim \mathcal N\big(0,\ v_g \sum_k w_k K_k + \operatorname{diag}(s_g^2)\big), \qquad
        \hat y_{g*} = v_g k_*^\top (v_g K + S_g)^{-1} y_g

    with known sampling noise :math:`s_g^2`, or a learned share of :math:`v_g` where a condition has no replicate. The
    kernels make a combination the sum of its parts, shrink what is more than that, and let like targets, contexts,
    doses and times answer alike; effects grow with powers of dose and time. Weights, powers and reaches maximise the
    marginal likelihood. Targets are alike as far as their own effects are. A second process predicts those principal
    components of the effects that stand out of the noise, in place of features (coregionalisation).

    The mean of both processes counts. For a target that was never perturbed, or at a dose or time that was not seen of
    the same targets, or for a combination that was not seen, or in a context that is far from all where the action was
    measured, they are weighted with two simple predictions (`own_and_others`). Of contexts the first is the mean over
    those that were measured: the conserved effect, which a process draws to zero where contexts are few.

    Attributes
    ----------
    conditions
        Those in training.
    y, noise
        Effects and their sampling variance, ``(units, features)``.
    spread
        See `kernels`.
    weights
        Share of variance of each kernel.
    shape
        See `START_SHAPE`.
    nugget
        Share of variance that stands for unknown noise.
    scale
        Variance of the effect of each feature, ``(features,)``.
    stack
        By `REGIMES` the weights of `members`; where it has none they are `prior_weights`.

    References
    ----------
    Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, eq. 2.25, 5.12;
    Henderson, Best linear unbiased estimation and prediction under a selection model, Biometrics 1975;
    Bonilla, Chai and Williams, Multi-task Gaussian process prediction, NeurIPS 2007.
    """

    conditions: Conditions
    y: Array
    noise: Array
    spread: float
    weights: dict[str, float]
    shape: dict[str, float]
    nugget: float
    scale: Array
    stack: dict[str, list[float]] = field(default_factory=dict)

    def __repr__(self) -> str:
        n, features = self.y.shape
        return f"Anchor on {n} conditions, {features} features; shares of variance: " + ", ".join(
            f"{name} {share:.2g}" for name, share in self.weights.items()
        )

    @classmethod
    def fit(cls, units: Conditions, y: Array, noise: Array) -> Anchor:
        """Learn from conditions with known effects; the `noise` of one without replicates is NaN."""
        spread = spread_of(units.place) or 1.0
        typical = float(np.median((y**2).mean(0)[(y != 0).any(0)])) if (y != 0).any() else 1.0
        known = np.nan_to_num(noise)
        trust = 1 / (known + typical) ** 2
        scale = np.maximum((trust * (y**2 - known)).sum(0) / trust.sum(0), 0.1 * typical)
        self = cls(units, y, noise, spread, {}, dict(START_SHAPE), 0.0, scale)
        parts = self._parts(units, units, START_SHAPE)
        apart_ones = distinct({name: part / max(float(part.diagonal().mean()), 1e-9) for name, part in parts.items()})
        size = {name: max(float(parts[name].diagonal().mean()), 1e-9) for name in apart_ones}
        self.weights = {name: 1 / len(size) / value for name, value in size.items()}
        if len(units) > 1:
            self._maximise()
        self.noise = self.filled(noise)
        return self

    @cached_property
    def like(self) -> Array:
        """Cosine between the effects of targets, each the ridge estimate of what it adds, ``(targets, targets)``."""
        strength = strength_of(self.conditions, self.shape).numpy()
        reliable = np.sqrt(self.scale) / (self.scale + self.filled(self.noise).mean(0))
        gram = strength.T @ strength + 0.1 * np.eye(strength.shape[1])
        profile = np.linalg.solve(gram, strength.T @ (self.y * reliable))
        profile /= np.maximum(np.linalg.norm(profile, axis=1, keepdims=True), 1e-12)
        return profile @ profile.T

    def filled(self, noise: Array) -> Array:
        """Sampling variances, unknown ones by the learned share."""
        return np.where(np.isnan(noise), self.nugget * self.scale, noise)

    def kernel(self, a: Conditions, b: Conditions) -> Array:
        """Weighted sum of the kernels."""
        parts = self._parts(a, b, self.shape)
        return sum(weight * parts[name].numpy() for name, weight in self.weights.items())  # type: ignore[return-value]

    def predict(self, units: Conditions) -> tuple[Array, Array]:
        """Mean and variance of the effects of new conditions, each ``(units, features)``."""
        members, var = self.members(units)
        weights = [self.stack.get(shift) or prior_weights(shift) for shift in novelty(units, self.conditions)]
        return np.einsum("ukg,uk->ug", members, np.array(weights)), var

    def members(self, units: Conditions) -> tuple[Array, Array]:
        """Predictions ``(units, 4, features)``, and the variance of the process, ``(units, features)``.

        They are those of the process with what features share, of the process of each alone, and the two of
        `own_and_others`; where own says nothing of a combination, both processes do.
        """
        alone, var = self._alone(units)
        together = self._together(units)
        own, others = own_and_others(units, self.conditions, self.y, self.shape, self.noise)
        own = np.where(np.isnan(own), (together + alone) / 2, own)
        return np.stack([together, alone, own, others], 1), var

    def _alone(self, units: Conditions) -> tuple[Array, Array]:
        """Mean and variance by the process of each feature, each ``(units, features)``."""
        k, cross = self.kernel(self.conditions, self.conditions), self.kernel(units, self.conditions)
        own = np.diag(self.kernel(units, units))
        size = self.noise / np.maximum(self.noise[:1], 1e-12)
        if np.allclose(size, size[:, :1], rtol=MAX_NOISE_DIFFERENCE):
            return self._alike(k, cross, own, size[:, 0], self.y, self.noise[0], self.scale)
        mean = np.empty((len(units), self.y.shape[1]))
        var = np.empty_like(mean)
        block = max(MAX_ENTRIES // len(k) ** 2, 1)
        for start in range(0, self.y.shape[1], block):
            at = slice(start, start + block)
            cov = self.scale[at, None, None] * k + self.noise[:, at].T[:, :, None] * np.eye(len(k))
            right = self.scale[at, None, None] * np.broadcast_to(cross.T, (cov.shape[0], *cross.T.shape))
            solved = np.linalg.solve(cov, np.concatenate([self.y[:, at].T[:, :, None], right], 2))
            mean[:, at] = np.einsum("gnu,gn->ug", right, solved[:, :, 0])
            var[:, at] = (self.scale[at, None] * own - np.einsum("gnu,gnu->gu", right, solved[:, :, 1:])).T
        return mean, np.maximum(var, 0)

    @staticmethod
    def _alike(
        k: Array, cross: Array, own: Array, size: Array, y: Array, noise: Array, scale: Array
    ) -> tuple[Array, Array]:
        """`_alone` where the noise is a size of each unit times one of each feature: one eigenbasis serves all."""
        root = np.sqrt(size)
        value, basis = np.linalg.eigh(k / np.outer(root, root))
        known, asked = basis.T @ (y / root[:, None]), (cross / root) @ basis
        gain = scale / (np.maximum(value, 0)[:, None] * scale + noise)
        return asked @ (gain * known), np.maximum(scale * (own[:, None] - asked**2 @ gain), 0)

    def _together(self, units: Conditions) -> Array:
        """Mean by the process of the components that stand out of the noise, and of each feature for the rest."""
        basis, unit, size, noise, scale = self.components
        k, cross = self.kernel(self.conditions, self.conditions), self.kernel(units, self.conditions)
        y = self.y / unit @ basis.T
        columns = np.concatenate([y, self.y - y @ basis * unit], 1)
        found, _ = self._alike(k, cross, np.zeros(len(units)), size, columns, noise, scale)
        return found[:, : len(basis)] @ basis * unit + found[:, len(basis) :]  # type: ignore[no-any-return]

    @cached_property
    def components(self) -> tuple[Array, Array, Array, Array, Array]:
        r"""Those principal components of the effects that stand out of the noise, and the variance of each.

        Features that answer together share what is known of them. Noise is taken for a size of each condition times one
        of each feature, as it is in bulk data and nearly so in cells. In units of it the second moment
        :math:`\lambda` of a component of n conditions and :math:`\gamma n` features stands out above
        :math:`(1 + \sqrt\gamma)^2`, where its own variance is :math:`\ell - 1` with
        :math:`\lambda = \ell + \gamma \ell / (\ell - 1)`. What the others hold is left to each feature alone.

        Returns
        -------
        Components, ``(components, features)``; standard deviation of the noise of each feature and its size for each
        condition; noise and variance of components and then of features.

        References
        ----------
        Donoho, Gavish and Johnstone, Optimal shrinkage of eigenvalues in the spiked covariance model, Ann Stat 2018.
        """
        n, features = self.y.shape
        unit, size = np.sqrt(self.noise.mean(0)), (self.noise / self.noise.mean(0)).mean(1)
        _, value, basis = np.linalg.svd(self.y / unit, full_matrices=False)
        moment, ratio = value**2 / n, features / n
        out = moment > (1 + np.sqrt(ratio)) ** 2
        middle, basis = moment[out] + 1 - ratio, basis[out]
        total = np.trace(self.kernel(self.conditions, self.conditions))
        scale = ((middle + np.sqrt(middle**2 - 4 * moment[out])) / 2 - 1) * n / total
        rest = np.maximum(self.scale - scale @ basis**2 * unit**2, MIN_OWN_SHARE * self.scale)
        return basis, unit, size, np.append(np.ones(len(basis)), unit**2), np.append(scale, rest)

    def _parts(
        self, a: Conditions, b: Conditions, shape: Mapping[str, float | torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        return kernels(a, b, shape, self.spread, self.like)

    def _maximise(self) -> None:
        """Learn weights, shape and nugget by marginal likelihood, over features with the strongest effects."""
        unknown = np.isnan(self.noise).any(1)
        ratio = np.nan_to_num(self.noise) / self.scale
        strong = np.argsort(np.median(ratio, 0), kind="stable")[:MAX_FEATURES]
        n_sets = int(np.clip(MAX_OPERATIONS / len(ratio) ** 3, 1, len(strong)))
        sets = strong[: len(strong) // n_sets * n_sets].reshape(n_sets, -1)
        effects = torch.from_numpy((self.y / np.sqrt(self.scale)).T[sets].transpose(0, 2, 1).copy())
        known = torch.from_numpy(ratio.T[sets].mean(1))
        diagonal = torch.from_numpy(unknown.astype(float))
        start = torch.tensor([*self.weights.values(), *self.shape.values(), 0.05], dtype=effects.dtype).log()
        names = [*self.weights, *self.shape]
        free = start.clone().requires_grad_()
        optimiser = torch.optim.Adam([free], lr=0.1)
        for _ in range(N_STEPS):
            value = dict(zip([*names, "nugget"], free.exp(), strict=True))
            parts = self._parts(self.conditions, self.conditions, value)
            total = sum(value[name] * parts[name] for name in self.weights)
            noise = known + value["nugget"] * diagonal + 1e-6
            root = torch.linalg.cholesky(total + torch.diag_embed(noise))
            white = torch.linalg.solve_triangular(root, effects, upper=False)
            loss = 0.5 * white.square().sum() + sets.shape[1] * root.diagonal(dim1=1, dim2=2).log().sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        learned = dict(zip([*names, "nugget"], free.detach().exp().tolist(), strict=True))
        self.weights = {name: learned[name] for name in self.weights}
        self.shape = {name: learned[name] for name in self.shape}
        self.nugget = learned["nugget"] if unknown.any() else 0.0
        del self.like


def prior_weights(shift: str) -> tuple[float, float, float, float]:
    """Weights of members before anything was left out: both processes, of a combination also Loewe additivity."""
    return (0.25, 0.25, 0.5, 0.0) if shift == COMBINATION else (0.5, 0.5, 0.0, 0.0)


def stack_weights(members: Array, y: Array, n_sets: int, shift: str) -> list[float]:
    """Non-negative weights of members, ``(units, members, features)``, drawn to those before for want of data.

    References
    ----------
    Breiman, Stacked regressions, Machine Learning 1996.
    """
    x = np.moveaxis(members, 1, -1).reshape(-1, members.shape[1])
    size = np.sqrt((x**2).sum(0) / n_sets)
    right = np.append(y.ravel(), size * prior_weights(shift))
    return nnls(np.concatenate([x, np.diag(size)]), right)[0].tolist()  # type: ignore[no-any-return]


def shared_weights(members: Array, y: Array, by_flow: Array, n_contexts: int) -> list[float]:
    r"""Weights of members for a new context: a share of the mean of both processes, the rest of the conserved effect.

    .. math:: \hat a = \frac{\sum e^2 d\,(y - o)}{(1 + 1 / n) \sum e^2 d^2}

    within 0 and 1, over n contexts that were left out, with the conserved effect o, the difference d of the processes
    from it, and the whole effect e that flow and o predict: the share is chosen where effects are strong. It is drawn
    to the conserved effect as by one more context. Free weights would raise what the processes draw to zero, and few
    contexts do not tell by how much.

    Parameters
    ----------
    members
        As of `Anchor.members`.
    y, by_flow
        What the flow leaves of the measured effects, and what it predicts, ``(units, features)``.
    n_contexts
        n.
    """
    conserved = members[:, 2]
    apart, weight = members[:, :2].mean(1) - conserved, (by_flow + conserved) ** 2
    size = float((weight * apart**2).sum()) * (1 + 1 / n_contexts)
    share = float(np.clip((weight * apart * (y - conserved)).sum() / size, 0, 1)) if size else 0.0
    return [share / 2, share / 2, 1 - share, 0.0]
