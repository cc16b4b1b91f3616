"""Table *speed*: seconds per epoch and peak memory against the number of cells, and seconds to a given accuracy.

Cases ``1k`` to ``500k``: simulated cells, 1,000 genes and 30 proteins in every cell, counts on disk; up to 100,000
cells are read into memory, more stay on disk (backed h5mu). Every method trains twice in one process, for few and for
more epochs: the difference of times over the difference of epochs is *s / epoch*, the rest of the first run is
*set-up*. *Extra MB* is peak memory above that after imports and loading. TOTALVI runs up to 10,000 cells. Case
``peaks``: 10,000 simulated cells with 1,000 genes and 120,000 peaks (4,000 fragments a cell), against MULTIVI. Case
``reach``: scvcell fitted on the half split of table *protein* with growing budgets of epochs, to find the first
complete fit that reaches TOTALVI's final held-out correlation.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata
import mudata
import numpy as np
import pandas as pd
from scipy import sparse

from benchmarks.environment import peak_mb, thread_environment
from benchmarks.tables import protein
from benchmarks.task import Output, Task
from scvcell.score import prediction_scores

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("benchmarks")

CELLS = {"1k": 1_000, "10k": 10_000, "100k": 100_000, "500k": 500_000, "peaks": 10_000}
EPOCHS = {"1k": (2, 22), "10k": (1, 4), "100k": (1, 3), "500k": (1, 2), "peaks": (1, 2)}
IN_MEMORY = 100_000
GENES, PROTEINS = 1_000, 30
PEAKS, FRAGMENTS, TOPICS = 120_000, 4_000, 12
BUDGETS = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, None)

CASES = (*CELLS, "reach")
FILES = {"reach": protein.FILES["half"]}
SEEDS = (0,)
REFERENCE = "totalvi"
RATIO = "cpu_per_epoch"
METHODS = ("totalvi", "multivi", "scvcell")
SKIP = {
    ("totalvi", "100k"): "TOTALVI is measured up to 10,000 cells",
    ("totalvi", "500k"): "TOTALVI is measured up to 10,000 cells",
    ("totalvi", "peaks"): "TOTALVI knows no chromatin",
    **{("multivi", case): "MULTIVI is measured on chromatin" for case in ("1k", "10k", "100k", "500k", "reach")},
    ("totalvi", "reach"): "its curve comes from table protein, case half",
}
COLUMNS = {
    "seconds_per_epoch": "s / epoch",
    "cpu_per_epoch": "CPU s / epoch",
    "microseconds_per_cell": "CPU µs / cell / epoch",
    "setup_cpu": "set-up CPU s",
    "extra_mb": "extra MB",
    "pearson": "held-out Pearson",
}
DIGITS = {"microseconds_per_cell": 1, "setup_cpu": 1, "extra_mb": 0}


def cache(case: str) -> Path:
    """File of simulated cells; ``SCVCELL_BENCHMARK_CACHE`` says where, the temporary folder by default."""
    default = Path(tempfile.gettempdir()) / "scvcell-benchmarks"
    folder = Path(os.environ.get("SCVCELL_BENCHMARK_CACHE", default))
    other = f"{PEAKS}-peaks" if case == "peaks" else str(PROTEINS)
    return folder / f"simulated-{CELLS[case]}x{GENES}x{other}.h5mu"


def prepare(case: str, args: argparse.Namespace) -> None:
    """Simulate the cells once, in a process of its own so that no measured process pays for it."""
    if case not in CELLS or cache(case).is_file():
        return
    logger.info("simulating %s cells", case)
    root = Path(__file__).resolve().parents[2]
    command = [args.python, "-W", "ignore", "-m", "benchmarks.tables.speed", case]
    subprocess.run(command, cwd=root, env=thread_environment(args.threads), check=True)


def simulate(case: str) -> None:
    """Write the simulated MuData of a case."""
    import scvcell

    mdata = scvcell.datasets.simulate(
        CELLS[case], n_genes=GENES, n_proteins=PROTEINS, paired=1.0, keep_truth=False, seed=0
    )
    if case == "peaks":
        mdata = mudata.MuData({"rna": mdata.mod["rna"], "atac": peaks(mdata.mod["rna"].obs)})
        mdata.obs["batch"] = mdata.mod["rna"].obs["batch"].reindex(mdata.obs_names)
    path = cache(case)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part.h5mu")
    mdata.write(draft)
    draft.replace(path)


def peaks(obs: pd.DataFrame) -> anndata.AnnData:
    """Fragments in peaks of cells that each belong to one of a few topics."""
    rng = np.random.default_rng(1)
    share = rng.gamma(0.5, 1.0, PEAKS) * np.exp(rng.normal(size=(TOPICS, PEAKS)))
    share /= share.sum(1, keepdims=True)
    rows = []
    for topic in rng.integers(TOPICS, size=len(obs)):
        found, count = np.unique(rng.choice(PEAKS, FRAGMENTS, p=share[topic]), return_counts=True)
        rows.append(sparse.csr_matrix((count.astype(np.float32), found, [0, len(found)]), shape=(1, PEAKS)))
    var = pd.DataFrame(index=[f"peak{i}" for i in range(PEAKS)])
    return anndata.AnnData(sparse.vstack(rows, format="csr"), obs[["batch"]].copy(), var)


def load(path: Path, cells: int) -> mudata.MuData:
    """Cells in memory, or backed above `IN_MEMORY`."""
    return mudata.read_h5mu(path, backed="r" if cells > IN_MEMORY else None)


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """Open the simulated cells, or hide half of the proteins for ``reach``."""
    if case == "reach":
        found, truth = protein.task(data, "half", epochs)
        return dataclasses.replace(found, monitor=None), truth | {"case": case}
    mdata = load(cache(case), CELLS[case])
    batch = str(mdata.mod["rna"].obs["batch"].iloc[0])
    target = "atac" if case == "peaks" else "adt"
    found = Task(mdata, source="rna", target=target, observed_batch=batch, epochs=epochs, path=cache(case))
    return found, {"case": case}


def evaluate(run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int) -> tuple[Output, dict]:
    """Time two trainings of different length, or fit with growing budgets until TOTALVI could be met."""
    if truth["case"] == "reach":
        return reach(run, task, truth, seed)
    case, before = truth["case"], peak_mb()
    few, more = (1, 2) if task.epochs else EPOCHS[case]
    first = run(dataclasses.replace(task, epochs=few), seed)
    fresh = dataclasses.replace(task, epochs=more, mdata=load(task.path, CELLS[case]))
    second = run(fresh, seed)
    slope = (second.fit_seconds - first.fit_seconds) / (more - few)
    cpu = (second.fit_cpu_seconds - first.fit_cpu_seconds) / (more - few)
    second.notes |= {
        "fit_seconds": {few: first.fit_seconds, more: second.fit_seconds},
        "fit_cpu_seconds": {few: first.fit_cpu_seconds, more: second.fit_cpu_seconds},
    }
    return second, {
        "seconds_per_epoch": slope,
        "cpu_per_epoch": cpu,
        "microseconds_per_cell": 1e6 * cpu / CELLS[case],
        "setup_cpu": first.fit_cpu_seconds - few * cpu,
        "extra_mb": peak_mb() - before,
    }


def reach(run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int) -> tuple[Output, dict]:
    """Complete fits with growing budgets of epochs, the last one with the method's own."""
    true = truth["log1p"].loc[task.query, task.features].to_numpy()
    out, curve = Output(), []
    for epochs in (1, None) if task.epochs else BUDGETS:
        out = run(dataclasses.replace(task, epochs=epochs), seed)
        scores = prediction_scores(out.prediction.loc[task.query, task.features].to_numpy(), true)
        spent = {"seconds": round(out.fit_seconds, 2), "cpu_seconds": round(out.fit_cpu_seconds, 2)}
        curve.append({"epochs": out.epochs, "budget": epochs, **spent, **scores})
        logger.info("reach: %s epochs, %.1f s, Pearson %.4f", out.epochs, out.fit_seconds, scores["pearson"])
    return out, {"pearson": curve[-1]["pearson"], "curve": curve}


