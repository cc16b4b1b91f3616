"""TISSUE (tissue-sc 1.0.1) on SpaGE, its default: intervals by 10 folds of the panel's genes, grouped as it says.

Both tables hold log1p counts, so that its intervals are for the scale that is scored. They are cut off at 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tissue.main as tissue_main

from benchmarks.clock import Stopwatch
from benchmarks.task import Output
from scvcell.score import dense

if TYPE_CHECKING:
    import pandas as pd

    from benchmarks.task import Task

TABLES = ("imputation",)
LEVELS = (0.9, 0.8, 0.85, 0.95)


def run(task: Task, seed: int) -> Output:
    """Its predictions and intervals at several levels."""
    reference, cells = task.mdata["rna"].copy(), task.mdata["tissue"].copy()
    hidden = reference.var_names[~reference.var_names.isin(cells.var_names)]
    for table in (reference, cells):
        table.X = np.log1p(dense(table.X))
    names, lower = cells.obs_names, {name.lower(): name for name in reference.var_names}
    watch = Stopwatch()
    genes = list(cells.var_names)
    tissue_main.build_spatial_graph(cells, method="fixed_radius", n_neighbors=20)
    n_pv = min(30, len(genes) // 2)
    tissue_main.predict_gene_expression(
        cells, reference, list(hidden), conf_genes=genes, method="spage", n_folds=10, random_seed=seed, n_pv=n_pv
    )
    key, calibrated = "spage_predicted_expression", [gene.lower() for gene in genes]
    tissue_main.conformalize_spatial_uncertainty(
        cells, key, calibrated, grouping_method="kmeans_gene_cell", k="auto", k2="auto"
    )

    def frame(values: pd.DataFrame) -> pd.DataFrame:
        found = values.rename(columns=lower)[list(hidden)].set_axis(names)
        return found.clip(lower=0)

    out = Output()
    for level in LEVELS:
        tissue_main.conformalize_prediction_interval(cells, key, calibrated, alpha_level=1 - level, symmetric=False)
        name = "" if level == task.level else f"level {level}"
        out.intervals[name] = frame(cells.obsm[f"{key}_lo"]), frame(cells.obsm[f"{key}_hi"])
    raw = frame(cells.obsm[key])
    out.imputation = {"": (raw, raw)}
    return watch.stamp(out)
