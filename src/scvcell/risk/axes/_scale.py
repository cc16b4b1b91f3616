"""The axis of scales: cells are pooled to patches, which are to be taken apart again, and some features are hidden."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from scvcell import score
from scvcell._checks import check_level, whole_number
from scvcell._containers import Space, view
from scvcell._labels import labels
from scvcell.risk._predictor import Translate, Values
from scvcell.risk.axes._base import AXES, Axis, Scored, StressTest, need_modalities
from scvcell.risk.axes._values import VALUES, blocks, scored_values, twin
from scvcell.risk.baselines import PooledMean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scvcell._containers import Container
    from scvcell._types import Array
    from scvcell.risk._predictor import Prediction, Predictor
    from scvcell.risk._split import Split
    from scvcell.risk.readouts import Readout

MEASURE = "cells of a patch beside the first"


class _Patches(NamedTuple):
    """Sums of test cells over patches of one size, and what is true of them."""

    counts: pd.DataFrame
    shares: pd.DataFrame
    obs: pd.DataFrame


@AXES.register("scale")
@dataclass(frozen=True)
class Scale(Axis):
    """Patches of test cells, of which only sums are seen: the kinds they hold and their hidden features are asked for.

    A predictor sees the cells that may be learned from as ``"rna"``, and as ``"patches"`` sums of the nearest test
    cells around some of them, for each size, without the hidden features. It is asked for the shares of kinds
    (``to`` is the column of the kind), and for the sums of the hidden features (``to`` is ``"rna"``).

    Parameters
    ----------
    kind
        Column of obs with the kind of each cell.
    modality
        Modality of counts.
    sizes
        Cells of a patch.
    n_patches
        Patches of each size, at most.
    hidden
        Share of the features that patches lack, in (0, 1).
    section_key
        Column of the section, which patches do not cross.
    keep
        Columns of obs that predictors may see, such as the batch; of a patch that of the cell in its middle.
    level
        Level of the intervals that are asked for.
    seed
        Seed of patches, their names and the hidden features.
    n_blocks
        Random blocks of patches as exchangeable units, at most; one has at least 30 patches.
    metrics
        Metrics of values and intervals, by name; metrics that take anything else are left out.

    Notes
    -----
    Shares are scored as they are, of the kinds that may be seen; sums as ``log1p``. A predictor that does not name a
    kind says that there is none of it.
    """

    name: ClassVar[str] = "scale"
    baseline: ClassVar[str] = "mean of cells"

    kind: str = "cell_type"
    modality: str = "rna"
    sizes: tuple[int, ...] = (3, 8, 20)
    n_patches: int = 200
    hidden: float = 0.2
    section_key: str | None = None
    keep: tuple[str, ...] = ("batch",)
    level: float = 0.9
    seed: int = 0
    n_blocks: int = 20
    metrics: tuple[str, ...] = VALUES

    def __post_init__(self) -> None:
        check_level(self.level)
        for size in self.sizes:
            whole_number("sizes", size, 1)
        whole_number("n_patches", self.n_patches, 1)
        if not 0 < self.hidden < 1:
            raise ValueError(f"hidden is a share of the features, between 0 and 1, not {self.hidden!r}.")

    def hide(self, data: Container, split: Split) -> MuData:
        """The cells that may be seen, and the patches of the others without the hidden features."""
        adata = self._table(data)
        seen = adata[~adata.obs_names.isin(split.test)]
        columns = [key for key in dict.fromkeys((self.kind, *self.keep)) if key in adata.obs]
        cells = AnnData(seen.X.copy(), seen.obs[columns].copy(), adata.var.copy())
        patches = list(self._patches(data, split).values())
        told = pd.concat([each.counts for each in patches]).drop(columns=self._withheld(adata.var_names))
        obs = pd.concat([each.obs for each in patches])
        table = AnnData(sp.csr_matrix(told.to_numpy()), obs, adata.var.loc[told.columns].copy())
        with warnings.catch_warnings():  # of features that both have, as they should
            warnings.filterwarnings("ignore", message="var_names are not unique")
            return MuData({self.modality: cells, "patches": table})

    def stress_tests(self, data: Container, split: Split) -> Iterator[StressTest]:
        """Kinds and hidden features of the patches of each size."""
        withheld = self._withheld(self._table(data).var_names)
        for size, patches in self._patches(data, split).items():
            units = blocks(patches.counts.index, self.n_blocks, self.seed) + f" of patches of {size}"
            asked = patches.counts.index.sort_values()
            for what, to, truth in (
                (self.kind, self.kind, patches.shares),
                ("hidden features", self.modality, patches.counts[withheld]),
            ):
                question = Translate("patches", to, asked, self.level)
                about = (self.name, f"{what}, patches of {size}", "pooled cells", float(size - 1), MEASURE)
                of = {str(name): pd.Index([]) for name in sorted(set(units))}
                yield StressTest(*about, question, truth.copy, of, units)

    def score(self, test: StressTest, prediction: Prediction) -> dict[str, float]:
        """Scores of shares, or of the logarithms of sums, of the patches that were answered."""
        one = pd.Index(["all"] * len(test.truth()))
        return {each.metric: each.value for each in self._scored(test, prediction, one)}

    def scored(
        self, test: StressTest, prediction: Prediction, part: int = 0, readouts: Sequence[Readout] = ()
    ) -> list[Scored]:
        """The same, unit by unit."""
        return self._scored(test, prediction, cast("pd.Index", test.unit_of), readouts)

    def replicate(self, test: StressTest, part: int = 0) -> Values:
        """The true shares; sums as a second measurement, as far as counting goes."""
        truth = test.truth()
        return Values(truth) if self._of_shares(test) else twin(truth, [self.seed, part])

    def baselines(self) -> list[Predictor]:
        """The mean of all cells."""
        return [PooledMean(self.modality)]

    def _of_shares(self, test: StressTest) -> bool:
        return cast("Translate", test.question).to == self.kind

    def _scored(
        self, test: StressTest, prediction: Prediction, units: pd.Index, readouts: Sequence[Readout] = ()
    ) -> list[Scored]:
        truth, values, shares = test.truth(), cast("Values", prediction), self._of_shares(test)
        frames = [values.point, values.lower, values.upper]
        none = 0.0 if shares else np.nan
        told = [None if each is None else pd.DataFrame(_at(each, truth, none), *truth.axes) for each in frames]
        name, scale = ("shares", np.asarray) if shares else ("sums", score.log_counts)
        quantiles = values.quantiles and {
            level: pd.DataFrame(_at(each, truth, none), *truth.axes) for level, each in values.quantiles.items()
        }
        answer = Values(cast("pd.DataFrame", told[0]), told[1], told[2], quantiles)
        return scored_values(units, truth, answer, name, self.metrics, self.level, () if shares else readouts, scale)

    def _table(self, data: Container) -> AnnData:
        need_modalities(data, self.modality)
        return view(data).modalities[self.modality]

    def _withheld(self, features: pd.Index) -> list[str]:
        """Features that patches lack, in their order."""
        rng, n = np.random.default_rng([self.seed, 1]), len(features)
        at = rng.permutation(n)[: min(max(round(self.hidden * n), 1), n - 1)]
        return [str(features[k]) for k in np.sort(at)]

    def _patches(self, data: Container, split: Split) -> dict[int, _Patches]:
        """By size, sums and shares of kinds of patches, in an order and under names that tell nothing."""
        adata, seen = self._table(data), view(data)
        at = np.flatnonzero(seen.obs_names.isin(split.test) & seen.present(self.modality))
        part, rng = seen.subset(at), np.random.default_rng([self.seed, 2])
        kind = labels(part.column(self.kind))
        kinds = sorted(set(labels(seen.column(self.kind))[~seen.obs_names.isin(split.test)].dropna()))
        one = np.equal.outer(kind.to_numpy(object), np.array(kinds, object)).astype(float)
        space, rows = Space.of(part, self.section_key), seen.rows[self.modality][at]
        columns, out = [key for key in self.keep if key in seen.columns], {}
        for size in self.sizes:
            near = space.nearest(size)
            whole = rng.permutation(np.flatnonzero(near.weight == size))[: self.n_patches]
            if len(whole) < 2:
                raise ValueError(f"Fewer than two test cells have {size} test cells of their section near them.")
            names = pd.Index([f"patch {i} of {size} cells" for i in rng.permutation(len(whole))])
            matrix = near.matrix[whole]
            counts = score.dense(matrix @ sp.csr_matrix(adata.X[rows]))
            shares = (matrix @ one) / size
            obs = pd.DataFrame({key: part.column(key).to_numpy()[whole] for key in columns}, index=names)
            told = pd.DataFrame(counts, names, adata.var_names), pd.DataFrame(shares, names, kinds)
            out[size] = _Patches(*told, obs)
        return out


def _at(frame: pd.DataFrame, truth: pd.DataFrame, none: float) -> Array:
    """Values of the patches and columns that are asked for; of a column that was not answered `none`."""
    known = frame.reindex(index=truth.index, columns=truth.columns.intersection(frame.columns)).dropna(how="any")
    if not known.shape[1]:
        return np.full(truth.shape, np.nan)
    return known.reindex(columns=truth.columns, fill_value=none).reindex(index=truth.index).to_numpy(float)
