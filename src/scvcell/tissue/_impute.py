"""Impute an assay that tissue lacks: mean of the model's decode, rates of reference cells, and ridge regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls

from scvcell._containers import Spool
from scvcell._stats import Banded
from scvcell.model import interval_scale
from scvcell.score import correlation, inside
from scvcell.tissue._members import Cells, Ridge, by_rates, neighbours
from scvcell.tissue._panel_check import PanelCheck, check_panel
from scvcell.tissue._panel_reader import Reader, learn, states

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import scipy.sparse as sp

    from scvcell._containers import View
    from scvcell._types import Array, Mask, Rows
    from scvcell.model import Fitted

MAX_REFERENCE_CELLS = 20_000
"""Cells of the reference among which neighbours are sought at most."""
MAX_CALIBRATION_ENTRIES = 10_000_000
"""Cells x features on which intervals are calibrated at most."""
CALIBRATION_CELLS = (500, 5000)
"""Calibration cells at least and at most, where there are so many."""
MAX_CHECKED_CELLS = 2000
"""Cells of the tissue, and of the reference, on which the panel is checked at most."""
CELLS_PER_BLOCK = 2048
"""Cells that are predicted at once."""
FOLDS = 5
"""Parts of the reference that are left out in turn."""
MIN_WEIGHT_CELLS = 30
"""Reference cells that the fit has not seen from which members are weighted; fewer leave their weights equal."""
LEVELS = (0.0, 0.25, 0.5, 0.7, 0.8, 0.9)
"""Shares of the way from the level to 1 at which intervals are asked for until the checks hold."""
MIN_SKILL = 0.1
"""Correlation with left-out reference cells from which a feature can be trusted."""
MAX_FACTOR_SPREAD = 1.0
"""Standard deviation of log factors of features between platforms up to which counts are trusted."""
Z90 = 1.64
"""Standard errors by which a skill must exceed 0."""


@dataclass(frozen=True, eq=False, repr=False)
class Imputed:
    """What cells are expected to show of an assay that they lack.

    Attributes
    ----------
    point, lower, upper
        Values at the cell's own depth, and ends of intervals, ``(cells, features)``; in files where there was a folder.
    rate
        Values at the depth that is typical of the reference, ``(cells, features)``; of an assay whose depth says
        nothing, the same as `point`.
    state
        State of each cell, ``(cells, latent)``.
    trusted
        Whether the reference has cells such as this one, ``(cells,)``.
    skill
        Correlation with left-out cells of the reference, without depth, ``(features,)``; NaN where nothing varies.
    weights
        Weight of each member.
    asked_level
        Level that intervals were asked for, so that checks are covered as often as they should.
    check
        What the panel says.
    left_out_cells
        Cells of the reference from which the skill is read.
    """

    point: Array | Spool
    lower: Array | Spool
    upper: Array | Spool
    rate: Array | Spool
    state: Array
    trusted: Mask
    skill: Array
    weights: dict[str, float]
    asked_level: float
    check: PanelCheck
    left_out_cells: int

    def feature_trusted(self) -> Mask:
        """Features that left-out reference cells tell, where the tissue's panel is told as well."""
        return (np.nan_to_num(self.skill) > max(MIN_SKILL, Z90 / np.sqrt(self.left_out_cells))) & self.agrees()

    def agrees(self) -> bool:
        """Whether features of the panel are predicted in the tissue about as in the reference, with like factors."""
        told = float(np.nanmean(self.check.skill)) > max(MIN_SKILL, float(np.nanmean(self.check.reference_skill))) / 2
        return bool(told and np.std(self.check.log_factor) <= MAX_FACTOR_SPREAD)


