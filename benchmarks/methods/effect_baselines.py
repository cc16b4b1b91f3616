"""Simple predictions of an action (`scvcell.risk.baselines.BASELINES`): no change, means, additive, linear, arithmetic.

The row of the method itself is no change; the others stand beside it. A replicate has to see what is asked for, so that
tables make it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.clock import Stopwatch
from benchmarks.task import Output
from scvcell.perturb import read_design
from scvcell.risk.baselines import BASELINES
from scvcell.score import log_cp10k

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("perturbation", "leaderboard")


def run(task: Task, seed: int) -> Output:
    """Answer every question by every baseline."""
    adata, keys = task.mdata[task.source], task.perturbation
    watch = Stopwatch()
    values, design = log_cp10k(task.counts(task.source)), read_design(keys, lambda name: adata.obs[name])
    out = watch.stamp(Output())
    allowed = np.ones(adata.n_obs, bool)
    for name, (action, cells, _) in task.questions.items():
        rows = adata.obs_names.get_indexer(cells)
        for baseline in (each for each in BASELINES if each != "replicate"):
            found = BASELINES[baseline](values, design, allowed, action, rows)
            place = out.counterfactual if baseline == "control" else out.alternatives.setdefault(baseline, {})
            place[name] = pd.DataFrame(found, index=cells, columns=adata.var_names)
    return out
