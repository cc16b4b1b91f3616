"""Calibration of translations on cells that have both assays and were not trained on: a part of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scvcell._stats import MIN_CALIBRATION_CELLS, Conformal
from scvcell.model._parts import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from numpy.typing import NDArray

    from scvcell._containers import View
    from scvcell.model._fitted import Fitted

NAME = "calibration"
MAX_POOL_CELLS = 2000
"""Cells whose errors give the local scale, at most."""
MAX_CALIBRATION_CELLS = 1000
"""Calibration cells at most."""
MAX_ENTRIES = 10_000_000
"""Cells x features of either at most; large panels (peaks) are calibrated on fewer cells."""
MIN_CELLS = 200
"""Cells of either that a large panel keeps at least."""


class Calibration(Part):
    """Conformal intervals of translations, each made when it is first asked for.

    Attributes
    ----------
    arrays
        Arrays of each :class:`scvcell.risk.Conformal`, by the name of the translation (``"rna>adt"``).
    """

    what = "how far translations are off"

    def __init__(self, arrays: dict[str, dict[str, NDArray[Any]]] | None = None) -> None:
        self.arrays = {} if arrays is None else arrays

    def __repr__(self) -> str:
        return f"Calibration of {', '.join(self.arrays) or 'nothing'}."

    @classmethod
    def learn(cls, model: Fitted, data: View | None = None) -> Self:  # type: ignore[override]
        """Calibrate the translation of every modality from all others, as far as there are bridge cells.

        Parameters
        ----------
        model
            Trained model.
        data
            The model's view of its data, where there is one already.
        """
        out = cls()
        seen = model.view() if data is None else data
        for to in model.schema.modalities:
            source = [m for m in model.assays if m != to]
            if source:
                out.of(model, to, source, seen)
        return out

    def of(self, model: Fitted, to: str, source: Sequence[str], data: View | None = None) -> Conformal | None:
        """Intervals of one translation, kept or made from the model's data; None without data or bridge cells."""
        name = f"{'+'.join(sorted(source))}>{to}"
        if name not in self.arrays:
            conformal = (
                None if model.adata is None else _make(model, model.view() if data is None else data, to, source)
            )
            if conformal is None:
                return None
            self.arrays[name] = conformal.as_arrays()
        return Conformal.from_arrays(self.arrays[name])

    def dump(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Nothing plain; arrays as ``"rna>adt/pool"``."""
        return {}, {f"{key}/{name}": a for key, arrays in self.arrays.items() for name, a in arrays.items()}

    @classmethod
    def restore(cls, plain: dict[str, Any], arrays: dict[str, NDArray[Any]], n_latent: int) -> Self:
        """Inverse of `dump`."""
        out: dict[str, dict[str, Any]] = {}
        for key, array in arrays.items():
            name, _, field = key.rpartition("/")
            out.setdefault(name, {})[field] = array
        return cls(out)

    def extend(self) -> Self:
        """A copy: what is calibrated on the extended model stays there."""
        return type(self)(dict(self.arrays))


def calibration(model: Fitted, to: str, source: Sequence[str]) -> Conformal | None:
    """Conformal intervals of one translation, from the model or made from its data; None without bridge cells."""
    part = model.parts.setdefault(NAME, Calibration())
    model.outdated.discard(NAME)
    return part.of(model, to, source) if isinstance(part, Calibration) else None


def _make(model: Fitted, seen: View, to: str, source: Sequence[str]) -> Conformal | None:
    if to not in seen.modalities or not set(source) <= set(seen.modalities):
        return None
    if not model.network.operators[to].calibrated:
        return None
    both = seen.present(to) & seen.measured(source)
    held = np.flatnonzero(both & seen.among(model.split_.get("calibration", [])))
    if len(held) < MIN_CALIBRATION_CELLS:
        held = np.flatnonzero(both & seen.among(model.split_["validation"]))
    pool = np.flatnonzero(both & seen.among(model.split_["train"]))
    if len(held) < MIN_CALIBRATION_CELLS or len(pool) < MIN_CALIBRATION_CELLS:
        return None
    rng = np.random.default_rng(0)
    most = max(MAX_ENTRIES // len(model.schema.modalities[to].features), MIN_CELLS)
    pool = np.sort(rng.choice(pool, min(len(pool), MAX_POOL_CELLS, most), replace=False))
    held = np.sort(rng.choice(held, min(len(held), MAX_CALIBRATION_CELLS, most), replace=False))
    cells = np.concatenate([pool, held])
    part = seen.subset(cells)
    posterior = model.posterior(part, modalities=source)
    readout = model.readout(part, to)
    decoded = readout.decode(posterior, own_depth=to in source)
    raw = readout.matrix.dense(readout.rows)
    latent = posterior.mean.numpy()
    forward, _ = interval_scale(model, to)
    truth, predicted = forward(raw), forward(decoded.point)
    n = len(pool)
    error = ((truth - predicted) ** 2)[:n]
    return Conformal.fit(latent[:n], error, latent[n:], truth[n:], predicted[n:], depths(model, part, source))


def interval_scale(model: Fitted, to: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Scale on which the errors of a modality are compared, and the way back: log1p for counts, else the raw scale."""
    if model.operator(to).count_data:
        return np.log1p, lambda value: np.maximum(np.expm1(value), 0)
    return np.asarray, np.asarray


def depths(model: Fitted, seen: View, source: Sequence[str]) -> NDArray[np.float32]:
    """Log depth of each assay of counts among `source`, NaN where a cell lacks it, ``(cells, assays)``."""
    counted = [m for m in sorted(source) if model.operator(m).count_data]
    out = np.full((seen.n_obs, len(counted)), np.nan, np.float32)
    for column, m in enumerate(m for m in counted if m in seen.modalities):
        has = seen.present(m)
        values = model.matrix(seen, m).all_depths(seen.rows[m][has], model.operator(m).size)
        out[has, column] = np.log1p(values)
    return out
