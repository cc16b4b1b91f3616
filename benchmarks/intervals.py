"""Do intervals hold, and where not? ``python benchmarks/intervals.py [--data DIR] [--seeds 0 1 2] [--out FILE]``.

Models of 1,500 cells of PBMC10k (10x, RNA and 14 proteins), default settings, predict proteins from RNA: of 2,000 other
cells of that experiment; of the same cells with their RNA thinned to 30 %; of these mapped as a new batch; and of
another experiment (PBMC5k), mapped by its RNA, whose proteins are not in the file. One line per seed and kind of cells:
coverage of 90 % intervals, of the worst protein, share of trusted cells, coverage among them, and of the least covered
type with 50 trusted cells.
"""

import argparse
import os
import sys
import warnings
from pathlib import Path

import mudata
import numpy as np
import pandas as pd
import scipy.sparse as sp

import scvcell
from scvcell import score

warnings.filterwarnings("ignore")
FILE = "pbmc_citeseq_10k5k/pbmc_citeseq_10k5k.h5mu"
TRAIN = scvcell.TrainConfig(progress=False, accelerator="cpu")


def main() -> None:
    """Fit, predict, score."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SCVCELL_DATA_DIR"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    full = mudata.read_h5mu(Path(args.data) / FILE)
    rows = []
    for seed in args.seeds:
        rows += scored(full, seed)
        table = pd.DataFrame(rows).round(3)
        sys.stdout.write(table.to_string(index=False) + "\n")
        sys.stdout.flush()
        if args.out:
            table.to_csv(args.out, index=False)


def scored(full: mudata.MuData, seed: int) -> list[dict]:
    """All kinds of cells by the model of one seed."""
    names, rng = full["prot"].obs_names, np.random.default_rng(seed)
    order = rng.permutation(names)
    train, others = np.sort(order[:1500]), np.sort(order[1500:3500])
    elsewhere = np.sort(rng.choice(full["rna"].obs_names.difference(names), 2000, replace=False))
    model = scvcell.tl.fit(some(full, train), batch_key="batch", train=TRAIN, seed=seed)
    rows = []
    for kind, cells, thin, name in (
        ("same batch", others, 1.0, None),
        ("thinned to 30 %", others, 0.3, None),
        ("thinned, mapped", others, 0.3, "new"),
        ("another experiment, mapped", elsewhere, 1.0, None),
    ):
        query = mudata.MuData({"rna": some(full, cells, thin, name, rng, ("rna",))["rna"]})
        own = model if kind in ("same batch", "thinned to 30 %") else model.load_query_data(query, train=None)
        found = scvcell.tl.translate(query, own, to="prot", source=["rna"], level=0.9)
        trusted = found.obs["trusted"].to_numpy(bool)
        if not np.isin(cells, names).all():  # whose proteins are not in the file
            rows.append({"seed": seed, "cells": kind, "trusted": trusted.mean()})
            continue
        truth = full["prot"][cells].X
        truth = score.as_array(truth)
        inside = score.inside(truth, found.layers["lower"], found.layers["upper"])
        types = full["prot"].obs["cell_type_adt_gate"].astype(str).loc[cells].to_numpy()
        groups = [inside[trusted & (types == t)].mean() for t in set(types) if (trusted & (types == t)).sum() >= 50]
        rows.append(
            {
                "seed": seed,
                "cells": kind,
                "cover": inside.mean(),
                "worst protein": inside.mean(0).min(),
                "trusted": trusted.mean(),
                "cover, trusted": inside[trusted].mean() if trusted.any() else np.nan,
                "least type, trusted": min(groups, default=np.nan),
            }
        )
    return rows


def some(
    full: mudata.MuData,
    cells: np.ndarray,
    thin: float = 1.0,
    batch: str | None = None,
    rng: np.random.Generator | None = None,
    modalities: tuple[str, ...] = ("rna", "prot"),
) -> mudata.MuData:
    """Some cells, their RNA thinned, under another batch name."""
    mods = {m: full[m][cells].copy() for m in modalities}
    if thin < 1:
        x = sp.csr_matrix(mods["rna"].X)
        mods["rna"].X = sp.csr_matrix((rng.binomial(x.data.astype(int), thin).astype(np.float32), x.indices, x.indptr))
    for adata in mods.values():
        adata.obs = (
            adata.obs[["batch"]].astype(str) if batch is None else pd.DataFrame({"batch": batch}, adata.obs_names)
        )
    return mudata.MuData(mods)


if __name__ == "__main__":
    main()
