"""tl.synergy and tl.order_effect: what a combination does beyond its parts, and whether their order matters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from scvcell.perturb import Action, as_action
from scvcell.tl._controls import Controls
from scvcell.tl._perturb import effect_frame

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell._containers import Container
    from scvcell.model import CSL


def synergy(
    data: Container,
    model: CSL,
    action: str | Mapping[str, float | None] | Action,
    *,
    cells: Any = None,
    level: float = 0.9,
) -> pd.DataFrame:
    r"""Effect of a combination beyond the sum of its parts.

    .. math:: \mathrm{interaction} = \mathrm{lfc}(A + B) - \mathrm{lfc}(A) - \mathrm{lfc}(B)

    On the log scale, no interaction is Bliss independence of the fold changes.

    Parameters
    ----------
    data, model, cells
        As :func:`scvcell.tl.perturb`.
    action
        At least two targets.
    level
        Coverage of the intervals; the half-width is that of the combination's effect.

    Returns
    -------
    One row per group, modality and feature: ``lfc`` of the combination, ``additive``, ``interaction``, ``lower``,
    ``upper`` (of the interaction), ``support``.

    Raises
    ------
    ValueError
        If the action has fewer than two targets.

    References
    ----------
    Bliss, The toxicity of poisons applied jointly, Ann Appl Biol 1939.
    """
    action = as_action(action)
    if len(action.targets) < 2:
        raise ValueError(f"Synergy needs at least two targets, as in 'A+B'; {str(action)!r} has {len(action.targets)}.")
    start = Controls(data, model, cells)
    parts = [start.response.check(Action({t: action.doses[t]}, action.time)) for t in action.targets]
    frames = []
    for name, group in start.groups(None):
        whole = effect_frame(start, action, name, group, level)
        half = (whole["upper"] - whole["lower"]) / 2
        whole["additive"] = sum(effect_frame(start, part, name, group, level)["lfc"] for part in parts)
        whole["interaction"] = whole["lfc"] - whole["additive"]
        whole["lower"], whole["upper"] = whole["interaction"] - half, whole["interaction"] + half
        frames.append(whole.drop(columns="trusted"))
    return pd.concat(frames, ignore_index=True)


def order_effect(data: Container, model: CSL, first: str, second: str, *, cells: Any = None) -> pd.DataFrame:
    r"""How much it matters which of two targets comes first, by the fitted operator.

    .. math::
        \kappa = \frac{\|\Delta_B \Delta_A z - \Delta_A \Delta_B z\|}
                      {\|\Delta_A z - z\| + \|\Delta_B z - z\|}

    averaged over cells: 0 if the two commute. It is a statement about the operator, which has learned from actions
    given at once as far as no schedules were given; there is no test here of whether a measured order effect is real.

    Parameters
    ----------
    data, model, cells
        As :func:`scvcell.tl.perturb`.
    first, second
        The two targets.

    Returns
    -------
    One row per group: ``group``, ``kappa``, ``n_cells``.
    """
    start = Controls(data, model, cells)
    a, b = (start.response.check(Action(name)) for name in (first, second))
    move = start.response.states
    rows = []
    for name, group in start.groups(None):
        z = start.latent[group]
        apart = (move(move(z, a), b) - move(move(z, b), a)).norm(dim=1)
        size = (move(z, a) - z).norm(dim=1) + (move(z, b) - z).norm(dim=1)
        rows.append({"group": name, "kappa": float((apart / size.clamp_min(1e-12)).mean()), "n_cells": len(group)})
    return pd.DataFrame(rows)
