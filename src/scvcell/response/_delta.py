"""Delta on the states of a fitted model: what an action does to states, assays and their pseudobulks."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from scvcell.errors import OutOfSupport
from scvcell.response._bulk import FEWEST_CELLS
from scvcell.response._conditions import describe, measured_row, unrelated
from scvcell.response._intervals import (
    MIN_CALIBRATION_ROWS,
    Effect,
    calibrated,
    noise_of,
    sampling_halfwidth,
)
from scvcell.response._novelty import REGIMES, novelty
from scvcell.response._reach import SUPPORT_OF_NEW_COMBINATION, Reach

if TYPE_CHECKING:
    from scvcell._types import Array, Rows
    from scvcell.perturb import Action, AffineFlow, PerturbationKeys
    from scvcell.prior import TargetKernel
    from scvcell.response._anchor import Anchor
    from scvcell.response._bulk import Bulk


logger = logging.getLogger("scvcell")

SUPPORT_WEIGHTS = {"target": 0.25, "target in context": 0.5, "target, dose and time": 0.25}
"""How much of the support of an action hangs on what."""
MEASURED_NOISE = 0.05
"""Noise of a condition that was measured, over that of what was never seen, before its number of cells counts."""


@dataclass(eq=False, repr=False)
class Delta:
    r"""What actions do, learned on the states of a fitted model.

    The flow moves states (:class:`scvcell.perturb.AffineFlow`); it is fitted by energy distance between moved controls
    and treated cells of the same context, with the model's encoders and decoders as they are. What is left of the
    effect on each assay (pseudobulk, log scale) is predicted from like conditions (:class:`scvcell.response.Anchor`).

    Attributes
    ----------
    keys
        Columns that say what was done.
    flow
        Operator on states.
    actions
        Actions in training.
    dose_units
        Unit of each target's dose.
    kernel
        Likeness of targets, None without side information.
    anchors
        By modality, what the flow leaves.
    spread
        By modality, the variance of one cell on the effect scale, over all conditions, ``(features,)``.
    calibration
        By modality, rows of ``(size of the predicted effect, squared error, predicted variance, number of the
        condition, number of the shift, whether it is among the strongest)`` of conditions that were left out; 0 for no
        shift, else from 1 on as in `REGIMES`. Models of earlier versions lack the last column.
    cells
        By modality, the treated cells of each condition, ``(conditions,)``; none in models of earlier versions.
    """

    keys: PerturbationKeys
    flow: AffineFlow
    actions: tuple[Action, ...]
    dose_units: dict[str, str]
    kernel: TargetKernel | None = None
    anchors: dict[str, Anchor] = field(default_factory=dict)
    spread: dict[str, Array] = field(default_factory=dict)
    calibration: dict[str, Array] = field(default_factory=dict)
    cells: dict[str, Array] = field(default_factory=dict)

    def __repr__(self) -> str:
        given = ", ".join(self.flow.targets[:5]) + (", ..." if len(self.flow.targets) > 5 else "")
        sure = ", ".join(m for m in self.anchors if len(self.calibration.get(m, ())) >= MIN_CALIBRATION_ROWS) or "none"
        return (
            f"{type(self).__name__} to {len(self.actions)} actions on {len(self.flow.targets)} targets ({given}); "
            f"assays {', '.join(self.anchors) or 'none'}, intervals calibrated: {sure}."
        )

    @property
    def reach(self) -> Reach:
        """Doses and times of training."""
        return Reach(self.actions, self.flow.largest, self.flow.span)

    def check(self, action: Action) -> Action:
        """Refuse an action of which nothing can be said; relate unseen targets to known ones.

        Raises
        ------
        OutOfSupport
            If a target is neither known nor among the side information, or the action has a time, a schedule or a
            dose where training had none.
        """
        self.reach.check(action)
        new = [target for target in action.targets if not self.flow.knows(target)]
        lost = unrelated(self.flow, action, self.kernel)
        if lost is not None:
            known = ", ".join(self.flow.targets[:8]) + (", ..." if len(self.flow.targets) > 8 else "")
            raise OutOfSupport(
                f"Nothing is known of the target {lost!r}: the model was trained on {known}. For targets that "
                "were not perturbed, fit with side information on them: priors=[scvcell.prior.TargetKernel(table)]."
            )
        for target in new:
            logger.warning("%r was never perturbed; its effect is that of like targets, an extrapolation.", target)
        return action

    @torch.no_grad()
    def states(self, z: torch.Tensor, action: Action) -> torch.Tensor:
        """States after `action`, ``(cells, latent)``; effects stop growing one step beyond the largest dose."""
        return self.flow.eval()(z, self.reach.held(self.check(action)))

    def taught(self, action: Action) -> bool:
        """Whether the flow learned what every target of the action does to states; of few cells it does not."""
        known = [target for target in action.targets if target in self.flow.targets]
        rows = [self.flow.targets.index(target) for target in known]
        moves = self.flow.offset[rows].any(1) | self.flow.out[rows].flatten(1).any(1)
        return bool(moves.all())

    def residual(self, modality: str, action: Action, place: Array) -> tuple[Array, Array]:
        """What the flow leaves of the effect on a modality in a context, and its variance; ``(features,)`` each."""
        mean, var = self.anchors[modality].predict(describe(self.flow, [self.reach.held(action)], place[None]))
        return (mean[0], var[0]) if action.pulses else (0 * mean[0], 0 * var[0])

    def effect(
        self,
        bulk: Bulk,
        modality: str,
        action: Action,
        cells: Rows,
        z: torch.Tensor,
        level: float = 0.9,
        n_cells: int | None = None,
    ) -> Effect:
        """Effect on the pseudobulk of `cells` in states `z`, with its interval.

        The variance is that of sampling, of the pseudobulks of `n_cells` treated cells and of the controls, and of what
        like conditions leave open. Intervals are `calibrated` by conditions that were left out, those that were new in
        the same way for a new dose, time or target. Where too few could be, the interval of one that was measured is
        that of `sampling_halfwidth`; of others it is infinite.
        """
        mean, var = self.residual(modality, action, z.mean(0).numpy())
        before, after = bulk.expected(cells, z), bulk.expected(cells, self.states(z, action))
        value = after - before + mean
        rows = self._like(modality, action, z.mean(0).numpy())
        if not action.pulses:
            return Effect(value, np.zeros(len(value)))
        noise = noise_of(bulk.measured(cells)[1], self.spread[modality], bulk.count(cells))
        noise = np.where(np.isnan(noise), np.median(self.anchors[modality].noise, 0) / 2, noise)
        new = noise * (1 + len(cells) / (n_cells or len(cells)))
        if len(rows) < MIN_CALIBRATION_ROWS:
            return Effect(value, self._sampling(modality, action, z.mean(0).numpy(), new, level))
        return calibrated(rows, value, var + new, level)

    def _like(self, modality: str, action: Action, place: Array) -> Array:
        """Rows of `calibration` of conditions that were new in the way in which this one is."""
        rows, seen = self.calibration.get(modality, np.zeros((0, 6))), self.anchors[modality].conditions
        (shift,) = novelty(describe(self.flow, [action], place[None]), seen)
        like = rows[:, 4] == (1 + REGIMES.index(shift) if shift else 0)
        return rows[like] if like.any() else rows[rows[:, 4] == 0]

    def _sampling(self, modality: str, action: Action, place: Array, new: Array, level: float) -> Array:
        """Half the sampling interval of a measured condition, infinite of others, ``(features,)``."""
        anchor = self.anchors[modality]
        row = (
            None
            if action not in self.actions
            else measured_row(anchor.conditions, describe(self.flow, [action], place[None]))
        )
        if row is None:
            return np.full(len(new), np.inf)
        mean, var = self.residual(modality, action, anchor.conditions.place[row])
        trained = np.maximum(anchor.noise[row], var)
        # Cells of the smaller group in training, near enough; a variance of each group's own is known no better.
        cells = (
            np.nanmedian(self.spread[modality] / anchor.noise[row]) if np.isfinite(self.spread[modality]).any() else 2
        )
        return sampling_halfwidth(anchor.y[row] - mean, trained, new, level, max(float(cells) - 1, 1.0))

    def support(self, action: Action, place: Array) -> float:
        r"""How close an action in a context is to what was seen, from 0 (nothing like it) to 1 (seen).

        .. math:: k_*^\top (K + \mathrm{diag}(\epsilon + n_0 / n))^{-1} k_* / k_{**}

        with a kernel that adds over targets and fades with the distance of contexts, doses and times, and for cells the
        number n of treated ones of each condition; times how much of a target that was never perturbed those that were
        explain, and less with every dilution step beyond the largest dose (:class:`Reach`). Below the smallest dose it
        is that of the smallest. Targets that were never given together have less than the least of them alone.
        """
        if not action.pulses:
            return 1.0
        name = next(iter(self.anchors), None)
        if name is None:
            return 0.0
        anchor = self.anchors[name]
        plain = replace(anchor, weights=SUPPORT_WEIGHTS)
        reach = self.reach
        unit = describe(self.flow, [reach.raised(action)], place[None])
        among, cross, own = (
            plain.kernel(*pair) for pair in ((anchor.conditions,) * 2, (anchor.conditions, unit), (unit, unit))
        )
        noise = np.full(len(among), MEASURED_NOISE)
        if name in self.cells and self.flow.moves:
            noise = noise + FEWEST_CELLS / np.maximum(self.cells[name], 1)
        explained = cross[:, 0] @ np.linalg.solve(among + np.diag(noise), cross[:, 0])
        unseen = [target for target in action.targets if target not in self.flow.targets]
        like = min((self.kernel.likeness(t, self.flow.targets) for t in unseen if self.kernel is not None), default=1.0)
        found = float(np.clip(like * reach.share(action) * explained / max(own[0, 0], 1e-12), 0, 1))
        if reach.together(action):
            return found
        return SUPPORT_OF_NEW_COMBINATION * min(
            found, *(self.support(action.alone(target), place) for target in action.targets)
        )
