"""UniVI 1.2.1 with the settings its authors give for CITE-seq; it trains on the pairs only.

Settings of their CITE-seq recipe (release 1.2, Ashford et al. 2026): 30 dimensions, widths 512-256-128 (RNA) and
128-64 (protein), beta 1.5, gamma 5, encoder dropout .1, Adam 1e-3 with weight decay 1e-4, batches of 256, up to 3,000
epochs with early stopping (patience 100), Gaussian likelihoods on log-normalised RNA and on the protein at the scored
scale (CLR in *mosaic*, as theirs; log1p in *protein*, because a CLR prediction cannot be brought back to counts). A
tenth of the pairs is held out for early stopping, in place of their label-stratified split: labels are hidden here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anndata
import numpy as np
import pandas as pd
import torch
from univi import ModalityConfig, TrainingConfig, UniVIConfig, UniVIMultiModalVAE
from univi.evaluation import cross_modal_predict, encode_adata
from univi.preprocessing import RNAPreprocessor
from univi.trainer import UniVITrainer
from univi.utils.seed import set_seed
from univi.workflows import make_loader

from benchmarks.clock import Stopwatch
from benchmarks.features import pair_rows
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("mosaic", "protein")
WIDTHS = {"source": [512, 256, 128], "target": [128, 64]}


def run(task: Task, seed: int) -> Output:
    """Train on pairs, encode and predict everything else."""
    set_seed(seed)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    watch = Stopwatch()
    src, tgt = pair_rows(task)
    order = np.random.default_rng(seed).permutation(len(src))
    held, train = order[: len(src) // 10], order[len(src) // 10 :]
    raw = anndata.AnnData(task.mdata.mod[task.source].X, var=task.mdata.mod[task.source].var[[]].copy())
    raw.obs_names = task.names(task.source)
    rna = RNAPreprocessor(n_hvg=None, layer=None).fit(raw[src[train]].copy()).transform(raw)
    target = anndata.AnnData(task.scaled_target().astype(np.float32), var=pd.DataFrame(index=task.features))
    target.obs_names = task.names(task.target)
    pairs = {"source": rna[src].copy(), "target": target[tgt].copy()}
    model, trainer = build(pairs, train, held, task.epochs, seed)
    trainer.fit()
    out = watch.stamp(Output(epochs=len(trainer.history["train_loss"]), notes={"best": trainer.best_epoch}))
    for modality, name, data in ((task.source, "source", rna), (task.target, "target", target)):
        z = encode_adata(model, data, modality=name, latent="modality_mean")
        out.embedding[modality] = pd.DataFrame(z, index=data.obs_names)
    z = [out.embedding[m].loc[task.paired].to_numpy() for m in (task.source, task.target)]
    out.joint = pd.DataFrame((z[0] + z[1]) / 2, index=task.paired)
    query = rna[task.rows(task.source, task.query)].copy()
    out.prediction = task.frame(cross_modal_predict(model, query, src_mod="source", tgt_mod="target"))
    return out


def build(
    pairs: dict[str, anndata.AnnData], train: np.ndarray, held: np.ndarray, epochs: int | None, seed: int
) -> tuple[UniVIMultiModalVAE, UniVITrainer]:
    """Model and trainer as in the authors' CITE-seq recipe."""
    modalities = [
        ModalityConfig(name, a.n_vars, WIDTHS[name], WIDTHS[name][::-1], likelihood="gaussian")
        for name, a in pairs.items()
    ]
    config = UniVIConfig(latent_dim=30, modalities=modalities, beta=1.5, gamma=5.0, encoder_dropout=0.1)
    model = UniVIMultiModalVAE(config, loss_mode="v1", v1_recon="avg", normalize_v1_terms=True)
    batch = 256
    parts = [{name: a[rows].copy() for name, a in pairs.items()} for rows in (train, held)]
    loaders = [
        make_loader(parts[0], batch_size=batch, shuffle=True, drop_last=len(train) % batch == 1, seed=seed),
        make_loader(parts[1], batch_size=batch, seed=seed),
    ]
    settings = TrainingConfig(
        n_epochs=epochs or 3000,
        batch_size=batch,
        lr=1e-3,
        weight_decay=1e-4,
        early_stopping=True,
        patience=100,
        grad_clip=5.0,
        log_every=10_000,
        seed=seed,
    )
    return model, UniVITrainer(model, *loaders, settings, device="cpu")
