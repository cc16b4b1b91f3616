"""UniVI 1.2.1 with the settings its authors give for CITE-seq and for multiome; it trains on the pairs only.

Settings of their CITE-seq recipe (release 1.2, Ashford et al. 2026): 30 dimensions, widths 512-256-128 (RNA) and
128-64 (protein), beta 1.5, gamma 5, encoder dropout .1, Adam 1e-3 with weight decay 1e-4, batches of 256, up to 3,000
epochs with early stopping (patience 100), Gaussian likelihoods on log-normalised RNA and on the protein at the scored
scale (CLR in *mosaic*, as theirs; log1p in *protein*, because a CLR prediction cannot be brought back to counts). A
tenth of the pairs is held out for early stopping, in place of their label-stratified split: labels are hidden here.

With chromatin the multiome recipe of its README: 2,000 variable genes (here all); 100 components of TF-IDF, the first
left out, z-scored; the same widths, beta 1.25, gamma 4.35, decoder dropout .05, annealing of both between epochs 50 and
110, patience 50 from then on, up to 400 epochs. Two steps are not as there, because cells are so sparse here that they
harm it (a fifth of the pairs, seed 0, pools for choices): components are those of all cells and not of the pairs for
training alone (FOSCTTM .207, not .293), and genes are log-normalised, as for CITE-seq, but not z-scored (.147, not
.207). The RNA it decodes is brought back to shares of counts; it decodes components and no peaks.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np
import pandas as pd
import torch
from univi import ModalityConfig, TrainingConfig, UniVIConfig, UniVIMultiModalVAE
from univi.evaluation import cross_modal_predict, encode_adata
from univi.preprocessing import ATACPreprocessor, RNAPreprocessor
from univi.trainer import UniVITrainer
from univi.utils.seed import set_seed
from univi.workflows import make_loader

from benchmarks.clock import Stopwatch
from benchmarks.features import pair_rows
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("mosaic", "protein", "chromatin")
WIDTHS = {"source": [512, 256, 128], "target": [128, 64]}
CITESEQ = (
    {"beta": 1.5, "gamma": 5.0},
    {"n_epochs": 3000, "patience": 100, "grad_clip": 5.0},
)
MULTIOME = (
    {
        "beta": 1.25,
        "gamma": 4.35,
        "decoder_dropout": 0.05,
        "kl_anneal_start": 50,
        "kl_anneal_end": 85,
        "align_anneal_start": 75,
        "align_anneal_end": 110,
    },
    {"n_epochs": 400, "patience": 50, "best_epoch_warmup": 110},
)


def run(task: Task, seed: int) -> Output:
    """Train on pairs, encode and predict everything else."""
    set_seed(seed)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    chromatin = task.target == "atac"
    watch = Stopwatch()
    src, tgt = pair_rows(task)
    order = np.random.default_rng(seed).permutation(len(src))
    held, train = order[: len(src) // 10], order[len(src) // 10 :]
    raw = anonymous(task, task.source)
    if chromatin:
        genes = RNAPreprocessor(2000, layer=None).fit(raw)
        peaks = ATACPreprocessor(101, layer=None, drop_first=True, random_state=seed)
        target = peaks.fit_transform(anonymous(task, task.target))
    else:
        genes = RNAPreprocessor(None, layer=None).fit(raw[src[train]].copy())
        target = anndata.AnnData(task.scaled_target().astype(np.float32), var=pd.DataFrame(index=task.features))
        target.obs_names = task.names(task.target)
    rna = genes.transform(raw)
    pairs = {"source": rna[src].copy(), "target": target[tgt].copy()}
    model, trainer = build(pairs, train, held, MULTIOME if chromatin else CITESEQ, task.epochs, seed)
    trainer.fit()
    out = watch.stamp(Output(epochs=len(trainer.history["train_loss"]), notes={"best": trainer.best_epoch}))
    for modality, name, data in ((task.source, "source", rna), (task.target, "target", target)):
        z = encode_adata(model, data, modality=name, latent="modality_mean")
        out.embedding[modality] = pd.DataFrame(z, index=data.obs_names)
    if chromatin:
        query = target[task.rows(task.target, task.reverse)].copy()
        expression = cross_modal_predict(model, query, src_mod="target", tgt_mod="source")
        out.translation["rna"] = shares(genes, expression, task, query.obs_names)
        return out
    z = [out.embedding[m].loc[task.paired].to_numpy() for m in (task.source, task.target)]
    out.joint = pd.DataFrame((z[0] + z[1]) / 2, index=task.paired)
    query = rna[task.rows(task.source, task.query)].copy()
    out.prediction = task.frame(cross_modal_predict(model, query, src_mod="source", tgt_mod="target"))
    return out


def anonymous(task: Task, modality: str) -> anndata.AnnData:
    """Counts with the names of cells and features, and nothing else."""
    a = task.mdata.mod[modality]
    raw = anndata.AnnData(a.X, var=a.var[[]].copy())
    raw.obs_names = task.names(modality)
    return raw


def shares(genes: RNAPreprocessor, expression: np.ndarray, task: Task, names: pd.Index) -> pd.DataFrame:
    """Shares of counts from log-normalised genes; genes that no cell expresses have none."""
    counts = np.expm1(np.clip(expression, 0, None))
    found = pd.DataFrame(counts / counts.sum(1, keepdims=True), index=names, columns=genes.features_)
    return found.reindex(columns=task.mdata.mod[task.source].var_names, fill_value=0.0)


def build(
    pairs: dict[str, anndata.AnnData],
    train: np.ndarray,
    held: np.ndarray,
    recipe: tuple[dict[str, Any], dict[str, Any]],
    epochs: int | None,
    seed: int,
) -> tuple[UniVIMultiModalVAE, UniVITrainer]:
    """Model and trainer as in a recipe of the authors."""
    modalities = [
        ModalityConfig(name, a.n_vars, WIDTHS[name], WIDTHS[name][::-1], likelihood="gaussian")
        for name, a in pairs.items()
    ]
    config = UniVIConfig(latent_dim=30, modalities=modalities, encoder_dropout=0.1, **recipe[0])
    model = UniVIMultiModalVAE(config, loss_mode="v1", v1_recon="avg", normalize_v1_terms=True)
    batch = 256
    parts = [{name: a[rows].copy() for name, a in pairs.items()} for rows in (train, held)]
    loaders = [
        make_loader(parts[0], batch_size=batch, shuffle=True, drop_last=len(train) % batch == 1, seed=seed),
        make_loader(parts[1], batch_size=batch, seed=seed),
    ]
    settings = TrainingConfig(
        **recipe[1] | ({} if epochs is None else {"n_epochs": epochs}),
        batch_size=batch,
        lr=1e-3,
        weight_decay=1e-4,
        early_stopping=True,
        log_every=10_000,
        seed=seed,
    )
    return model, UniVITrainer(model, *loaders, settings, device="cpu")
