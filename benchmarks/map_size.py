"""Seconds and memory of `tl.map_to_space`: 100,000 cells by 10,000 lifted spots, and by 10,000 located cells.

``python benchmarks/map_size.py [--cells 100000] [--places 10000]``; simulated counts of 300 genes and 12 kinds.
"""

from __future__ import annotations

import argparse
import time

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

import scvcell
from benchmarks.environment import peak_mb
from scvcell.score import place_error

GENES, KINDS, FITTED = 300, 12, 4000


def simulate(n: int, rates: np.ndarray, rng: np.random.Generator, stem: str) -> anndata.AnnData:
    """Cells whose kinds have centres in a section."""
    kind = rng.integers(KINDS, size=n)
    centre = np.random.default_rng(0).uniform(0, 1, (KINDS, 2))
    xy = np.clip(centre[kind] + rng.normal(0, 0.15, (n, 2)), 0, 1) * 10_000
    counts = sp.vstack(
        [sp.csr_matrix(rng.poisson(rates[part]).astype(np.float32)) for part in np.array_split(kind, 50)]
    )
    obs = pd.DataFrame({"kind": [f"k{k:02d}" for k in kind], "batch": "b"}, index=[f"{stem}{i}" for i in range(n)])
    genes = pd.DataFrame(index=[f"gene{g}" for g in range(GENES)])
    return anndata.AnnData(sp.csr_matrix(counts), obs=obs, var=genes, obsm={"spatial": xy})


def main() -> None:
    """Simulate, fit, lift, map twice, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--places", type=int, default=10_000)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    rates = rng.gamma(0.3, 1.0, (KINDS, GENES))
    known, cells = simulate(FITTED, rates, rng, "r"), simulate(args.cells, rates, rng, "c")
    located = simulate(args.places, rates, rng, "l")
    quiet = scvcell.TrainConfig(max_epochs=5, progress=False, accelerator="cpu")
    model = scvcell.tl.fit(known, batch_key="batch", train=quiet)
    spots = simulate(args.places, rates * 8, rng, "s")
    lifted = scvcell.tl.lift(spots, model, labels_key="kind")
    true = cells.obsm.pop("spatial")
    print(f"before: {peak_mb()} MB")
    for name, spatial, given in (
        ("lifted spots", lifted, {}),
        ("lifted spots, whole cells", lifted, {"n_per_spot": 8}),
        ("located cells", located, {}),
    ):
        start, cpu = time.perf_counter(), time.process_time()
        found = scvcell.tl.map_to_space(cells, model, spatial=spatial, **given)
        error = place_error(found.obsm["spatial"], true)
        print(
            f"{name}: {found.n_obs} cells, {found.obsm['position'].shape[1]} places, "
            f"{time.perf_counter() - start:.0f} s, {time.process_time() - cpu:.0f} CPU s, {peak_mb()} MB at most; "
            f"median error {np.median(error):.0f} of 10,000"
        )


if __name__ == "__main__":
    main()
