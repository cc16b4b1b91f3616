"""What data on disk cost: ``python benchmarks/disk.py [--cells N ...] [--stores h5ad zarr corpus]``.

Simulated sparse counts (2,000 genes, a tenth of them in a cell) are fitted for one epoch from memory, from files, and
from a corpus of four files, in one process, one thread. Prints CPU seconds of set-up and epoch together, their ratio to
memory, and the held-out loss, which is the same up to the order of the cells. The files lie in a temporary folder.
"""

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import scipy.sparse as sp
import torch

import scvcell

warnings.filterwarnings("ignore")


def counts(n: int, n_genes: int = 2000, seed: int = 0) -> sp.csr_matrix:
    """Sparse counts of cells of ten types, made in blocks."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.25, 0.5, (10, n_genes))
    return sp.vstack(
        [
            sp.csr_matrix(rng.poisson(rate[rng.integers(10, size=min(5000, n - i))]).astype(np.float32))
            for i in range(0, n, 5000)
        ],
        format="csr",
    )


def fit(data: ad.AnnData) -> tuple[float, float]:
    """CPU seconds, and the held-out loss."""
    start = time.process_time()
    model = scvcell.tl.fit(data, train=scvcell.TrainConfig(max_epochs=1, progress=False, accelerator="cpu"))
    return time.process_time() - start, float(model.history["loss_validation"].iloc[-1, 0])


def write(data: ad.AnnData, folder: Path, store: str) -> None:
    """One file, or a corpus of four."""
    if store != "corpus":
        getattr(data, f"write_{store}")(folder / f"cells.{store}")
        return
    (folder / "corpus").mkdir()
    for part in range(4):
        data[part::4].write_h5ad(folder / "corpus" / f"{part}.h5ad")


def main() -> None:
    """One line per size and store."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 200_000])
    parser.add_argument("--stores", nargs="+", default=["h5ad", "zarr", "corpus"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    fit(ad.AnnData(counts(500)))  # what a first fit loads
    for n in args.cells:
        data = ad.AnnData(counts(n))
        with tempfile.TemporaryDirectory() as folder:
            for store in args.stores:
                write(data, Path(folder), store)
            seconds, loss = fit(data)
            sys.stdout.write(f"{n:>8,} cells  memory {seconds:7.1f} CPU s          loss {loss:.1f}\n")
            del data
            for store in args.stores:
                own, loss = fit(opened(Path(folder), store))
                sys.stdout.write(
                    f"{n:>8,} cells  {store:<6} {own:7.1f} CPU s  x {own / seconds:.2f}  loss {loss:.1f}\n"
                )
                sys.stdout.flush()


def opened(folder: Path, store: str) -> ad.AnnData:
    """Data whose counts stay on disk."""
    if store == "corpus":
        return scvcell.pp.read_corpus(folder / "corpus")
    if store == "h5ad":
        return ad.read_h5ad(folder / "cells.h5ad", backed="r")
    import zarr

    group = zarr.open(folder / "cells.zarr", mode="r")
    return ad.AnnData(ad.io.sparse_dataset(group["X"]), obs=ad.io.read_elem(group["obs"]))


if __name__ == "__main__":
    main()
