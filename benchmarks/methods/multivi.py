"""MULTIVI of scvi-tools, zero-padded, no chromatin: its defaults for training (up to 500 epochs, early stopping).

All cells are given with zeros for the assay they lack, which MULTIVI takes as missing. Its default widths follow from
the number of genomic regions or genes (22 hidden units and 4 dimensions for 500 genes), too small for proteins; 128
hidden units and 20 dimensions are used instead, which help it. Embeddings: its expression and protein posteriors.
It has no method that predicts proteins, so the prediction is the denoised foreground of its own protein decoder at the
posterior mean (as ``TOTALVI.get_normalized_expression`` forms it), ``mean`` with background, decoded as in the batch
where proteins were measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scvi
import torch

from benchmarks.methods._scvi import Clock, padded, prepare
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("mosaic", "protein")
N_HIDDEN, N_LATENT = 128, 20


def run(task: Task, seed: int) -> Output:
    """Train on all cells, embed each modality, decode proteins of the query cells."""
    prepare(seed)
    cells = task.names(task.source).union(task.names(task.target), sort=False)
    mdata = padded(task, cells, mark_missing=False)
    clock = Clock()
    scvi.model.MULTIVI.setup_mudata(
        mdata,
        batch_key="batch",
        modalities={"rna_layer": task.source, "protein_layer": task.target, "batch_key": task.source},
    )
    model = scvi.model.MULTIVI(mdata, n_hidden=N_HIDDEN, n_latent=N_LATENT)
    epochs = {} if task.epochs is None else {"max_epochs": task.epochs}
    model.train(accelerator="cpu", callbacks=[clock], enable_progress_bar=False, **epochs)
    out = clock.watch.stamp(Output(epochs=len(model.history["elbo_train"])))
    for modality, name in ((task.source, "expression"), (task.target, "protein")):
        rows = cells.get_indexer(task.names(modality))
        z = model.get_latent_representation(modality=name, indices=rows)
        out.embedding[modality] = pd.DataFrame(z, index=task.names(modality))
    joint = model.get_latent_representation(indices=cells.get_indexer(task.paired))
    out.joint = pd.DataFrame(joint, index=task.paired)
    foreground, total = proteins(model, task, cells.get_indexer(task.query))
    out.prediction, out.alternatives = task.from_counts(foreground), {"mean": task.from_counts(total)}
    return out


@torch.inference_mode()
def proteins(model, task: Task, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Foreground and total rate of the protein decoder at the posterior mean."""
    batches = model.adata_manager.get_state_registry("batch").categorical_mapping
    batch = int(np.flatnonzero(batches == task.observed_batch)[0])
    found = []
    for tensors in model._make_data_loader(adata=model.adata, indices=rows, batch_size=512):
        state = model.module.inference(**model.module._get_inference_input(tensors))
        inputs = model.module._get_generative_input(tensors, state, transform_batch=batch)
        py = model.module.generative(**inputs, use_z_mean=True)["py_"]
        background = torch.sigmoid(py["mixing"])
        foreground = py["rate_fore"] * (1 - background)
        found.append(torch.stack([foreground, foreground + py["rate_back"] * background]).numpy())
    foreground, total = np.concatenate(found, axis=1)
    return foreground, total
