"""TACCO 0.5 with its defaults: optimal transport between types and spots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata
import pandas as pd
import tacco

from benchmarks.clock import Stopwatch
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("deconvolution",)


def run(task: Task, seed: int) -> Output:
    """Shares of types."""
    watch = Stopwatch()
    cells, spots = task.mdata["rna"], task.mdata["spots"]
    obs = pd.DataFrame({"kind": pd.Categorical(cells.obs["kind"].astype(str))}, index=cells.obs_names)
    reference = anndata.AnnData(cells.X.copy(), obs=obs, var=pd.DataFrame(index=cells.var_names))
    target = anndata.AnnData(spots.X.copy(), obs=pd.DataFrame(index=spots.obs_names), var=reference.var.copy())
    tacco.tl.annotate(target, reference, annotation_key="kind", result_key="shares")
    found = target.obsm["shares"]
    found = found.div(found.sum(1), axis=0).reindex(columns=sorted(obs["kind"].unique())).fillna(0)
    return watch.stamp(Output(composition=found))
