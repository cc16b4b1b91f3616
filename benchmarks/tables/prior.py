"""Table *prior*: what the guidance graph is worth, on the *chromatin* table's mouse cortex without a single pair.

The same data, cells and scores as its case ``bridge0``. scvcell is fitted with the graph of `pp.link_features`, with a
share of its edges permuted (each feature keeps its degree), with all permuted, and without a graph. Beside alignment
stand the held-out negative log-likelihoods of either assay, nats per cell, whose encoders do not need the other one.
`scvcell.tl.prior_ablation` makes the same comparison on a user's data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import scvcell
from benchmarks.tables import chromatin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.task import Output, Task

CASES = ("",)
FILES = {"": chromatin.FILES["bridge0"]}
SEEDS = (0, 1, 2)
METHODS = ("scvcell",)
REFERENCE = "scvcell"
COLUMNS = {
    "foscttm": "FOSCTTM",
    "foscttm_cosine": "FOSCTTM (cosine)",
    "rna_to_atac_accuracy_cosine": "RNA to ATAC acc. (cosine)",
    "atac_to_rna_accuracy_cosine": "ATAC to RNA acc. (cosine)",
    "atac_auroc": "RNA to ATAC AUROC (neighbours)",
    "rna_pearson": "ATAC to RNA Pearson (neighbours)",
    "held_out_rna": "held-out RNA",
    "held_out_atac": "held-out ATAC",
}
DIGITS = {"held_out_rna": 1, "held_out_atac": 1}
CORRUPTED = (0.5,)


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """As *chromatin*, without pairs."""
    return chromatin.task(data, "bridge0", epochs)


def evaluate(run: Callable[..., Output], task: Task, truth: dict[str, Any], seed: int) -> tuple[Output, dict]:
    """One fit per graph; the real one is the row of the method."""
    real = scvcell.pp.link_features(task.mdata)
    graphs = {f"{share:.0%} permuted": real.rewired(share, seed=seed) for share in CORRUPTED}
    graphs |= {"all permuted": real.rewired(seed=seed), "no graph": None}
    out, scores = _one(run, task, truth, seed, real)
    scores["alternatives"] = {name: _one(run, task, truth, seed, graph)[1] for name, graph in graphs.items()}
    return out, scores


def _one(run: Callable[..., Output], task: Task, truth: dict[str, Any], seed: int, graph: Any) -> tuple[Output, dict]:
    out = run(task, seed, graph=None if graph is None else lambda _, **__: graph)
    return out, chromatin.score(task, truth, out) | {
        f"held_out_{name}": value for name, value in out.notes["held_out"].items()
    }
