"""scGen of pertpy 1.4.0 (jax), settings of its tutorial: 100 epochs, batches of 32, early stopping after 25 epochs.

Everything else is its default (two layers of 800 units, 100 dimensions, dropout .2), on log1p of counts per 10,000. An
action is one vector in the latent, from controls to treated cells of all types, each type resampled to the same size,
and is added to the controls asked about. ``own type``, where cells of the type were treated in other donors: for each
type its own vector. The resampling takes no seed, so runs of one seed differ a little.
Runs in an environment of its own (``--python``), with ``pertpy[scgen]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pertpy
import scanpy as sc

from benchmarks.clock import Stopwatch
from benchmarks.task import Output

if TYPE_CHECKING:
    from anndata import AnnData

    from benchmarks.task import Task

TABLES = ("perturbation",)
EPOCHS, BATCH, PATIENCE = 100, 32, 25
TYPE = "cell_type"


def run(task: Task, seed: int) -> Output:
    """Train on all cells that are there, move the controls of every question."""
    adata, keys = task.mdata[task.source].copy(), task.perturbation
    watch = Stopwatch()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    pertpy.tl.Scgen.setup_anndata(adata, batch_key=keys.target, labels_key=TYPE)
    model = pertpy.tl.Scgen(adata)
    model.train(
        max_epochs=task.epochs or EPOCHS,
        batch_size=BATCH,
        early_stopping=True,
        early_stopping_patience=PATIENCE,
        seed=seed,
    )
    out = watch.stamp(Output(epochs=len(model.history["train_loss"])))
    label, types = adata.obs[keys.target].astype(str), adata.obs[TYPE].astype(str)
    for name, (action, cells, _) in task.questions.items():
        stimulus = {"ctrl_key": keys.control, "stim_key": "+".join(action.targets)}
        out.counterfactual[name] = _moved(model, adata[cells], stimulus, "all")
        kinds = sorted(set(types[cells]))
        if set(kinds) <= set(types[label == stimulus["stim_key"]]):
            parts = [_moved(model, adata[cells[types[cells] == kind]], stimulus, {TYPE: [kind]}) for kind in kinds]
            out.alternatives.setdefault("own type", {})[name] = pd.concat(parts).loc[cells]
    return out


def _moved(model, controls: AnnData, stimulus: dict[str, str], among: str | dict[str, list[str]]) -> pd.DataFrame:
    """Controls moved by the vector of the stimulus, taken among all cells or among those of some types."""
    found, _ = model.predict(adata_to_predict=controls.copy(), restrict_arithmetic_to=among, **stimulus)
    return pd.DataFrame(found.X, index=controls.obs_names, columns=controls.var_names)
