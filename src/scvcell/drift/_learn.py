"""Learn the drift from kinetics (what is made and what decays), or from cells of several times and their clones."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from scvcell.drift._field import Drift
from scvcell.drift._times import between, clones_of, times_of
from scvcell.drift._turnover import CELLS, by_turnover
from scvcell.measure import Kinetics

if TYPE_CHECKING:
    from scvcell._containers import View
    from scvcell.model import CSL


logger = logging.getLogger("scvcell")


def kinetics_of(model: CSL) -> str | None:
    """Name of the modality whose operator is `Kinetics`; None without one."""
    operators = model._trained_module().operators
    return next((name for name in model.schema.modalities if isinstance(operators[name], Kinetics)), None)


def fit(model: CSL, data: View, time_key: str | None, clone_key: str | None, seed: int) -> Drift:
    """Learn the drift; see :meth:`scvcell.model.CSL.learn_drift`."""
    name, rng = kinetics_of(model), np.random.default_rng(seed)
    seen = data.obs_names.isin(model.split_["train"])
    if time_key is not None:
        time = times_of(data, time_key)
        cells = np.flatnonzero(seen & np.isfinite(time)) if seen.any() else np.flatnonzero(np.isfinite(time))
        part, time = data.subset(cells), time[cells]
        clone = clones_of(part, clone_key, time)
        z = model.posterior(part).mean.numpy().astype(float)
        pairs = [between(z, time, clone, rng) for _ in range(MEMBERS)]
        return Drift.fit(z, pairs, seed, f"unit of {time_key}", time_key, clone_key or "")
    if clone_key is not None:
        raise ValueError("clone_key= needs time_key=: sister cells tell where they are going by their times.")
    if name is None or name not in data.modalities:
        where = "model measures" if name is None else "data have"
        raise ValueError(
            f"The {where} no kinetics, so that nothing tells where cells are going. Fit with spliced and unspliced "
            "(or old and new) counts made by scvcell.pp.modality_from_layers, or give time_key=, a column of times."
        )
    cells = np.flatnonzero(data.present(name) & (seen | ~seen.any()))
    cells = np.sort(rng.permutation(cells)[:CELLS])
    z, velocities, told = by_turnover(model, data.subset(cells), name, rng)
    operator = model._trained_module().operators[name]
    unit = "lifetime of a typical mRNA" if operator.time is None else "unit of the labelling time"
    return Drift.fit(z, [(z, velocity) for velocity in velocities], seed, unit, "", told=told)
