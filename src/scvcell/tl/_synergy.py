"""tl.synergy: what a combination does beyond its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from scvcell._checks import check_level
from scvcell.response import Controls, asked, learned
from scvcell.tl._perturb import effect_frame

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell._containers import Container
    from scvcell.model import CSL
    from scvcell.perturb import Action


def synergy(
    data: Container,
    model: CSL,
    action: str | Mapping[str, float | str | None] | Action,
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
    check_level(level)
    action = asked(learned(model), action)
    if len(action.targets) < 2:
        raise ValueError(f"Synergy needs at least two targets, as in 'A+B'; {str(action)!r} has {len(action.targets)}.")
    start = Controls(data, model, cells)
    parts = [start.response.check(action.alone(t)) for t in action.targets]
    frames = []
    for name, group in start.groups():
        whole = effect_frame(start, action, name, group, level)
        half = (whole["upper"] - whole["lower"]) / 2
        whole["additive"] = sum(effect_frame(start, part, name, group, level)["lfc"] for part in parts)
        whole["interaction"] = whole["lfc"] - whole["additive"]
        whole["lower"], whole["upper"] = whole["interaction"] - half, whole["interaction"] + half
        frames.append(whole.drop(columns="trusted"))
    return pd.concat(frames, ignore_index=True)
