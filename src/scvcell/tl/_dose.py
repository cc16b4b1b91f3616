"""tl.dose_response: how an effect grows with the dose and with time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell._checks import check_level
from scvcell._containers import choose_features
from scvcell.perturb import Action
from scvcell.response import Controls, as_target, asked
from scvcell.tl._perturb import effect_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell._containers import Container
    from scvcell.model import CSL

POINTS = 9
"""Doses from a hundredth of the largest one in training on, by default."""


def dose_response(
    data: Container,
    model: CSL,
    target: str,
    *,
    doses: float | str | Sequence[float | str] | None = None,
    times: float | Sequence[float | None] | None = None,
    features: str | Sequence[str] | None = None,
    cells: Any = None,
    level: float = 0.9,
) -> pd.DataFrame:
    """Effects of a target over doses, and over times.

    Parameters
    ----------
    data, model, cells
        As :func:`scvcell.tl.perturb`.
    target
        What is given.
    doses
        Doses, in the unit of the fit or as text with a unit (``"10 nM"``); by default nine from a hundredth of the
        largest dose in training to it, equally spaced in their logs.
    times
        Times; the longest in training by default.
    features
        Features to keep; all by default.
    level
        Coverage of the intervals, see :func:`scvcell.tl.effects`.

    Returns
    -------
    As :func:`scvcell.tl.effects`, with ``dose``, its ``unit`` and ``time`` in each row. The dose of half the effect and
    the effect at saturation are :func:`scvcell.tl.potency`'s.

    Raises
    ------
    ValueError
        If the target was given at no dose in training, a dose is negative, or a feature is not in the model.
    """
    check_level(level)
    start = Controls(data, model, cells)
    flow, target = start.response.flow, as_target(target)
    if target not in flow.largest:
        raise ValueError(
            f"{target!r} has no doses in training; those that have are {sorted(flow.largest)}. Fit with "
            "PerturbationKeys(..., dose=column)."
        )
    top = flow.largest[target]
    grid = np.geomspace(top / 100, top, POINTS).tolist() if doses is None else _several("doses", doses)
    every = [name for m in start.bulks for name in start.model.schema.modalities[m].features]
    kept = None if features is None else choose_features("features", features, every)
    frames = []
    for time in _several("times", times):
        for dose in grid:
            action = start.response.check(asked(start.response, Action({target: dose}, time)))
            given = action.doses.get(target, 0.0)
            for name, group in start.groups():
                frame = effect_frame(start, action, name, group, level)
                frame = frame if kept is None else frame[frame["feature"].isin(kept)]
                frames.append(frame.assign(dose=given, unit=start.response.dose_units.get(target, ""), time=time))
    return pd.concat(frames, ignore_index=True)


def _several(argument: str, value: Any) -> list[Any]:
    """One value or several, as a list."""
    values = [value] if value is None or isinstance(value, str) or np.ndim(value) == 0 else list(value)
    if not values:
        raise ValueError(f"{argument}= is empty; leave it out for the default.")
    return values
