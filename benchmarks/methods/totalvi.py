"""TOTALVI of scvi-tools with its defaults (20 dimensions, early stopping, default epochs), zero-padded.

It takes cells with RNA only: cells without RNA cannot enter (their library size would be the logarithm of zero), so
it is not scored on matching or label transfer. Cells whose target is hidden or unmeasured form a batch of their own
in which every protein is zero, which is how TOTALVI is told that proteins are missing; predictions are decoded as in
the batch where they were measured (``transform_batch``). Three point predictions are scored: the mean over draws of
its likelihood on the scored scale (its best there), ``mean``, the predictive mean of counts, and ``denoised``, what
``get_normalized_expression`` returns (with background, which scores better than without). Intervals: quantiles of the
same draws. In scvi-tools 1.5 the likelihood multiplies protein rates by a learned efficiency per batch which
``get_normalized_expression`` and ``posterior_predictive_sample`` leave out, so that these are not on the scale of
counts; the draws here use the rates of the likelihood.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import scvi
from scvi.distributions import NegativeBinomialMixture

from benchmarks.methods._scvi import Clock, batch_code, fill, padded, predictive, prepare
from benchmarks.task import Output

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from benchmarks.task import Task

TABLES = ("mosaic", "protein", "paired", "speed")
EVERY = 10
PASSES = 5
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
            found = predictive(task, loader(model, rows), likelihood(model, task), PASSES)
            task.monitor(task.from_counts(found["mean"]), spent)

        clock.evaluate = evaluate
    model.train(max_epochs=task.epochs, accelerator="cpu", callbacks=[clock], enable_progress_bar=False)
    out = clock.watch.stamp(Output(epochs=len(model.history["elbo_train"])))
    paired = cells.get_indexer(task.paired)
    if task.query.size:
        found = predictive(task, loader(model, rows), likelihood(model, task), DRAWS)
        fill(task, out, found, denoised(model, task, rows))
    if task.path is None:
        out.joint = pd.DataFrame(model.get_latent_representation(indices=paired), index=task.paired)
    return out


def loader(model, rows: np.ndarray):
    """Minibatches of cells."""
    return model._make_data_loader(adata=model.adata, indices=rows, batch_size=512)


def likelihood(model, task: Task) -> Callable[[dict], NegativeBinomialMixture]:
    """Protein likelihood of a minibatch at one draw of the state, as in the batch where proteins were measured."""
    batch = batch_code(model, task.observed_batch)

    def of(tensors: dict) -> NegativeBinomialMixture:
        inputs = {"transform_batch": batch}
        py = model.module.forward(tensors=tensors, generative_kwargs=inputs, compute_loss=False)[1]["py_norm_"]
        return NegativeBinomialMixture(py["rate_back"], py["rate_fore"], py["r"], mixture_logits=py["mixing"])

    return of


def denoised(model, task: Task, rows: np.ndarray) -> np.ndarray:
    """Output of the public method, mean of 10 samples."""
    return model.get_normalized_expression(
        indices=rows,
        n_samples=10,
        return_mean=True,
        return_numpy=True,
        transform_batch=task.observed_batch,
        include_protein_background=True,
        gene_list=[task.mdata.mod[task.source].var_names[0]],
    )[1]
