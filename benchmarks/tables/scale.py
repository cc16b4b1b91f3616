"""Table *scale*: what data on disk cost beside memory, and what a cell costs in memory.

Simulated cells of ten types in four batches, 2,000 genes, some 210 counts that are not zero in a cell; larger data
repeat 20,480 of them in an order of their own. One fit of one epoch, then states of all cells, written to a file.
*memory*: the cells as one AnnData; *h5ad*, *zarr*: as one file each, with the defaults of anndata; *gzip*: as h5ad with
``compression="gzip"``; *annbatch*: as one folder that ``annbatch.write_sharded`` wrote, where annbatch is installed;
*collection*: as five shuffled parts in one folder, by its ``DatasetCollection``;
*corpus*, *corpus zarr*: ten files. All stores of a case are read in one process, one after the other, so that their
ratios are of one run. *extra MB* is the peak of resident memory above that before, after a small fit that has loaded
every library. Cases ``200k_alone``, ``1m`` and ``2m`` are a corpus alone, so that they say what a cell costs: of
several stores in one process, memory that an earlier one gave back is not counted again.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import logging
import os
import shutil
import subprocess
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from benchmarks.clock import Stopwatch
from benchmarks.environment import thread_environment
from benchmarks.task import Output, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger("benchmarks")

CELLS = {"10k": 10_000, "50k": 50_000, "200k": 200_000, "500k": 500_000, "1m": 1_000_000, "2m": 2_000_000}
ALONE = "200k_alone"
"""The case of few cells of which a corpus alone is read, as of the many."""
CELLS |= {ALONE: CELLS["200k"]}
STORES = ("memory", "h5ad", "gzip", "zarr", "annbatch", "collection", "corpus", "corpus zarr")
BY_ANNBATCH = ("annbatch", "collection")
LARGE = 500_000
"""Cells from which on only a corpus is read."""
CASES = tuple(CELLS)
FILES: dict[str, str] = {}
SEEDS = (0,)
METHODS = ("scvcell",)
REFERENCE = "scvcell"
COLUMNS = {
    "setup_cpu": "set-up CPU s",
    "epoch_cpu": "epoch CPU s",
    "epoch_seconds": "epoch s",
    "ratio": "set-up and epoch / memory",
    "embed_cpu": "embedding CPU s",
    "microseconds_per_cell": "CPU us / cell / epoch",
    "extra_mb": "extra MB",
    "held_out": "held-out objective",
}
DIGITS = {"setup_cpu": 1, "epoch_cpu": 1, "embed_cpu": 1, "ratio": 2}
DIGITS |= dict.fromkeys(("epoch_seconds", "microseconds_per_cell", "extra_mb"), 0)
GENES, POOL, PARTS, COLLECTED, TYPES, FACTORS = 2_000, 20_480, 10, 5, 10, 12
WARM_CELLS = 2_000


def cache(case: str, store: str) -> Path:
    """Where the simulated cells of a store are; ``SCVCELL_BENCHMARK_CACHE`` says in which folder."""
    default = Path(tempfile.gettempdir()) / "scvcell-benchmarks"
    folder = Path(os.environ.get("SCVCELL_BENCHMARK_CACHE", default)) / f"scale-{case}"
    names = {"memory": "one.h5ad", "h5ad": "one.h5ad", "gzip": "gzip.h5ad", "zarr": "one.zarr"}
    names |= {"annbatch": "annbatch.zarr", "collection": "collection.zarr", "corpus": "h5ad", "corpus zarr": "zarr"}
    return folder / names[store]


def stores(case: str) -> tuple[str, ...]:
    """Stores of a case; those of annbatch where they can be written, or are there."""
    if CELLS.get(case, 0) >= LARGE or case == ALONE:
        return ("corpus",)
    able = importlib.util.find_spec("annbatch") is not None
    return tuple(store for store in STORES if store not in BY_ANNBATCH or able or cache(case, store).exists())


def prepare(case: str, args: argparse.Namespace) -> None:
    """Simulate the cells once, in a process of its own so that the measured one does not pay for it."""
    if all(cache(case, store).exists() for store in stores(case)):
        return
    logger.info("simulating %s cells", case)
    root = Path(__file__).resolve().parents[2]
    command = [args.python, "-W", "ignore", "-m", "benchmarks.tables.scale", case]
    subprocess.run(command, cwd=root, env=thread_environment(args.threads), check=True)


def simulate(case: str) -> None:
    """Write every store of a case; nothing is there by its name before it is whole."""
    pool, kind = counts()
    for store in stores(case):
        path = cache(case, store)
        if path.exists():
            continue
        draft = path.with_name(f"part-{path.name}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.parent.mkdir(parents=True, exist_ok=True)
        parts = PARTS if store.startswith("corpus") else 1
        for number, table in enumerate(tables(pool, kind, CELLS[case], parts)):
            target = draft if parts == 1 else draft / f"part{number}{'.zarr' if 'zarr' in store else '.h5ad'}"
            target.parent.mkdir(exist_ok=True)
            write(table, target, store)
        draft.rename(path)


def write(table: anndata.AnnData, path: Path, store: str) -> None:
    """One table as the store has it."""
    if store in BY_ANNBATCH:
        import annbatch
        import zarr

        if store == "annbatch":
            annbatch.write_sharded(zarr.open_group(path, mode="w", zarr_format=3), table)
            return
        whole, size = path.with_suffix(".h5ad"), -(-table.n_obs // COLLECTED)
        table.write_h5ad(whole)
        annbatch.DatasetCollection(path).add_adatas([whole], dataset_size=size, rng=np.random.default_rng(0))
        whole.unlink()
    elif "zarr" in store:
        table.write_zarr(path)
    else:
        table.write_h5ad(path, compression="gzip" if store == "gzip" else None)


def counts(n: int = POOL, seed: int = 0) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Counts of cells whose log rates are of low rank, and their types."""
    rng = np.random.default_rng(seed)
    loadings, share = rng.normal(0, 0.5, (FACTORS, GENES)), rng.gamma(0.35, 1.0, GENES)
    centres, kind = rng.normal(size=(TYPES, FACTORS)), rng.integers(TYPES, size=n)
    blocks = []
    for start in range(0, n, 4096):
        z = centres[kind[start : start + 4096]]
        rate = share * np.exp((z + 0.4 * rng.normal(size=z.shape)) @ loadings)
        rate *= (rng.lognormal(6.3, 0.3, len(z)) / rate.sum(1))[:, None]
        blocks.append(sparse.csr_matrix(rng.poisson(rate * rng.gamma(5, 0.2, rate.shape)).astype(np.float32)))
    return sparse.vstack(blocks, format="csr"), kind


