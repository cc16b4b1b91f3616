"""TOTALVI of scvi-tools with its defaults (20 dimensions, early stopping, default epochs), zero-padded.

It takes cells with RNA only: cells without RNA cannot enter (their library size would be the logarithm of zero), so
it is not scored on matching or label transfer. Cells whose target is hidden or unmeasured form a batch of their own
in which every protein is zero, which is how TOTALVI is told that proteins are missing; predictions are decoded as in
the batch where they were measured (``transform_batch``). Two point predictions are scored: the denoised foreground
(``get_normalized_expression``, 10 samples; its main output) and, under ``mean``, the predictive mean of counts
(the same with ``include_protein_background=True``). Intervals: quantiles of draws from its own likelihood.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scvi
import torch
from scvi.distributions import NegativeBinomialMixture

from benchmarks.methods._scvi import Clock, padded, prepare
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("mosaic", "protein", "speed")
EVERY = 5
DRAWS = 100


def run(task: Task, seed: int) -> Output:
    """Train on every cell with RNA, predict the query cells."""
    prepare(seed)
    cells = task.names(task.source)
    mdata = padded(task, cells, mark_missing=True)
    rows = cells.get_indexer(task.query)
    counts = task.counts(task.source)
    if (counts.sum(1) == 0).any():
        raise ValueError("TOTALVI needs RNA counts in every cell")
    clock = Clock(every=EVERY)
    scvi.model.TOTALVI.setup_mudata(
        mdata,
        batch_key="batch",
        modalities={"rna_layer": task.source, "protein_layer": task.target, "batch_key": task.source},
    )
    model = scvi.model.TOTALVI(mdata)
    if task.monitor is not None:

        def evaluate(spent: dict[str, float]) -> None:
            task.monitor(task.from_counts(denoised(model, task, rows, n_samples=1)), spent)

        clock.evaluate = evaluate
    model.train(max_epochs=task.epochs, accelerator="cpu", callbacks=[clock], enable_progress_bar=False)
    out = clock.watch.stamp(Output(epochs=len(model.history["elbo_train"])))
    paired = cells.get_indexer(task.paired)
    if task.query.size:
        out.prediction = task.from_counts(denoised(model, task, rows))
        out.alternatives = {"mean": task.from_counts(denoised(model, task, rows, background=True))}
        out.lower, out.upper = intervals(model, task, rows)
        out.joint = pd.DataFrame(model.get_latent_representation(indices=paired), index=task.paired)
    return out


def denoised(model, task: Task, rows: np.ndarray, *, n_samples: int = 10, background: bool = False) -> np.ndarray:
    """Denoised protein of cells, as in the batch where proteins were measured."""
    return model.get_normalized_expression(
        indices=rows,
        n_samples=n_samples,
        return_mean=True,
        return_numpy=True,
        transform_batch=task.observed_batch,
        include_protein_background=background,
        gene_list=[task.mdata.mod[task.source].var_names[0]],
    )[1]


@torch.inference_mode()
def intervals(model, task: Task, rows: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Quantiles of predictive draws of counts.

    ``posterior_predictive_sample`` has no ``transform_batch``, so the draws are made here as it makes them, with the
    decoder of the observed batch.
    """
    batches = model.adata_manager.get_state_registry("batch").categorical_mapping
    batch = int(np.flatnonzero(batches == task.observed_batch)[0])
    draws = []
    for tensors in model._make_data_loader(adata=model.adata, indices=rows, batch_size=512):
        found = []
        for _ in range(DRAWS):
            py = model.module.forward(
                tensors=tensors, generative_kwargs={"transform_batch": batch}, compute_loss=False
            )[1]["py_"]
            mixture = NegativeBinomialMixture(py["rate_back"], py["rate_fore"], py["r"], mixture_logits=py["mixing"])
            found.append(mixture.sample().numpy())
        draws.append(np.quantile(np.stack(found), [(1 - task.level) / 2, (1 + task.level) / 2], axis=0))
    lower, upper = np.concatenate(draws, axis=1)
    return task.frame(lower), task.frame(upper)