def impute(
    model: Fitted, seen: View, to: str, panel: str, source: Sequence[str], level: float, folder: Path | None = None
) -> Imputed:
    """What cells of a tissue show of an assay that they lack, see `scvcell.tl.impute_space`.

    Parameters
    ----------
    model
        Trained model that has its data: the reference, and the tissue or one like it.
    seen
        Cells of the tissue, all with the panel.
    to, panel, source
        Assay that is asked for; assay of counts that the members read; assays that states are read from.
    level
        Level of intervals.
    folder
        Where values are kept that do not fit into memory.
    """
    rng = np.random.default_rng(0)
    fitted = model.view()
    reference, tissue = _parts(fitted, seen, to, panel)
    reader, known, y = learn(model, reference, tissue, to, panel, source)
    asked = np.sort(rng.permutation(reference.n_obs)[: _n_calibration(y)])
    ours, theirs = (each.subset(_some(each.n_obs, MAX_CHECKED_CELLS, rng)) for each in (reference, tissue))
    check = check_panel(
        (reader.counted(ours), states(model, ours, source)),
        (reader.counted(theirs), states(model, theirs, source)),
        reader.factor,
        reader.scale,
        rng,
    )
    members, truth = _left_out(reader, reference, known, y, asked, rng)
    fresh = reference.among(model.split_["validation"])[asked]
    weights = [_weights({name: pair[i] for name, pair in members.items()}, truth[i], fresh) for i in (0, 1)]
    found = [_mean({name: pair[i] for name, pair in members.items()}, weights[i]) for i in (0, 1)]
    held = fresh if MIN_WEIGHT_CELLS <= fresh.sum() < len(fresh) / 2 else np.zeros(len(fresh), bool)
    banded = Banded.fit(found[0][~held], truth[0][~held])
    asked_level = _asked_level(banded, found[0][held], truth[0][held], check, level)
    skill = correlation(members["ridge"][1], truth[1], constant="truth")
    shape = seen.n_obs, int(y.shape[1])
    room = (np.empty(shape, np.float32) if folder is None else Spool(shape, folder) for _ in range(4))
    point, rate, lower, upper = room
    trusted, latent = np.zeros(seen.n_obs, bool), np.empty((seen.n_obs, model.n_latent), np.float32)
    _, back = interval_scale(model, to)
    predict = Members(reader, known, y)
    # cells of like depth together: a block then reads the reference's rates at few depths
    order = np.argsort(model.readout(seen, panel).depth(), kind="stable")
    for start in range(0, seen.n_obs, CELLS_PER_BLOCK):
        at = order[start : start + CELLS_PER_BLOCK]
        part = seen.subset(at)
        cells = reader.cells(part, tissue=True)
        pairs = predict(cells) | {"decode": reader.decoded(part, cells.depth)}
        own, free = (_mean({name: pair[i] for name, pair in pairs.items()}, weights[i]) for i in (0, 1))
        low, high = banded.interval(own, asked_level)
        point[at], rate[at], lower[at], upper[at] = back(own), back(free), back(low), back(high)
        latent[at] = cells.state
        trusted[at] = check.explained(cells.state) & (reader.counted(part).sum(1) > 0)
    return Imputed(point, lower, upper, rate, latent, trusted, skill, weights[0], asked_level, check, len(asked))


def _parts(fitted: View, seen: View, to: str, panel: str) -> tuple[View, View]:
    """Cells of the reference, in the order of their names, and of the tissue: the fitted ones, else those asked for."""
    both = fitted.present(panel) & fitted.present(to)
    reference = _by_name(fitted, np.flatnonzero(both), MAX_REFERENCE_CELLS)
    lacking = np.flatnonzero(fitted.present(panel) & ~fitted.present(to))
    return reference, _by_name(fitted, lacking, MAX_CHECKED_CELLS) if len(lacking) else seen


def _by_name(view: View, rows: Rows, most: int) -> View:
    """Some of the cells, the same ones in whatever order they stand."""
    rows = rows[np.argsort(view.obs_names[rows].astype(str), kind="stable")]
    return view.subset(rows[_some(len(rows), most, np.random.default_rng(0))])


def _some(n: int, most: int, rng: np.random.Generator) -> Rows:
    return np.sort(rng.permutation(n)[:most])


