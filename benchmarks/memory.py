"""What a cell costs in memory: ``python benchmarks/memory.py [CASE ...]``, which writes `results/memory.csv`.

Peak of resident memory above that before the call, for few and for many cells, each in a process of its own. ``split``,
``h5mu`` and ``actions``: five files (30 genes, 8 proteins in .h5mu, names of 20 letters) until the front-ends of a fit
are set up, without training; the split is a list of a fifth of the names. ``translate``, ``perturb`` and
``impute_space``: answers of 1,000 genes for cells in memory, written to a store (``out=``); memory of the data is not
counted. What a whole fit costs says the table *scale*.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata
import mudata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from benchmarks.environment import thread_environment
from benchmarks.tables.scale import counts, resident

if TYPE_CHECKING:
    from collections.abc import Callable

OUT = Path(__file__).parent / "results" / "memory.csv"
NAMES, ANSWERS = ("split", "h5mu", "actions"), ("translate", "perturb", "impute_space")
SIZES = dict.fromkeys(NAMES, (200_000, 1_000_000)) | dict.fromkeys(ANSWERS, (20_000, 100_000))
FILES, GENES, PROTEINS, PANEL, REST = 5, 30, 8, 200, 1_000
LEARNED = 2_000
"""Cells of the model that answers."""


class SetUp(Exception):
    """Training would begin."""


def table(n: int, features: int, start: int = 0, seed: int = 0) -> anndata.AnnData:
    """Cells with long names, of whom some got one of three drugs."""
    rng = np.random.default_rng(seed)
    obs = pd.DataFrame({"batch": pd.Categorical.from_codes(rng.integers(2, size=n), ["x", "y"])})
    obs["drug"] = pd.Categorical.from_codes(rng.integers(4, size=n), ["no", "a", "b", "c"])
    obs.index = pd.Index([f"ACGTACGTACG{i:09d}" for i in range(start, start + n)])
    x = sp.csr_matrix(rng.poisson(0.3, (n, features)).astype(np.float32))
    return anndata.AnnData(x, obs, pd.DataFrame(index=[f"f{features}_{i}" for i in range(features)]))


def files(case: str, n: int, folder: Path) -> None:
    """The files of a case."""
    for number in range(FILES):
        rna = table(n // FILES, GENES, number * (n // FILES), number)
        if case == "h5mu":
            adt = table(n // FILES, PROTEINS, number * (n // FILES), number)
            mudata.MuData({"rna": rna, "adt": adt}).write_h5mu(folder / f"{number}.h5mu")
        else:
            rna.write_h5ad(folder / f"{number}.h5ad")


def set_up(case: str, n: int, folder: Path) -> Callable[[], Any]:
    """A fit from files that ends where training would begin."""
    import scvcell
    from scvcell.model import _fit

    # in another process, whose memory is not counted
    code = f"from pathlib import Path; from benchmarks.memory import files; files({case!r}, {n}, Path({str(folder)!r}))"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
    options: dict[str, Any] = {"batch_key": "batch"}
    if case == "split":
        options["split"] = [f"ACGTACGTACG{i:09d}" for i in range(0, n, 5)]
    if case == "actions":
        options["perturbation"] = scvcell.PerturbationKeys("drug", control="no")

    def stop(*_: Any, **__: Any) -> None:
        raise SetUp

    def call() -> None:
        kept, _fit.run = _fit.run, stop
        try:
            scvcell.tl.fit(folder, train=scvcell.TrainConfig(progress=False, accelerator="cpu"), **options)
        except SetUp:
            pass
        finally:
            _fit.run = kept

    return call


def answers(case: str, n: int, folder: Path) -> Callable[[], Any]:
    """A verb that writes its answer to a store, with a small model."""
    import scvcell

    pool, _ = counts()
    best = np.sort(np.argsort(-np.asarray(pool.sum(0)).ravel())[: PANEL + REST])
    pool = pool[:, best].tocsr()

    def cells(size: int, seed: int, features: slice) -> anndata.AnnData:
        rows = np.random.default_rng(seed).integers(pool.shape[0], size=size)
        out = table(size, 1, seed * 10**8, seed)
        genes = pd.DataFrame(index=[f"gene{i}" for i in range(PANEL + REST)])
        return anndata.AnnData(pool[rows], out.obs, genes)[:, features].copy()

    every, panel = slice(None), slice(0, PANEL)
    train = scvcell.TrainConfig(max_epochs=3, progress=False, accelerator="cpu")
    if case == "perturb":
        keys = scvcell.PerturbationKeys("drug", control="no")
        genes = slice(0, REST)
        model = scvcell.tl.fit(cells(LEARNED, 1, genes), perturbation=keys, train=train)
        new = cells(n, 2, genes)
        new.obs["drug"] = "no"
        return lambda: scvcell.tl.perturb(new, model, "a", out=folder / "out.zarr")
    reference, tissue = cells(LEARNED, 1, every), cells(LEARNED, 3, panel)
    tissue.obsm["spatial"] = np.random.default_rng(0).random((LEARNED, 2))
    model = scvcell.tl.fit(scvcell.pp.panels(reference, tissue), batch_key="platform", train=train)
    if case == "impute_space":
        tissue = cells(n, 2, panel)
        tissue.obsm["spatial"] = np.random.default_rng(0).random((n, 2))
        new = scvcell.pp.panels(reference, tissue)
        return lambda: scvcell.tl.impute_space(new, model, out=folder / "out.zarr")
    new = mudata.MuData({"panel": cells(n, 2, panel)})
    new.obs["platform"] = "spatial"
    return lambda: scvcell.tl.translate(new, model, source="panel", to="rest", out=folder / "out.zarr")


def extra(case: str, n: int) -> float:
    """MB above what was there, in this process."""
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as folder:
        prepare, few, many = (set_up if case in NAMES else answers), Path(folder) / "few", Path(folder) / "many"
        few.mkdir()
        many.mkdir()
        prepare(case, LEARNED, few)()  # loads every library
        call = prepare(case, n, many)
        gc.collect()
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        call()
        return resident("VmHWM") - before


def main() -> None:
    """Measure the cases, one process for each size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", choices=list(SIZES))
    parser.add_argument("--one", type=int, help="cells of the one case that is measured here")
    args = parser.parse_args()
    if args.one is not None:
        print(json.dumps(extra(args.cases[0], args.one)))
        return
    rows = []
    for case in args.cases or SIZES:
        mb = []
        for n in SIZES[case]:
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.memory", case, "--one", str(n)]
            done = subprocess.run(
                command, cwd=OUT.parents[2], env=thread_environment(1), check=True, capture_output=True
            )
            mb.append(float(done.stdout.split()[-1]))
        few, many = SIZES[case]
        each = (mb[1] - mb[0]) * 2**20 / (many - few)
        rows.append({"case": case, "few": few, "many": many, "mb_few": mb[0], "mb_many": mb[1], "bytes_a_cell": each})
        print(rows[-1], flush=True)
    found = pd.DataFrame(rows)
    old = pd.read_csv(OUT) if OUT.is_file() else found.iloc[:0]
    pd.concat([old[~old["case"].isin(found["case"])], found]).round(1).to_csv(OUT, index=False)


if __name__ == "__main__":
    main()
