"""Calibration of translations on cells that have both assays and were not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scvcell._checks import share
from scvcell._stats import MINIMUM, Conformal
from scvcell.model import bridge, context, decode, own_depth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from scvcell._containers import View
    from scvcell.model import CSL

POOL = 2000
"""Cells whose errors give the local scale, at most."""
CALIBRATION = 1000
"""Calibration cells at most."""
ENTRIES = 10_000_000
"""Cells x features of either at most; large panels (peaks) are calibrated on fewer cells, but never under `FEWEST`."""
FEWEST = 200


def check_level(level: float) -> None:
    """Refuse a level of coverage that is none."""
    share("level", level, 0.9)


def interval_scale(model: CSL, to: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Scale on which the errors of a modality are compared, and the way back: log1p for counts, else the raw scale."""
    if model.operator(to).count_data:
        return np.log1p, lambda value: np.maximum(np.expm1(value), 0)
    return np.asarray, np.asarray


def key(to: str, source: Sequence[str]) -> str:
    """Name under which a model keeps the calibration of one translation."""
    return f"{'+'.join(sorted(source))}>{to}"


def calibrate_all(model: CSL) -> None:
    """Calibrate the translation of every modality from all others, as far as there are bridge cells."""
    for to in model.schema.modalities:
        source = [m for m in model.assays if m != to]
        if source:
            calibration(model, to, source)


def calibration(model: CSL, to: str, source: Sequence[str]) -> Conformal | None:
    """Conformal intervals of one translation, from the model or made from its data; None without bridge cells."""
    name = key(to, source)
    if name in model.calibration_:
        return Conformal.from_arrays(model.calibration_[name])
    if model.adata is None:
        return None
    conformal = _make(model, to, source)
    if conformal is not None:
        model.calibration_[name] = conformal.as_arrays()
    return conformal


def _make(model: CSL, to: str, source: Sequence[str]) -> Conformal | None:
    seen = model.view()
    if to not in seen.modalities or not set(source) <= set(seen.modalities):
        return None
    if not model._trained_module().operators[to].calibrated:
        return None
    both = bridge(seen, to, source)
    held = np.flatnonzero(both & seen.obs_names.isin(model.split_["validation"]))
    pool = np.flatnonzero(both & seen.obs_names.isin(model.split_["train"]))
    if len(held) < MINIMUM or len(pool) < MINIMUM:
        return None
    rng = np.random.default_rng(0)
    most = max(ENTRIES // len(model.schema.modalities[to].features), FEWEST)
    pool = np.sort(rng.choice(pool, min(len(pool), POOL, most), replace=False))
    held = np.sort(rng.choice(held, min(len(held), CALIBRATION, most), replace=False))
    cells = np.concatenate([pool, held])
    part = seen.subset(cells)
    posterior = model.posterior(part, modalities=source)
    decoded = decode(model, posterior, context(model, part), to, own_depth(model, part, to) if to in source else None)
    raw = model._matrix(part, to).dense(part.rows[to])
    latent = posterior.mean.numpy()
    forward, _ = interval_scale(model, to)
    truth, predicted = forward(raw), forward(decoded.point)
    n = len(pool)
    error = ((truth - predicted) ** 2)[:n]
    return Conformal.fit(latent[:n], error, latent[n:], truth[n:], predicted[n:], depths(model, part, source))


def depths(model: CSL, seen: View, source: Sequence[str]) -> NDArray[np.float32]:
    """Log depth of each assay of counts among `source`, NaN where a cell lacks it, ``(cells, assays)``."""
    counted = [m for m in sorted(source) if model.operator(m).count_data]
    out = np.full((seen.n_obs, len(counted)), np.nan, np.float32)
    for column, m in enumerate(m for m in counted if m in seen.modalities):
        has = seen.present(m)
        values = model._matrix(seen, m).all_depths(seen.rows[m][has], model.operator(m).size)
        out[has, column] = np.log1p(values)
    return out
