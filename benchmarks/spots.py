"""What projecting many cells costs: a million cells to ten thousand discs, and to their nearest spots.

``python benchmarks/spots.py [--cells N] [--spots N]`` prints seconds of CPU, memory, and whether totals are exact.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

import scvcell

GENES = 300
COUNTS_PER_CELL = 15
PITCH = 100.0
RADIUS = 27.5


def section(n_cells: int, n_spots: int) -> tuple[AnnData, AnnData]:
    """Cells at random places, and spots on a grid, in micrometres."""
    rng = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(n_spots)))
    genes, names = np.full(n_cells * COUNTS_PER_CELL, 0), pd.Index([f"gene{g}" for g in range(GENES)])
    genes[:] = rng.integers(GENES, size=len(genes))
    row = np.repeat(np.arange(n_cells), COUNTS_PER_CELL)
    x = sp.csr_matrix((np.ones(len(genes), np.float32), (row, genes)), (n_cells, GENES))
    cells = AnnData(x, obs=pd.DataFrame(index=pd.RangeIndex(n_cells).astype(str)), var=pd.DataFrame(index=names))
    cells.obsm["spatial"] = rng.uniform(0, side * PITCH, (n_cells, 2))
    spots = AnnData(obs=pd.DataFrame(index=[f"spot{i}" for i in range(n_spots)]))
    at = np.arange(n_spots)
    spots.obsm["spatial"] = (np.stack([at // side, at % side], 1) + 0.5) * PITCH
    return cells, spots


def main() -> None:
    """Project and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--spots", type=int, default=10_000)
    args = parser.parse_args()
    cells, spots = section(args.cells, args.spots)
    start = time.process_time()
    nearest = scvcell.tl.project(cells, by=spots)
    seconds = time.process_time() - start
    kept = bool(nearest.X.sum() == cells.X.sum())
    start = time.process_time()
    here, there = (
        scvcell.scale.Space(a.obs_names, a.obsm["spatial"], np.zeros(a.n_obs, int), ["all"]) for a in (spots, cells)
    )
    discs = scvcell.tl.project(cells, by=here.within(RADIUS, other=there))
    in_discs = time.process_time() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"nearest spots: {seconds:.1f} CPU s, totals exact: {kept}, sparse: {sp.issparse(nearest.X)}")
    print(f"discs: {in_discs:.1f} CPU s, {discs.obs['n_cells'].sum():.0f} cells inside, sparse: {sp.issparse(discs.X)}")
    print(f"peak memory {memory:.1f} GB")


if __name__ == "__main__":
    main()
