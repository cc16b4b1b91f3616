"""CPA (cpa-tools 0.8.8) with the settings of its two tutorials: Kang et al. (types, donors), Norman et al. (doubles).

Batches are of 128 instead of 512 and 2,048, so that these smaller data give about as many steps per epoch; 15 % of the
cells are held out for early stopping, on all genes rather than a list of changed ones. As in the tutorials, what is
asked is a control cell relabelled with the wanted condition. A draw from its likelihood at the rates it predicts is
normalised and scored; ``rates`` are the rates themselves, as its tutorials score them (the logarithm of a mean is not
the mean of logarithms, and rates lack the counting noise of cells).
It needs Python 3.10 and an environment of its own (``cpa-tools==0.8.8``, ``pyarrow<21``), whose interpreter the
environment variable SCVCELL_BENCHMARK_CPA_PYTHON names; seconds are those of that process, memory is not measured.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from benchmarks.task import Output
from scvcell.score import log_cp10k

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("perturbation",)
VARIABLE = "SCVCELL_BENCHMARK_CPA_PYTHON"
SCRIPT = Path(__file__).with_name("_cpa.py")
VALIDATION = 0.15
TRAIN = {"max_epochs": 2000, "early_stopping_patience": 5, "check_val_every_n_epoch": 5}
ADVERSARY = {"use_batch_norm_adv": True, "use_layer_norm_adv": False, "dropout_rate_adv": 0.3, "adv_loss": "cce"}
COMMON = {"recon_loss": "nb", "doser_type": "linear", "variational": False, "n_layers_decoder": 2}
KANG = {
    "model": COMMON
    | {"n_latent": 64, "n_hidden_encoder": 128, "n_layers_encoder": 2, "n_hidden_decoder": 512}
    | {"use_batch_norm_encoder": True, "use_layer_norm_encoder": False, "dropout_rate_encoder": 0.0}
    | {"use_batch_norm_decoder": False, "use_layer_norm_decoder": True, "dropout_rate_decoder": 0.1},
    "plan": ADVERSARY
    | {"n_epochs_pretrain_ae": 30, "n_epochs_adv_warmup": 50, "n_epochs_mixup_warmup": 0, "mixup_alpha": 0.0}
    | {"adv_steps": None, "n_hidden_adv": 64, "n_layers_adv": 3, "reg_adv": 20.0, "pen_adv": 5.0}
    | {"lr": 3e-4, "wd": 4e-7, "adv_lr": 3e-4, "adv_wd": 4e-7, "doser_lr": 3e-4, "doser_wd": 4e-7}
    | {"do_clip_grad": True, "gradient_clip_value": 1.0, "step_size_lr": 10},
    "train": TRAIN | {"batch_size": 128},
}
NORMAN = {
    "model": COMMON
    | {"n_latent": 32, "n_hidden_encoder": 256, "n_layers_encoder": 4, "n_hidden_decoder": 256}
    | {"use_batch_norm_encoder": True, "use_layer_norm_encoder": False, "dropout_rate_encoder": 0.2}
    | {"use_batch_norm_decoder": False, "use_layer_norm_decoder": False, "dropout_rate_decoder": 0.0},
    "plan": ADVERSARY
    | {"n_epochs_pretrain_ae": 10, "n_epochs_adv_warmup": 50, "n_epochs_mixup_warmup": 10, "mixup_alpha": 0.1}
    | {"adv_steps": 3, "n_hidden_adv": 128, "n_layers_adv": 2, "reg_adv": 10.0, "pen_adv": 20.0}
    | {"lr": 1e-4, "wd": 3.2170178270865573e-06, "adv_lr": 1e-4, "adv_wd": 7.051355554517135e-06}
    | {"do_clip_grad": False, "gradient_clip_value": 5.0, "step_size_lr": 25},
    "train": TRAIN | {"batch_size": 128},
}


def run(task: Task, seed: int) -> Output:
    """Write the cells and the relabelled controls, let CPA's interpreter train, read what it predicts."""
    python = os.environ.get(VARIABLE)
    if not python:
        msg = f"set {VARIABLE} to the Python 3.10 interpreter of an environment with cpa-tools 0.8.8"
        raise RuntimeError(msg)
    with TemporaryDirectory() as name:
        folder = Path(name)
        write(task, folder, seed)
        done = subprocess.run(
            [python, "-I", "-W", "ignore", str(SCRIPT), name], cwd=name, capture_output=True, text=True, check=False
        )
        if done.returncode:
            msg = f"CPA ended with code {done.returncode}: {done.stderr.strip()[-1500:]}"
            raise RuntimeError(msg)
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        rates, theta = np.load(folder / "rates.npy").astype(float), np.load(folder / "theta.npy").astype(float)
    rng = np.random.default_rng(seed)
    drawn = rng.poisson(rng.gamma(theta, rates / theta))
    out = Output(**result)
    start = 0
    for name, (_, cells, _) in task.questions.items():
        part = slice(start, start + len(cells))
        for place, counts in ((out.counterfactual, drawn), (out.alternatives.setdefault("rates", {}), rates)):
            place[name] = pd.DataFrame(log_cp10k(counts[part]), index=cells, columns=task.features)
        start += len(cells)
    return out


def write(task: Task, folder: Path, seed: int) -> None:
    """Counts, what was done to each cell, and settings; the controls asked about come last, as split ``ood``."""
    adata, keys = task.mdata[task.source], task.perturbation
    context = list(keys.contexts)
    label = adata.obs[keys.target].astype(str).replace(keys.control, "ctrl")
    held = np.random.default_rng(seed).random(adata.n_obs) < VALIDATION
    frames = [adata.obs[context].astype(str).assign(condition=label, split=np.where(held, "valid", "train"))]
    for action, cells, _ in task.questions.values():
        asked = adata.obs.loc[cells, context].astype(str)
        frames.append(asked.assign(condition="+".join(action.targets), split="ood"))
    table = pd.concat(frames)
    rows = adata.obs_names.get_indexer(table.index)
    parts = table["condition"].str.count(r"\+") + 1
    table["dose"] = ["+".join(["1.0"] * number) for number in parts]
    table.reset_index(drop=True).to_csv(folder / "cells.csv")
    sparse.save_npz(folder / "counts.npz", sparse.csr_matrix(adata.X)[rows].astype(np.float32))
    (folder / "settings.json").write_text(json.dumps(settings(task, int(parts.max()), seed)), encoding="utf-8")


def settings(task: Task, most: int, seed: int) -> dict[str, Any]:
    """Those of the tutorial with contexts or of the one with combinations."""
    chosen = KANG if task.perturbation.contexts else NORMAN
    return {
        **chosen,
        "model": chosen["model"] | {"seed": seed},
        "train": chosen["train"] | ({"max_epochs": task.epochs} if task.epochs else {}),
        "context": list(task.perturbation.contexts),
        "most": most,
        "threads": int(os.environ.get("OMP_NUM_THREADS", "1")),
    }
