"""Delta by an affine flow: every target has a generator, and what is done at once adds up in them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from scvcell.perturb._base import PERTURBATIONS, Perturbation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Float

    from scvcell._types import Array
    from scvcell.perturb._action import Action

FLOW_RANK = 3
"""Directions along which the effect of a target depends on the state."""


class Piece(NamedTuple):
    """A time during which nothing changes: how long, and what is given at which dose (None: as in training)."""

    duration: float
    doses: Mapping[str, float | None]


@PERTURBATIONS.register("flow")
class AffineFlow(Perturbation):
    r"""Affine vector field per target, added over targets and followed for as long as they act.

    .. math::
        \frac{dz}{dt} = \sum_p u_p(t)\,\big(a_p + U_p V_p^\top (z - \bar z)\big), \qquad
        u_p = (1 + k_p)\,\frac{x^{n_p}}{x^{n_p} + k_p}, \quad x = \frac{\mathrm{dose}}{\text{largest}}

    Doses are constant in pieces, so the flow is the exponential of a matrix in homogeneous coordinates: exact, an exact
    composition in time, and the identity at dose 0. The additive model is :math:`U V^\top = 0`; the order of two
    targets matters as far as their generators do not commute. An unseen target has the mean of the generators of known
    ones, weighted by `relate`.

    Parameters
    ----------
    n_latent, targets
        See `Perturbation`.
    largest
        Largest dose of each target in training; None where no doses were given.
    span
        Longest time in training; None where no times were given. Then an action lasts 1.
    rank
        Rank of :math:`U V^\top`.

    References
    ----------
    Hu and Chen, Insights into Artificial Intelligence Virtual Cells (the perturbation operator); Hill, J Physiol 1910
    (the dose response); Hall, Lie Groups, Lie Algebras, and Representations, 2015 (the exponential).
    """

    equation = "z(T) = exp(T sum_p h_p(dose_p) G_p) z"
    reference = "Hall, Lie Groups, Lie Algebras, and Representations, 2015"

    def __init__(
        self,
        n_latent: int,
        targets: tuple[str, ...],
        largest: Mapping[str, float] | None = None,
        span: float | None = None,
        rank: int = FLOW_RANK,
    ) -> None:
        super().__init__(n_latent, targets)
        n = len(targets)
        self.largest = dict(largest or {})
        self.span = span
        self.offset = nn.Parameter(torch.zeros(n, n_latent))
        self.out = nn.Parameter(torch.zeros(n, n_latent, rank))
        self.into = nn.Parameter(0.1 * torch.randn(n, n_latent, rank))
        self.log_half = nn.Parameter(torch.zeros(n))
        self.log_slope = nn.Parameter(torch.zeros(n))
        self.register_buffer("center", torch.zeros(n_latent))
        self.weights: dict[str, Tensor] = {}

    @property
    def moves(self) -> bool:
        """Whether it has learned to move any state."""
        return bool(self.offset.any() or self.out.any())

    def relate(self, target: str, weights: Sequence[float] | Array) -> None:
        """Let an unseen target act as a weighted mean of the known ones, ``(targets,)``."""
        self.weights[target] = torch.as_tensor(weights, dtype=torch.float32)

    def knows(self, target: str) -> bool:
        """Whether a target was in training or has been related to those that were."""
        return target in self.targets or target in self.weights

    def exposure(self, target: int | Tensor, share: float | Tensor) -> Tensor:
        """Strength of a dose, given as a share of the largest in training: 0 at dose 0, and 1 at 1."""
        x = torch.as_tensor(share, dtype=torch.float32).clamp_min(1e-12) ** self.log_slope[target].exp()
        half = self.log_half[target].exp()
        return torch.where(torch.as_tensor(share) > 0, (1 + half) * x / (x + half), 0.0)

    def share(self, target: str, dose: float | None) -> float:
        """Dose as a share of the largest in training; a dose that is not given is the largest."""
        return 1.0 if dose is None else dose / self.largest.get(target, 1.0)

    def generators(self, exposure: Float[Tensor, "actions targets"]) -> Float[Tensor, "actions plus plus"]:
        """Generators of actions in homogeneous coordinates, of one more dimension than the state."""
        linear = (exposure @ (self.out @ self.into.mT).flatten(1)).view(-1, self.n_latent, self.n_latent)
        along = self.into.mT @ self.center.expand_as(self.offset)[:, :, None]
        offset = exposure @ (self.offset - (self.out @ along)[:, :, 0])
        top = torch.cat([linear, offset[:, :, None]], 2)
        return torch.cat([top, top.new_zeros(len(top), 1, top.shape[2])], 1)

    def shares(self, target: str) -> Float[Tensor, " targets"]:
        """How much of each known target a target is: itself, or for an unseen one what `relate` says.

        Raises
        ------
        KeyError
            If it is neither known nor related to known ones.
        """
        if target in self.targets:
            return nn.functional.one_hot(torch.tensor(self.targets.index(target)), len(self.targets)).to(self.offset)
        return self.weights[target].to(self.offset)

    def push(
        self, z: Float[Tensor, "actions cells latent"], exposure: Float[Tensor, "actions targets"]
    ) -> Float[Tensor, "actions cells latent"]:
        """States of some cells each after actions of constant strength, given as strength times duration."""
        d, step = self.n_latent, torch.linalg.matrix_exp(self.generators(exposure))
        return z @ step[:, :d, :d].transpose(1, 2) + step[:, None, :d, d]

    def exposures(self, doses: Mapping[str, float | None]) -> Float[Tensor, " targets"]:
        """Strength of every known target."""
        total = self.offset.new_zeros(len(self.targets))
        for name, dose in doses.items():
            share = self.share(name, dose)
            known = name in self.targets
            strength = self.exposure(self.targets.index(name), share) if known else min(share, 1.0)
            total = total + self.shares(name) * strength
        return total

    def pieces(self, action: Action) -> list[Piece]:
        """An action cut where something starts or stops; durations in spans."""
        unit = self.span or action.time or 1.0
        end = 1.0 if action.time is None else action.time / unit
        times = [(p.start / unit, end if p.stop is None else p.stop / unit, p) for p in action.pulses]
        cuts = sorted({0.0, end, *(t for start, stop, _ in times for t in (start, stop) if t < end)})
        return [
            Piece(stop - start, {p.target: p.dose for first, last, p in times if first <= start and last >= stop})
            for start, stop in pairwise(cuts)
        ]

    def forward(self, z: Float[Tensor, "cells latent"], action: Action) -> Float[Tensor, "cells latent"]:
        """States after `action`; the very same ones if it does nothing.

        Raises
        ------
        KeyError
            If a target is neither known nor related to known ones.
        """
        for piece in self.pieces(action):
            z = self._follow(z, piece.doses, piece.duration)
        return z

    def path(
        self, z: Float[Tensor, " latent"], action: Action, strengths: Float[Tensor, " steps"]
    ) -> Float[Tensor, "steps latent"]:
        """One state after `action` at each of some strengths: 0 stays, 1 is `forward`."""
        states = z.expand(len(strengths), 1, self.n_latent)
        for piece in self.pieces(action):
            states = self.push(states, strengths[:, None] * piece.duration * self.exposures(piece.doses))
        return states[:, 0]

    def inverse(self, z: Float[Tensor, "cells latent"], action: Action) -> Float[Tensor, "cells latent"]:
        """States from which `action` leads to `z`: the flow backwards in time."""
        for piece in reversed(self.pieces(action)):
            z = self._follow(z, piece.doses, -piece.duration)
        return z

    def _follow(self, z: Tensor, doses: Mapping[str, float | None], duration: float) -> Tensor:
        strength = self.exposures(doses)
        if not bool((strength != 0).any()) or duration == 0:
            return z
        return self.push(z[None], duration * strength[None])[0]