def tables(pool: sparse.csr_matrix, kind: np.ndarray, n: int, parts: int, seed: int = 0) -> Iterator[anndata.AnnData]:
    """The cells of a case, in so many tables; of any number of tables the same cells in the same order."""
    order = np.concatenate(
        [np.random.default_rng([seed, i]).permutation(pool.shape[0]) for i in range(-(-n // pool.shape[0]))]
    )[:n]
    batch = np.random.default_rng(seed).integers(4, size=n)
    for cells in np.array_split(np.arange(n), parts):
        obs = pd.DataFrame(
            {
                "batch": pd.Categorical.from_codes(batch[cells], ["b0", "b1", "b2", "b3"]),
                "kind": pd.Categorical.from_codes(kind[order[cells]], [f"type{i}" for i in range(TYPES)]),
            },
            index=pd.Index([f"cell{i}" for i in cells]),
        )
        yield anndata.AnnData(pool[order[cells]], obs, pd.DataFrame(index=[f"gene{i}" for i in range(GENES)]))


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """Nothing is hidden."""
    return Task(mdata=None, source="rna", target="rna", epochs=epochs), {"case": case}


def evaluate(run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int) -> tuple[Output, dict]:
    """Fit and embed each store of the case; the first one counts as the method's own."""
    import scvcell

    (warm,) = tables(*counts(WARM_CELLS), WARM_CELLS, 1)
    with tempfile.TemporaryDirectory() as folder:
        warm.write_h5ad(Path(folder) / "warm.h5ad")
        for data in (warm, Path(folder) / "warm.h5ad"):
            scvcell.tl.embed(data, _fit(scvcell, data, seed)[0], out=Path(folder) / f"{type(data).__name__}.zarr")
    found = {}
    for store in stores(truth["case"]):
        found[store] = measure(scvcell, cache(truth["case"], store), store, CELLS[truth["case"]], seed)
        if "memory" in found:
            own, memory = (found[each]["setup_cpu"] + found[each]["epoch_cpu"] for each in (store, "memory"))
            found[store]["ratio"] = own / memory
    first = stores(truth["case"])[0]
    out = Output(epochs=1, notes={"store": first, "cells": CELLS[truth["case"]]})
    out.fit_cpu_seconds = found[first]["setup_cpu"] + found[first]["epoch_cpu"]
    return out, found.pop(first) | {"alternatives": found}


def measure(scvcell: Any, path: Path, store: str, cells: int, seed: int) -> dict[str, float]:
    """One fit and its states, from one store."""
    data = anndata.read_h5ad(path) if store == "memory" else path
    gc.collect()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    model, total, epoch, seconds = _fit(scvcell, data, seed)
    clock = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        scvcell.tl.embed(data, model, out=Path(folder) / "states.zarr")
        embed = clock.cpu
        model.save(Path(folder) / "model")
    return {
        "setup_cpu": total - epoch,
        "epoch_cpu": epoch,
        "epoch_seconds": seconds,
        "embed_cpu": embed,
        "microseconds_per_cell": 1e6 * epoch / cells,
        "extra_mb": resident("VmHWM") - before,
        "held_out": float(model.history["loss_validation"].iloc[-1, 0]),
    }


def _fit(scvcell: Any, data: Any, seed: int) -> tuple[Any, float, float, float]:
    """A model, CPU seconds of the whole fit, and those and seconds of its epoch."""
    from scvcell.model import _fit as inner

    spent, kept = [], inner.run

    def timed(*args: Any, **options: Any) -> Any:
        clock = Stopwatch()
        found = kept(*args, **options)
        spent.append((clock.cpu, clock.wall))
        return found

    inner.run = timed
    try:
        clock = Stopwatch()
        train = scvcell.TrainConfig(max_epochs=1, accelerator="cpu", progress=False)
        model = scvcell.tl.fit(data, batch_key="batch", train=train, seed=seed)
        return model, clock.cpu, *map(sum, zip(*spent, strict=True))
    finally:
        inner.run = kept


def resident(key: str) -> float:
    """Megabytes that Linux counts for this process: now (``VmRSS``), or at most (``VmHWM``)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024


def notes(records: list[dict[str, Any]], out: Path) -> list[str]:
    """What a cell costs in memory: the slope between the corpora of two cases."""
    alone = (r for r in records if r["status"] == "ok" and r["notes"]["store"] == "corpus" and r["threads"] == 1)
    peak = {record["notes"]["cells"]: record["scores"]["extra_mb"] for record in alone}
    sizes = sorted(peak)
    return [
        f"Corpus, from {few:,} to {more:,} cells: {(peak[more] - peak[few]) * 2**20 / (more - few):.0f} bytes a cell."
        for few, more in pairwise(sizes)
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Simulate the cells of one case.")
    parser.add_argument("case", choices=CASES)
    simulate(parser.parse_args().case)
