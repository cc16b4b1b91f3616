"""What a method is given (`Task`) and what it returns (`Output`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from scvcell.score import clr, dense, log_counts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mudata import MuData

    from scvcell import Action, PerturbationKeys

SCALES = {"clr": lambda x: clr(dense(x)), "log1p": lambda x: log_counts(dense(x)), "identity": dense}


class Question(NamedTuple):
    """What an action would do to some control cells, as it shows in the mean of `n_treated` treated ones."""

    action: Action
    cells: pd.Index
    n_treated: int | None = None


class Position(NamedTuple):
    """Probabilities of places, cells x places; coordinates of these and their width; share of them in the region."""

    probability: pd.DataFrame
    places: pd.DataFrame
    width: float
    region: pd.Series


@dataclass(frozen=True)
class Task:
    """One problem with everything hidden already taken out of `mdata`.

    Parameters
    ----------
    mdata
        Raw counts in ``.X`` of every modality; ``obs[batch_key]`` in the MuData and in each modality; nothing else.
    source, target
        Names of the modality to predict from and of the one to predict.
    query
        Names of cells that have `source` and whose `target` must be predicted.
    links
        How features of the two assays are linked, for `scvcell.pp.link_features`: ``"distance"`` or ``"name"``.
    reverse
        Names of cells that have `target` and whose `source` must be predicted.
    observed_batch
        The batch whose `target` was measured together with `source`: what "as measured" means for a prediction.
    scale
        Scale of `Output.prediction`, the one that is scored: ``"clr"`` or ``"log1p"`` of counts, ``"identity"`` of
        profiles that are no counts.
    grid
        Settings from which a simple baseline chooses by cross-validation on pairs; one value means fixed.
    epochs
        Overrides a method's own number of epochs; ``None`` for every real run.
    monitor
        Call as ``monitor(prediction, {"seconds": ..., "epoch": ...})`` during training to record a curve; the truth
        stays behind it, and the time it takes must not count as training.
    level
        Nominal level of intervals.
    path
        Where the data lie on disk, for methods that can read them backed.
    perturbation
        Columns that say what was done to the cells of `source`.
    kernel
        What is known of the targets, one row each.
    questions
        By name, what would happen to which cells.
    pooled
        Whether every question is asked once more of what was learned without contexts, on the same states, with and
        without the controls that are asked about: ``Output.alternatives["no context"]`` and
        ``["no context, other controls"]``.
    """

    mdata: MuData
    source: str
    target: str
    query: pd.Index = field(default_factory=lambda: pd.Index([]))
    links: str = "distance"
    reverse: pd.Index = field(default_factory=lambda: pd.Index([]))
    observed_batch: str | None = None
    scale: str = "log1p"
    batch_key: str = "batch"
    grid: Mapping[str, tuple] = field(default_factory=dict)
    epochs: int | None = None
    monitor: Callable[[pd.DataFrame, dict[str, float]], None] | None = None
    level: float = 0.9
    path: Path | None = None
    perturbation: PerturbationKeys | None = None
    kernel: pd.DataFrame | None = None
    questions: Mapping[str, Question] = field(default_factory=dict)
    pooled: bool = False

    def names(self, modality: str) -> pd.Index:
        """Cells measured in `modality`."""
        return self.mdata.mod[modality].obs_names

    def batch(self, modality: str) -> np.ndarray:
        """Batch of every cell of `modality`."""
        return self.mdata.mod[modality].obs[self.batch_key].astype(str).to_numpy()

    def counts(self, modality: str) -> np.ndarray:
        """Dense counts of `modality`."""
        return dense(self.mdata.mod[modality].X)

    @property
    def features(self) -> pd.Index:
        """Features of the target."""
        return self.mdata.mod[self.target].var_names

    @property
    def paired(self) -> pd.Index:
        """Cells measured in both modalities, in the order of `source`."""
        source, target = self.names(self.source), self.names(self.target)
        return source[source.isin(target)]

    def rows(self, modality: str, names: pd.Index) -> np.ndarray:
        """Row numbers of `names` in `modality`."""
        rows = self.names(modality).get_indexer(names)
        if (rows < 0).any():
            msg = f"{(rows < 0).sum()} of {len(names)} cells are not measured in {modality!r}"
            raise KeyError(msg)
        return rows

    def scaled_target(self) -> np.ndarray:
        """Measured target on the scored scale, cells of the target x features."""
        return SCALES[self.scale](self.counts(self.target))

    def frame(self, values: np.ndarray, names: pd.Index | None = None) -> pd.DataFrame:
        """Label predictions of the query cells (or `names`)."""
        return pd.DataFrame(np.asarray(values), index=self.query if names is None else names, columns=self.features)

    def from_counts(self, counts: np.ndarray, names: pd.Index | None = None) -> pd.DataFrame:
        """Bring a prediction of counts to the scored scale."""
        return self.frame(SCALES[self.scale](counts), names)


@dataclass
class Output:
    """What can be scored. Everything is labelled by cell names, so that order never matters.

    Parameters
    ----------
    embedding
        Modality -> cells x dimensions, each cell encoded from that modality alone, all in one space.
    joint
        Paired cells x dimensions, encoded from both modalities.
    neighbours
        Paired cells x k names of nearest paired cells, for methods that give a graph instead of `joint`.
    composition
        Spots x kinds of cells: shares. `lower` and `upper` are then their intervals.
    points, position
        Query cells x coordinates; and how probable each place is.
    labels
        Cells x ``label``, ``probability`` and, where the method has them, ``set`` and ``trusted``; of donors
        ``probability`` of the second outcome.
    prediction
        Query cells x target features on `Task.scale`.
    counterfactual
        Question -> its cells (or draws of them) x features, log1p of counts per 10,000; in *matching* effects on cells.
    effects
        Question -> effects with intervals as `scvcell.tl.effects` gives them, for one group of cells.
    cells, response, impact
        What `scvcell.tl.response_score` writes of each cell, what it returns, and what `scvcell.tl.impact` returns; in
        *mapping* the `cells` have what `scvcell.tl.map_to_space` says of them.
    translation
        Modality -> `Task.query` or `Task.reverse` cells x its features: expected shares of the cell's counts.
    steps
        Variant (``""``: the method's own) -> random walk among the cells by its velocity, ``(cells, cells)``.
    gene_velocity
        Variant -> cells x genes that have a velocity: change of mature counts.
    forecast
        ``latent``, ``later`` (after 2 lifetimes; cells x dimensions), ``members`` (velocities by each of the field).
    imputation
        Variant (``""``: the method's own) -> hidden genes of the tissue's cells, log1p of counts and of rates.
    intervals
        Variant -> ends of their 90 % intervals, log1p counts.
    trusted_features
        Whether each hidden gene is trusted.
    alternatives
        Other point predictions of the same method, scored under their own name.
    lower, upper
        Predictive interval at `Task.level` on the scale of counts; in *matching* of the effect on each cell, on the
        scale of `effects`.
    fit_seconds, fit_cpu_seconds
        Wall and CPU time of set-up and training, without prediction and without monitoring
        (`benchmarks.clock.Stopwatch.stamp`).
    epochs
        Epochs trained.
    notes
        Anything worth keeping in the raw record (plain values).
    """

    embedding: dict[str, pd.DataFrame] = field(default_factory=dict)
    joint: pd.DataFrame | None = None
    neighbours: pd.DataFrame | None = None
    composition: pd.DataFrame | None = None
    points: pd.DataFrame | None = None
    position: Position | None = None
    labels: pd.DataFrame | None = None
    prediction: pd.DataFrame | None = None
    counterfactual: dict[str, pd.DataFrame] = field(default_factory=dict)
    effects: dict[str, pd.DataFrame] = field(default_factory=dict)
    cells: pd.DataFrame | None = None
    response: pd.DataFrame | None = None
    impact: pd.DataFrame | None = None
    translation: dict[str, pd.DataFrame] = field(default_factory=dict)
    steps: dict[str, Any] = field(default_factory=dict)
    gene_velocity: dict[str, pd.DataFrame] = field(default_factory=dict)
    forecast: dict[str, np.ndarray] = field(default_factory=dict)
    imputation: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = field(default_factory=dict)
    intervals: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = field(default_factory=dict)
    trusted_features: pd.Series | None = None
    alternatives: dict[str, pd.DataFrame] = field(default_factory=dict)
    lower: pd.DataFrame | None = None
    upper: pd.DataFrame | None = None
    fit_seconds: float = float("nan")
    fit_cpu_seconds: float = float("nan")
    epochs: int | None = None
    notes: dict[str, Any] = field(default_factory=dict)
