"""Features of one name alone, each averaged over 15 neighbours in its assay and z-scored within batch; normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.preprocessing import normalize

import scvcell
from benchmarks.clock import Stopwatch
from benchmarks.features import components, within_batch
from benchmarks.task import Output
from scvcell.score import clr, log_cp10k, nearest

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("weak",)
COMPONENTS, NEIGHBOURS = 20, 15


def run(task: Task, seed: int) -> Output:
    """Place the cells of either assay by the features that both have."""
    watch = Stopwatch()
    edges = scvcell.pp.link_features(task.mdata, how="name").edges
    placed = {}
    for end, scale in (("a", log_cp10k), ("b", clr)):
        name = edges[f"modality_{end}"].iloc[0]
        batch = task.batch(name)
        values = within_batch(scale(task.counts(name)), batch, scaled=False)
        linked = values[:, task.mdata.mod[name].var_names.get_indexer(edges[f"feature_{end}"])]
        smooth = np.empty_like(linked)
        for code in np.unique(batch):
            here = np.flatnonzero(batch == code)
            space = components(values[here], COMPONENTS, seed)
            smooth[here] = linked[here][nearest(space, space, NEIGHBOURS)].mean(1)
        placed[name] = pd.DataFrame(normalize(within_batch(smooth, batch, scaled=True)), index=task.names(name))
    return watch.stamp(Output(embedding=placed))
