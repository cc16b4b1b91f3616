"""Predictors along the axis of scales: what sums of cells hold, by this package's lift and by methods of the table.

Shares of kinds come from the method; sums of features that were not seen are those of the kinds' mean profiles in these
shares, at the depth of the features that were.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import mudata
import numpy as np
import pandas as pd

import scvcell
from benchmarks.task import Task
from scvcell import risk
from scvcell.score import dense

if TYPE_CHECKING:
    from anndata import AnnData

    from scvcell import CSL


@dataclass
class Composition:
    """A method of table *deconvolution* as a predictor.

    Parameters
    ----------
    name
        Name in tables; with an alternative of the method in brackets.
    kind
        Column of the kind of a cell.
    """

    name: str
    kind: str
    _cells: AnnData = field(default=None, init=False, repr=False)
    _patches: AnnData = field(default=None, init=False, repr=False)
    _seed: int = field(default=0, init=False, repr=False)
    _told: dict[tuple[str, float], list[pd.DataFrame]] = field(default_factory=dict, init=False, repr=False)

    def fit(self, data: Any, split: risk.Split, seed: int) -> None:
        """Keep the cells that may be learned from, and the sums."""
        cells = data["rna"] if isinstance(data, mudata.MuData) else data
        self._cells, self._seed, self._told = cells[~cells.obs_names.isin(split.test)].copy(), seed, {}
        self._patches = data["patches"] if isinstance(data, mudata.MuData) and "patches" in data.mod else None

    def predict(self, question: risk.Question) -> risk.Prediction | None:
        """Shares of kinds, or sums of the features that are asked for."""
        if not isinstance(question, risk.Translate) or question.source != "patches":
            return None
        patches, key = self._patches[question.cells], (question.cells[0], question.level)
        if key not in self._told:  # of each patch two things are asked
            self._told[key] = self.shares(patches, question.level)
        shares, *ends = self._told[key]
        if question.to == self.kind:
            return risk.Values(shares, *ends)
        mean = self._profiles().reindex(shares.columns)
        sums = shares.to_numpy() @ mean.to_numpy()
        at = mean.columns.get_indexer(patches.var_names)
        sums *= dense(patches.X).sum(1, keepdims=True) / np.maximum(sums[:, at].sum(1, keepdims=True), 1e-12)
        return risk.Values(pd.DataFrame(sums, shares.index, mean.columns))

    def shares(self, patches: AnnData, level: float) -> list[pd.DataFrame]:
        """Shares of kinds in each sum, and ends of their intervals where there are any."""
        method, _, part = self.name.removesuffix(")").partition(" (")
        cells = self._cells[:, patches.var_names].copy()
        cells.obs["kind"] = cells.obs[self.kind].astype(str)
        task = Task(mdata=mudata.MuData({"rna": cells, "spots": patches.copy()}), source="rna", target="spots")
        out = importlib.import_module(f"benchmarks.methods.{method}").run(task, self._seed)
        return [out.alternatives[part] if part else out.composition]

    def _profiles(self) -> pd.DataFrame:
        """Mean counts of a cell of each kind."""
        kind = self._cells.obs[self.kind].astype(str).to_numpy()
        return pd.DataFrame(dense(self._cells.X), columns=self._cells.var_names).groupby(kind).mean()


@dataclass
class Lift(Composition):
    """This package's model of cells and its lift, with defaults."""

    name: str = "scvcell"
    kind: str = "cell_type"
    _model: CSL = field(default=None, init=False, repr=False)

    def fit(self, data: Any, split: risk.Split, seed: int) -> None:
        """Fit the model on the cells that may be learned from."""
        super().fit(data, split, seed)
        self._model = scvcell.tl.fit(self._cells, batch_key="batch", seed=seed)

    def predict(self, question: risk.Question) -> risk.Prediction | None:
        """States of cells too."""
        if isinstance(question, risk.Place):
            cells = self._cells[question.cells["rna"]].copy()
            scvcell.tl.embed(cells, self._model)
            return risk.States({"rna": pd.DataFrame(cells.obsm["X_csl"], cells.obs_names)})
        return super().predict(question)

    def shares(self, patches: AnnData, level: float) -> list[pd.DataFrame]:
        """Shares and their intervals."""
        spots = patches.copy()
        spots.obs["batch"] = self._model.schema.batches[0]
        found = scvcell.tl.lift(
            spots, self._model, reference=self._cells, labels_key=self.kind, level=level, seed=self._seed
        )
        ends = [found.layers[end] for end in ("lower", "upper") if end in found.layers]
        return [pd.DataFrame(x, found.obs_names, found.var_names) for x in (found.X, *ends)]