def _n_calibration(y: sp.csr_matrix) -> int:
    return int(np.clip(MAX_CALIBRATION_ENTRIES // y.shape[1], *CALIBRATION_CELLS))


class Members:
    """Members that read the panel, fitted on reference cells."""

    def __init__(self, reader: Reader, known: Cells, y: sp.csr_matrix) -> None:
        self.reader, self.known, self.y = reader, known, y
        logs = [y.copy(), y.copy()]
        if reader.counts:
            logs[1].data *= reader.scale / np.repeat(known.depth, np.diff(y.indptr))
            for each in logs:
                each.data = np.log1p(each.data)
        self.rates = logs[1]
        self.ridge = Ridge.fit(known, *(logs if reader.counts else logs[:1]))

    def __call__(self, asked: Cells) -> dict[str, tuple[Array, Array]]:
        """Predictions at the cell's own depth and at the typical one, by name of the member."""
        if not self.reader.counts:
            value = self.ridge[0](asked)
            return {"ridge": (value, value)}
        near = neighbours(self.known, asked)
        own = by_rates(near, self.y, self.known.depth, asked.depth)
        return {
            "neighbours": (own, (near @ self.rates).toarray()),
            "ridge": (np.maximum(self.ridge[0](asked), 0), np.maximum(self.ridge[1](asked), 0)),
        }


def _left_out(
    reader: Reader, reference: View, known: Cells, y: sp.csr_matrix, asked: Rows, rng: np.random.Generator
) -> tuple[dict[str, tuple[Array, Array]], tuple[Array, Array]]:
    """What members predict of reference cells that they have not seen, and the truth, at own and at typical depth."""
    fold = rng.permutation(reference.n_obs) % FOLDS
    out: dict[str, tuple[Array, Array]] = {}
    for number in range(FOLDS):
        here = np.flatnonzero(fold[asked] == number)
        rest = np.flatnonzero(fold != number)
        for name, pair in Members(reader, known.of(rest), y[rest])(known.of(asked[here])).items():
            held = out.setdefault(name, (np.empty((len(asked), y.shape[1])), np.empty((len(asked), y.shape[1]))))
            held[0][here], held[1][here] = pair
    out["decode"] = reader.decoded(reference.subset(asked), known.depth[asked])
    dense = y[asked].toarray()
    if not reader.counts:
        return out, (dense, dense)
    return out, (np.log1p(dense), np.log1p(dense / known.depth[asked][:, None] * reader.scale))


def _weights(members: dict[str, Array], truth: Array, fresh: Mask) -> dict[str, float]:
    """Weights by cells that the fit has not seen, half way to equal ones; they sum to one."""
    names = list(members)
    weight = np.full(len(names), 1 / len(names))
    told = truth[fresh].std(0) > 0 if fresh.any() else np.zeros(truth.shape[1], bool)
    if fresh.sum() >= MIN_WEIGHT_CELLS and told.any():
        sd = truth[fresh][:, told].std(0)
        every = (members[name][fresh][:, told] for name in names)
        columns = np.column_stack([((each - each.mean(0)) / sd).ravel() for each in every])
        true = truth[fresh][:, told]
        axes, triangle = np.linalg.qr(columns)  # as many rows as members, whatever the cells and features
        found, _ = nnls(triangle, axes.T @ ((true - true.mean(0)) / sd).ravel())
        if found.sum() > 0:
            weight = (weight + found / found.sum()) / 2
    return dict(zip(names, weight.tolist(), strict=True))


def _mean(members: dict[str, Array], weights: dict[str, float]) -> Array:
    return sum(weights[name] * value for name, value in members.items())  # type: ignore[return-value]


def _asked_level(banded: Banded, predicted: Array, truth: Array, check: PanelCheck, level: float) -> float:
    """Level at which unseen reference cells and the tissue's panel are covered as often as `level` says."""
    for share in LEVELS:
        asked = max(min(level + share * (1 - level), banded.highest), level)
        lower, upper = banded.interval(predicted, asked) if len(predicted) else (truth, truth)
        if (not truth.size or inside(truth, lower, upper).mean() >= level) and check.coverage(asked) >= level:
            break
    return asked
