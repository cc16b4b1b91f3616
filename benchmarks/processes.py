"""Held-out objective by processes and size of a step: ``python benchmarks/processes.py CASE [--processes 1 2] ...``.

A fifth of the cells is in no training at all. Their objective, mean over three draws of the states that are the same
for all fits, is printed for each seed beside CPU seconds of all processes. Several processes are started by torchrun,
on the CPUs of this machine. ``mosaic`` is `pbmc_mosaic` of the package, ``mini`` is 1,500 cells with RNA and proteins,
``cite`` all 6,855 of them (`pbmc_citeseq_10k5k` in SCVCELL_DATA_DIR), 1,000 genes.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import mudata as md
import numpy as np
import torch

import scvcell
from scvcell.model._loader import Loader

warnings.filterwarnings("ignore")
CASES = ("mosaic", "mini", "cite")
N_GENES = 1000
DRAWS = 3


def cells(case: str) -> md.MuData:
    """Cells of a case."""
    if case == "mosaic":
        return scvcell.datasets.pbmc_mosaic()
    data = md.read_h5mu(Path(os.environ["SCVCELL_DATA_DIR"]) / "pbmc_citeseq_10k5k" / "pbmc_citeseq_10k5k.h5mu")
    data = data[data.obs_names.isin(data["prot"].obs_names)].copy()
    if case == "mini":
        data = data[np.sort(np.random.default_rng(1).permutation(data.n_obs)[:1500])].copy()
    rna = data["rna"]
    # by dispersion of the counts, which no later step of the comparison depends on
    mean, square = (np.asarray(x.mean(0)).ravel() for x in (rna.X, rna.X.multiply(rna.X)))
    best = np.sort(np.argsort(-((square - mean**2) / np.maximum(mean, 1e-9)))[:N_GENES])
    return md.MuData({"rna": rna[:, best].copy(), "prot": data["prot"].copy()})


@torch.inference_mode()
def objective(model: scvcell.CSL, data: md.MuData, where: np.ndarray) -> float:
    """Mean objective of some cells, nats."""
    source = model.source(model.view(data))
    total = 0.0
    model.network.eval()
    for seed in range(DRAWS):
        torch.manual_seed(seed)
        for batch in Loader(source, where, 1024):
            total += float(model.network.loss(batch)) * len(batch)
    return total / (DRAWS * len(where))


def fit(args: argparse.Namespace) -> None:
    """One fit; each process says what it cost, the first what it found."""
    torch.set_num_threads(1)
    data = cells(args.case)
    where = np.sort(np.random.default_rng(0).permutation(data.n_obs)[: data.n_obs // 5])
    train = scvcell.TrainConfig(
        batch_size=args.step,
        lr=args.lr,
        max_epochs=args.epochs,
        patience=args.patience,
        accelerator="cpu",
        progress=False,
    )
    key = "batch" if args.case == "mosaic" else None
    start = time.process_time()
    model = scvcell.tl.fit(data, batch_key=key, split=data.obs_names[where], train=train, seed=args.seed)
    seconds = time.process_time() - start
    from scvcell._ranks import rank

    found = {"rank": rank(), "cpu": seconds, "epochs": len(model.history["loss_train"])}
    if not rank():
        found["objective"] = objective(model, data, where)
        found["best"] = float(model.history["loss_validation"].min().iloc[0])
        found["end"] = float(model.history["loss_validation"].iloc[-1, 0])
    sys.stdout.write(json.dumps(found) + "\n")


def main() -> None:
    """One line per number of processes and seed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--step", type=int, help="cells per step of all processes together")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--patience", type=int, default=5, help="0: the whole schedule")
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.seed is not None:
        fit(args)
        return
    own = [str(Path(__file__).resolve()), args.case, "--lr", str(args.lr), "--patience", str(args.patience)]
    own += [part for name in ("step", "epochs") if (v := getattr(args, name)) for part in (f"--{name}", str(v))]
    for seed in args.seeds:
        for n in args.processes:
            run = ["-m", "torch.distributed.run", "--nproc-per-node", str(n)] if n > 1 else []
            command = [sys.executable, "-W", "ignore", *run, *own, "--seed", str(seed)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr[-4000:])
            parts = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"rank"')]
            (first,) = (part for part in parts if not part["rank"])
            sys.stdout.write(
                f"{args.case} step {args.step} lr {args.lr:g} patience {args.patience} seed {seed} processes {n}: "
                f"objective {first['objective']:.3f} best {first['best']:.3f} end {first['end']:.3f} "
                f"epochs {first['epochs']} CPU s {sum(part['cpu'] for part in parts):.1f}\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