def notes(records: list[dict[str, Any]], out: Path) -> list[str]:
    """How many times sooner scvcell reaches TOTALVI's final held-out correlation, from this folder's raw records."""
    peers = [
        json.loads(p.read_text(encoding="utf-8")) for p in sorted((out / "raw").glob("protein-half-totalvi-*.json"))
    ]
    peers = [r for r in peers if r["status"] == "ok"]
    lines = []
    for own in (r for r in records if r["case"] == "reach"):
        for peer in peers:
            lines.append(_ratio(own, peer))
    return lines or [
        "Seconds to TOTALVI's final accuracy: needs case `reach` and table *protein* (case half, totalvi)."
    ]


def _ratio(own: dict[str, Any], peer: dict[str, Any]) -> str:
    """One comparison in words."""
    scores = peer["scores"]
    final = max([scores["pearson"], *(v["pearson"] for v in scores.get("alternatives", {}).values())])
    text = (
        f"TOTALVI seed {peer['seed']}: held-out Pearson {final:.4f} after {peer['fit_seconds']:.0f} s "
        f"({peer['epochs']} epochs)"
    )
    near = [p["seconds"] for p in scores.get("curve", []) if p["pearson"] >= final - 0.005]
    text += f", within .005 of it from {near[0]:.0f} s on" if near else ""
    met = [p for p in own["scores"]["curve"] if p["pearson"] >= final]
    if not met:
        best = float(np.max([p["pearson"] for p in own["scores"]["curve"]]))
        return f"{text}; scvcell seed {own['seed']} did not reach it (best {best:.4f})."
    first = min(met, key=lambda p: p["epochs"])
    sooner = peer["fit_seconds"] / first["seconds"]
    cpu = f" ({peer['fit_cpu_seconds'] / first['cpu_seconds']:.0f} in CPU seconds)" if "fit_cpu_seconds" in peer else ""
    return (
        f"{text}; a complete scvcell fit of {first['epochs']} epochs (seed {own['seed']}) reached "
        f"{first['pearson']:.4f} in {first['seconds']:.1f} s: {sooner:.0f} times sooner{cpu}."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Simulate the cells of one case.")
    parser.add_argument("case", choices=tuple(CELLS))
    simulate(parser.parse_args().case)
