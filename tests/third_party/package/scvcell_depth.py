"""What a third party brings: ranks, half an effect, cells of which fewer counts were read, and signs of effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.stats import spearmanr

from scvcell.risk import Readout, Translate
from scvcell.risk.axes import Axis, StressTest, scores
from scvcell.score import Metric, dense, log_counts


def rank_correlation(predicted, true):
    """Spearman correlation of each column, ``(features,)``."""
    return np.array([spearmanr(p, t)[0] for p, t in zip(predicted.T, true.T, strict=True)])


SPEARMAN = Metric(
    name="spearman",
    function=rank_correlation,
    takes="values",
    better="higher",
    per="feature",
    scale="any",
    formula="Pearson correlation of ranks",
    source="Spearman, 1904",
    fooled_by="ties",
)


def halved(values, design, allowed, action, cells):
    """Half of the mean difference between treated and control cells."""
    treated, control = (values[allowed & mask].mean(0) for mask in (design.treated, design.control))
    return values[cells] + (treated - control) / 2


@dataclass(frozen=True)
class Depth(Axis):
    """Test cells lack one assay, and only a share of the counts of the other is left."""

    name: ClassVar[str] = "depth"

    source: str = "rna"
    to: str = "adt"
    share: float = 0.3
    metrics: tuple[str, ...] = ("rmse", "spearman")

    def hide(self, data, split):
        """Take one assay away from the test cells, thin the other."""
        hidden = data.copy()
        hidden.mod[self.to] = hidden.mod[self.to][~hidden.mod[self.to].obs_names.isin(split.test)].copy()
        source = hidden.mod[self.source]
        x = dense(source.X).astype(int)
        test = source.obs_names.isin(split.test)
        x[test] = np.random.default_rng(0).binomial(x[test], self.share)
        source.X = sp.csr_matrix(x.astype(np.float32))
        hidden.update()
        return hidden

    def stress_tests(self, data, split):
        """One test: translate the test cells."""
        table = data.mod[self.to][split.test]
        truth = pd.DataFrame(dense(table.X), split.test, table.var_names)
        question = Translate(self.source, self.to, split.test)
        yield StressTest(self.name, "thinned", "fewer counts", 1 - self.share, "share lost", question, lambda: truth)

    def score(self, test, prediction):
        """Values on the scale of log1p."""
        truth = test.truth()
        point = prediction.at(truth.index, truth.columns)[0]
        told = np.isfinite(point).all(1)
        values = log_counts(point[told]), log_counts(truth.to_numpy())[told]
        return {"answered": told.mean()} | scores(self.metrics, {"values": values})


class Signs(Readout):
    """Which way each feature goes."""

    name, metrics, reads = "signs", ("pearson_effect",), ("effects",)

    def __call__(self, values, features):
        """1 up, -1 down."""
        return np.sign(values)
