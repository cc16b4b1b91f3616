"""MULTIVI of scvi-tools, zero-padded: its defaults for training (up to 500 epochs, early stopping).

All cells are given with zeros for the assay they lack, which MULTIVI takes as missing. With chromatin, default widths
are kept and only the expression and accessibility posteriors are scored. With proteins, default widths follow from the
number of genes (22 hidden units and 4 dimensions for 500), too small for proteins; 128 hidden units and 20 dimensions
are used instead, which help it. Embeddings: its expression and protein posteriors. It has no method that predicts
proteins, so draws are made from its own protein likelihood, decoded as in the batch where proteins were measured;
scored as for TOTALVI: mean over draws on the scored scale, ``mean`` of counts, and ``denoised``, the foreground at the
posterior mean as ``TOTALVI.get_normalized_expression`` forms it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scvi
import torch
from scvi.distributions import NegativeBinomialMixture

from benchmarks.methods._scvi import Clock, batch_code, fill, padded, predictive, prepare
from benchmarks.task import Output

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.task import Task

TABLES = ("mosaic", "protein", "chromatin", "paired", "speed")
N_HIDDEN, N_LATENT = 128, 20
DRAWS = 100


def run(task: Task, seed: int) -> Output:
    """Train on all cells, embed each modality, decode proteins of the query cells."""
    prepare(seed)
    cells = task.names(task.source).union(task.names(task.target), sort=False)
    mdata = padded(task, cells, mark_missing=False)
    clock = Clock()
    chromatin = task.target == "atac"
    layer = "atac_layer" if chromatin else "protein_layer"
    scvi.model.MULTIVI.setup_mudata(
        mdata,
        batch_key="batch",
        modalities={"rna_layer": task.source, layer: task.target, "batch_key": task.source},
    )
    model = scvi.model.MULTIVI(mdata, **({} if chromatin else {"n_hidden": N_HIDDEN, "n_latent": N_LATENT}))
    epochs = {} if task.epochs is None else {"max_epochs": task.epochs}
    model.train(accelerator="cpu", callbacks=[clock], enable_progress_bar=False, **epochs)
    out = clock.watch.stamp(Output(epochs=len(model.history["elbo_train"])))
    if task.path is not None:
        return out
    for modality, name in ((task.source, "expression"), (task.target, "accessibility" if chromatin else "protein")):
        rows = cells.get_indexer(task.names(modality))
        z = model.get_latent_representation(modality=name, indices=rows)
        out.embedding[modality] = pd.DataFrame(z, index=task.names(modality))
    if chromatin and task.paired.size != len(cells):
        return out
    joint = model.get_latent_representation(indices=cells.get_indexer(task.paired))
    out.joint = pd.DataFrame(joint, index=task.paired)
    if not task.query.size:
        return out
    rows = cells.get_indexer(task.query)
    decode = decoder(model, task)

    def likelihood(tensors: dict) -> NegativeBinomialMixture:
        py = decode(tensors, use_z_mean=False)
        return NegativeBinomialMixture(py["rate_back"], py["rate_fore"], py["r"], mixture_logits=py["mixing"])

    def loader():
        return model._make_data_loader(adata=model.adata, indices=rows, batch_size=512)

    found = predictive(task, loader(), likelihood, DRAWS)
    with torch.inference_mode():
        py = [decode(tensors, use_z_mean=True) for tensors in loader()]
    foreground = [(p["rate_fore"] * (1 - torch.sigmoid(p["mixing"]))).numpy() for p in py]
    fill(task, out, found, np.concatenate(foreground))
    return out


def decoder(model, task: Task) -> Callable[..., dict[str, torch.Tensor]]:
    """Protein parameters of a minibatch, as in the batch where proteins were measured."""
    batch = batch_code(model, task.observed_batch)

    def decode(tensors: dict, *, use_z_mean: bool) -> dict[str, torch.Tensor]:
        state = model.module.inference(**model.module._get_inference_input(tensors))
        inputs = model.module._get_generative_input(tensors, state, transform_batch=batch)
        return model.module.generative(**inputs, use_z_mean=use_z_mean)["py_"]

    return decode
