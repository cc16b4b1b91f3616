"""The head of every method of table *niche*: the package's own, given features of cells or of donors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scvcell._containers import Space, view
from scvcell.tissue import Classes, answer, apart

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from benchmarks.task import Task

RADII = (6, 18, 36)


def space(task: Task) -> Space:
    """Places of the cells."""
    return Space.of(view(task.mdata["rna"]), "batch")


def means(task: Task) -> list[csr_array]:
    """Matrices that average the cell and its nearest 6, 18 and 36."""
    return [space(task).nearest(k + 1).shares().matrix for k in RADII]


def scaled(task: Task, blocks_of: list[np.ndarray]) -> np.ndarray:
    """Blocks side by side, centred within section, the widest column of each of standard deviation 1 there."""
    section, out = task.batch("rna"), []
    for block in blocks_of:
        part = np.array(block, dtype=float)
        for name in np.unique(section):
            here = section == name
            part[here] -= part[here].mean(0)
            part[here] /= max(part[here].std(0).max(), 1e-9)
        out.append(part)
    return np.concatenate(out, 1)


def outcomes_of(task: Task) -> list[str]:
    """Columns of outcomes of donors."""
    return [str(key) for key in task.mdata["rna"].obs.columns if str(key).startswith("label")]


def classified(task: Task, x: np.ndarray, seed: int) -> pd.DataFrame:
    """Label and probability of each cell, or of each donor the probability of the second of each column's outcomes."""
    obs = task.mdata["rna"].obs
    if task.target == "donors":
        donors = np.unique(task.batch("rna"))
        mean = np.stack([x[task.batch("rna") == each].mean(0) for each in donors])
        x = (mean - mean.mean(0)) / np.maximum(mean.std(0), 1e-9) / np.sqrt(mean.shape[1])
        outcomes = obs.groupby("batch", observed=True)[outcomes_of(task)].first().astype(str).loc[donors]
        alone = [np.arange(len(donors))]
        return pd.DataFrame({key: _answered(outcomes[key], x, alone, seed)[1][:, 1] for key in outcomes}, index=donors)
    where = space(task)
    classes, value = _answered(obs["label"], x, [where.section, apart(where)], seed)
    return pd.DataFrame({"label": np.array(classes)[value.argmax(1)], "probability": value.max(1)}, index=obs.index)


def _answered(label: pd.Series, x: np.ndarray, levels: list[np.ndarray], seed: int) -> tuple[list[str], np.ndarray]:
    """Classes, and the probability of each for every unit."""
    classes = sorted(set(label.dropna().astype(str)))
    code = np.array([classes.index(str(each)) if pd.notna(each) else np.nan for each in label])
    return classes, answer(Classes(code, classes), x, levels, np.flatnonzero(np.isfinite(code)), seed).value
