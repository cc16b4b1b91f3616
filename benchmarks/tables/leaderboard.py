"""Table *leaderboard*: the left-out cells of table *perturbation*, judged by a scorer that is not ours.

The six scored members of cell-eval2's profile ``vcc2026``, as they come, on Norman's doubles (``combinations``; one
scoring of all doubles) and Kang's cell types (``cell_types``; one scoring per type, averaged, without PDS, which needs
several perturbations). Fits and questions are those of *perturbation*. The scorer takes counts: predicted values are
brought to the depth of the control cell they start from and rounded up or down at random, in the mean without error.
``replicate``: a random half of the left-out cells as the prediction, the other half as the truth, so its truth has half
the cells. Targets of doubles are not taken out of the features.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from benchmarks.tables import perturbation
from benchmarks.task import Output
from scvcell.score import dense

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.task import Task

CASES = ("combinations", "cell_types")
FILES = {case: perturbation.FILES[case] for case in CASES}
SEEDS = perturbation.SEEDS
METHODS = ("effect_baselines", "scvcell")
REFERENCE = perturbation.REFERENCE
COLUMNS = {
    "pds_cosine": "PDS",
    "expr_mse_unbiased_capped_norm": "normalised squared error",
    "de_wilcoxon_direction_fidelity_yield_raw": "direction fidelity",
    "de_wilcoxon_direction_reach_raw": "direction reach",
    "de_wilcoxon_sig_jaccard": "Jaccard",
    "de_wilcoxon_lfc_nmae": "NMAE",
}
PROFILE, CONTROL = "vcc2026", "control"


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """As *perturbation*."""
    return perturbation.task(data, case, epochs)


def evaluate(run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int) -> tuple[Output, dict]:
    """Fit once per fold, gather what was predicted of all that was left out, and have it judged."""
    case, counts = truth["case"], dense(task.mdata["rna"].X)
    rng, total = np.random.default_rng(seed), Output(fit_seconds=0.0, fit_cpu_seconds=0.0)
    real: dict[str, np.ndarray] = {}
    controls: dict[str, np.ndarray] = {}
    predicted: dict[str, dict[str, np.ndarray]] = {}
    for left, base, out in perturbation.answers(run, task, case, seed):
        total.fit_seconds += out.fit_seconds
        total.fit_cpu_seconds += out.fit_cpu_seconds
        for name, cells in left.items():
            real[name], controls[name] = counts[cells], counts[base[name]]
            for kind, frames in {"": out.counterfactual, **out.alternatives}.items():
                depth = controls[name].sum(1, keepdims=True)  # the test of the scorer counts cells: one draw of each
                found = as_counts(frames[name].to_numpy()[: len(depth)], depth, rng)
                predicted.setdefault(kind, {})[name] = found
    together = [list(real)] if case == "combinations" else [[name] for name in real]
    scores = {kind: judge(found, real, controls, together) for kind, found in predicted.items()}
    if len(predicted) > 1:
        halves = {name: np.array_split(rng.permutation(cells), 2) for name, cells in real.items()}
        one, other = ({name: half[i] for name, half in halves.items()} for i in (0, 1))
        scores["replicate"] = judge(one, other, controls, together)
    return total, scores.pop("") | {"alternatives": scores}


def as_counts(values: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Counts of cells of some depth from log1p of counts per 10,000."""
    share = np.expm1(np.maximum(values, 0))
    return np.floor(share / np.maximum(share.sum(1, keepdims=True), 1e-9) * depth + rng.random(share.shape))


def judge(
    predicted: dict[str, np.ndarray],
    real: dict[str, np.ndarray],
    controls: dict[str, np.ndarray],
    together: list[list[str]],
) -> dict[str, float]:
    """Members of the profile, averaged over groups of conditions that are scored together."""
    from cell_eval2 import EvalConfig, aggregate_metrics, compute_metrics

    config = replace(EvalConfig.from_preset(PROFILE), control=CONTROL, target_gene_map={"*": None}, num_threads=1)
    rows = []
    for names in together:
        shared = {CONTROL: controls[names[0]]}
        sides = [table({name: side[name] for name in names} | shared) for side in (predicted, real)]
        found = aggregate_metrics(compute_metrics(*sides, config=config))
        rows.append(dict(zip(found["metric"], found["mean"], strict=True)))
    each = pd.DataFrame(rows).reindex(columns=list(COLUMNS)).astype(float)
    if len(together[0]) == 1:
        each["pds_cosine"] = np.nan
    return each.mean().to_dict()


def table(cells: dict[str, np.ndarray]) -> AnnData:
    """Cells of every condition, as the scorer takes them."""
    obs = pd.DataFrame({"target": np.repeat(list(cells), [len(x) for x in cells.values()])})
    counts = csr_matrix(np.concatenate(list(cells.values())), dtype=np.float32)
    return AnnData(counts, obs=obs.set_index(obs.index.astype(str)))
