"""Predictors of this package: a fitted model, simple translations and effects, and linear matching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from scvcell import _keys, tl
from scvcell._containers import view
from scvcell._registry import near_miss
from scvcell._stats import cca
from scvcell.measure import Shares
from scvcell.model import CSL, calibration, interval_scale
from scvcell.perturb import PerturbationKeys
from scvcell.pp import Split
from scvcell.risk._predictor import QUANTILES, Effect, Effects, Place, States, Translate, Values
from scvcell.risk.baselines import TRANSLATORS
from scvcell.score import as_array, log_counts, log_cp10k

if TYPE_CHECKING:
    from scvcell._containers import Container
    from scvcell._types import Array
    from scvcell.risk._predictor import Prediction, Question

COMPONENTS = 30
"""Principal components of each assay that are matched."""
DIRECTIONS = 10
"""Canonical directions of the space in which cells are matched."""
BETWEEN = (0.5, 0.9)
"""Levels of the intervals whose ends are `QUANTILES`, all but the median."""


def seen_by(model: CSL) -> list[str]:
    """Names of the cells on which a model was fitted, which chose when to stop, or set intervals."""
    return [name for names in model.split_.values() for name in names]


def keys_read(predictor: Any) -> PerturbationKeys | None:
    """Columns that say what was done, and within which contexts, as a predictor reads them; None if it names none."""
    model = getattr(predictor, "model", None)
    if isinstance(model, CSL) and model.response is not None:
        return model.response.keys  # type: ignore[no-any-return]
    found, options = getattr(predictor, "keys", None), getattr(predictor, "options", None)
    if found is None and isinstance(options, Mapping):
        found = options.get("perturbation")
    return found if isinstance(found, PerturbationKeys) else None


def shown_split(data: Container, split: Split) -> Split:
    """A split for data of which the truth was taken out.

    Cells that are there under other names, so that nobody knows which they are, may be learned from.

    Parameters
    ----------
    data
        What a predictor may see.
    split
        The split of all data.
    """
    names = view(data).obs_names
    new = names.difference(split.reasons.index, sort=False)
    parts = {part: getattr(split, part) for part in ("train", "calibration")}
    here = {part: cells[cells.isin(names)] for part, cells in parts.items()}
    if not len(new) and all(len(here[part]) == len(cells) for part, cells in parts.items()):
        return split
    why = pd.concat([split.reasons, pd.Series("there under another name", new, dtype=object)])
    return Split(here["train"].append(new), here["calibration"], split.test, split.reason, split.how, why=why)


@dataclass
class ModelPredictor:
    """A cell-state latent, asked through the verbs of `scvcell.tl`: `embed`, `translate`, `effects` and `perturb`.

    Where it is fitted here, it is fitted as yours is, ``tl.fit(..., split=split)``, so that calibration cells of the
    split set its intervals, where it has any.

    Parameters
    ----------
    model
        A fitted model. By default one is fitted on what may be seen.
    options
        Arguments of `scvcell.tl.fit`, for a fit.
    name
        Name in tables.
    """

    model: CSL | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = "scvcell"
    _data: Container = field(default=None, init=False, repr=False)
    _asked: CSL = field(init=False, repr=False)
    _seed: int = field(default=0, init=False, repr=False)

    def fit(self, data: Container, split: Split, seed: int) -> None:
        """Fit a model without the test cells; or check that the model that was given has not seen them.

        Test cells that the data have under other names, with their pairing hidden, are not left out.

        Raises
        ------
        ValueError
            If the model that was given has seen test cells. Leave them out of its fit: ``tl.fit(..., split=split)``.
        """
        self._data, self._seed = data, seed
        if self.model is None:
            self._asked = tl.fit(data, split=shown_split(data, split), seed=seed, **self.options)
            return
        if len(shown := split.test.intersection(seen_by(self.model))):
            raise ValueError(
                f"The model was fitted on {len(shown)} test cells, e.g. {shown[0]!r}. Fit it with split=split, or give "
                "no model, so that one is fitted on what may be seen."
            )
        self._asked = self.model

    def predict(self, question: Question) -> Prediction | None:
        """States of a `Place`, values of a `Translate`, the effect of an `Effect`; the latter two with intervals.

        Cells that lack the assay are NaN. A model that has learned no perturbation does not answer `Effect`, nor does
        one that has learned none of the assay. Cells of several contexts are one group, as of ``groupby=[]``.

        Raises
        ------
        ValueError
            If nothing tells the model of a target of the action.
        """
        if isinstance(question, Place):
            states = {}
            for modality, cells in question.cells.items():
                key = f"X_{modality}"
                tl.embed(self._data, self._asked, modalities=[modality], key_added=key)
                states[modality] = pd.DataFrame(self._data.obsm[key], view(self._data).obs_names).loc[cells]
            return States(states)
        if isinstance(question, Effect):
            known: Any = self._asked.parts.get("response")
            return self._effect(question) if known and question.modality in known.anchors else None
        asked = view(self._data).source[question.cells].copy()  # a cell's answer depends on no other one
        found = tl.translate(asked, self._asked, to=question.to, source=[question.source], level=question.level)
        found = found[question.cells]
        lower, upper = (found.to_df(end) for end in (_keys.LOWER, _keys.UPPER))
        return Values(found.to_df(), lower, upper, self._quantiles(question, found.to_df(), upper))

    def _quantiles(
        self, question: Translate, point: pd.DataFrame, upper: pd.DataFrame
    ) -> dict[float, pd.DataFrame] | None:
        """Quantiles by the same errors as the interval, whose widths at two levels are in one ratio for all cells."""
        conformal = calibration(self._asked, question.to, [question.source])
        if conformal is None:
            return None
        forward, back = interval_scale(self._asked, question.to)
        middle, width = forward(point), conformal.quantile(question.level)
        half = (forward(upper) - middle) / np.where(width > 0, width, 1)
        found = {}
        for level in QUANTILES:
            between = round(abs(2 * level - 1), 6)
            far = np.sign(level - 0.5) * half * conformal.quantile(between) if between else 0
            found[level] = back(middle + far)
        return found

    def _effect(self, question: Effect) -> Effects:
        """The effect by `tl.effects`, and cells by `tl.perturb`."""
        if not isinstance(self._asked.network.operators[question.modality], Shares):
            after = self._after(question)
            before = _table(self._data, question.modality).loc[after.index, after.columns]
            return Effects(pd.DataFrame({"effect": _change(log_cp10k(after), log_cp10k(before))}, after.columns), after)
        told = {level: self._told(question, level) for level in {question.level, *BETWEEN}}
        change = told[question.level][["lfc", _keys.LOWER, _keys.UPPER]].rename(columns={"lfc": "effect"})
        ends = [change["effect"], *(told[level][end] for level in BETWEEN for end in (_keys.LOWER, _keys.UPPER))]
        quantiles = pd.DataFrame(np.sort(np.column_stack(ends), axis=1), change.index, list(QUANTILES)) * np.log(2)
        quantiles = quantiles.where(np.isfinite(quantiles).all(axis=1))
        after = self._after(question)  # last: it is the largest
        return Effects(change * np.log(2), after, None if quantiles.isna().all(axis=None) else quantiles)

    def _after(self, question: Effect) -> pd.DataFrame:
        """Values of cells after the action."""
        cells = tl.perturb(self._data, self._asked, question.action, cells=question.cells, seed=self._seed)
        table = view(cells).modalities[question.modality]
        names = pd.Index(table.obs[_keys.SOURCE_CELL], name=None)
        return pd.DataFrame(as_array(table.X), names, table.var_names, copy=False)

    def _told(self, question: Effect, level: float) -> pd.DataFrame:
        """Effect on the assay, in log2, with its interval, of all cells as one group."""
        asked: Any = {"cells": question.cells, "groupby": [], "level": level, "n_cells": question.n_treated}
        found = tl.effects(self._data, self._asked, question.action, **asked)
        return found[found["modality"] == question.modality].set_index("feature").rename_axis(None)


@dataclass
class Translator:
    """A simple translation, learned on the cells that were seen with both assays. It does not answer `Place`.

    Parameters
    ----------
    name
        One of `scvcell.risk.baselines.TRANSLATORS`.
    """

    name: str = "PCA + ridge"
    _data: Container = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.name not in TRANSLATORS:
            raise ValueError(
                f"There is no translation {self.name!r}.{near_miss(self.name, TRANSLATORS)} There are "
                f"{', '.join(TRANSLATORS)}."
            )

    def fit(self, data: Container, split: Split, seed: int) -> None:
        """Keep what may be seen; what is learned depends on the question."""
        self._data = data

    def predict(self, question: Question) -> Prediction | None:
        """Predicted counts, without intervals; the source is seen as ``log1p`` of counts per 10,000."""
        if not isinstance(question, Translate):
            return None
        x, y = (_table(self._data, m) for m in (question.source, question.to))
        pairs = x.index.intersection(y.index)
        if not len(pairs):
            return None
        point = TRANSLATORS[self.name](
            log_cp10k(x.loc[pairs]), log_counts(y.loc[pairs]), log_cp10k(x.loc[question.cells])
        )
        return Values(pd.DataFrame(np.expm1(point), question.cells, y.columns))


@dataclass
class LinearMatch:
    """Canonical correlation of the principal components of two assays, learned on the cells that were seen with both.

    It does not answer `Translate`.
    """

    name: str = "CCA"
    _data: Container = field(default=None, init=False, repr=False)
    _seed: int = field(default=0, init=False, repr=False)

    def fit(self, data: Container, split: Split, seed: int) -> None:
        """Keep what may be seen; what is learned depends on the question."""
        self._data, self._seed = data, seed

    def predict(self, question: Question) -> Prediction | None:
        """States in the space of canonical directions."""
        if not isinstance(question, Place):
            return None
        (a, one), (b, other) = ((m, self._components(m)) for m in question.cells)
        pairs = one.index.intersection(other.index)
        if len(pairs) < 2:
            return None
        maps = cca(one.loc[pairs].to_numpy(), other.loc[pairs].to_numpy(), DIRECTIONS)
        placed = {
            m: (z - z.loc[pairs].mean()).loc[question.cells[m]] @ by
            for m, z, by in zip((a, b), (one, other), maps, strict=True)
        }
        return States(placed)

    def _components(self, modality: str) -> pd.DataFrame:
        """Principal components of all cells of an assay, each of variance 1."""
        table = _table(self._data, modality)
        n = min(COMPONENTS, len(table) - 1, table.shape[1])
        pca = PCA(n, whiten=True, svd_solver="randomized", random_state=self._seed)
        return pd.DataFrame(pca.fit_transform(log_cp10k(table)), table.index)


def _change(after: Any, before: Any) -> Array:
    """Difference of the means over cells, ``(features,)``."""
    return np.asarray(after, float).mean(0) - np.asarray(before, float).mean(0)  # type: ignore[no-any-return]


def _table(data: Container, modality: str) -> pd.DataFrame:
    """Counts of an assay, labelled."""
    adata = view(data).modalities[modality]
    counts: Array = as_array(adata.X)
    return pd.DataFrame(counts, adata.obs_names, adata.var_names)
