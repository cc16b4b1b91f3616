"""scvcell through its public verbs and with its defaults: `tl.fit`, `tl.embed`, `tl.translate`.

RNA and chromatin without a single pair are given the guidance graph of `pp.link_features`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scvi
import torch  # noqa: F401  (imports are not timed)

import scvcell
from benchmarks.clock import Stopwatch
from benchmarks.methods._niche import outcomes_of
from benchmarks.tables import NAMES
from benchmarks.tables.order import ORDERS, POTENCY
from benchmarks.task import Output, Position
from scvcell._stats import neighbours, walk
from scvcell.score import dense, log_cp10k

if TYPE_CHECKING:
    from collections.abc import Callable

    import anndata

    from benchmarks.task import Task

TABLES = NAMES
DRAWS = 5
"""Draws of each cell after an action, so that means over cells hold little noise of the draw."""


def run(task: Task, seed: int, graph: Callable[..., Any] | None = scvcell.pp.link_features) -> Output:
    """Fit on everything visible, embed each modality alone, translate the query cells."""
    scvi.settings.verbosity = 30
    if task.target == "pools":
        return _pools(task, seed)
    if task.perturbation is not None:
        return _perturb(task, seed)
    if task.target == "spots":
        return _project(task, seed) if task.scale == "project" else _lift(task, seed)
    if task.target == "hidden":
        return _impute(task, seed)
    if task.target == "cells":
        return _map(task, seed)
    if task.target in ("label", "donors"):
        return _endpoint(task, seed)
    if task.source == "kinetics":
        return _velocity(task, seed)
    mdata = task.mdata
    watch = Stopwatch()
    train = scvcell.TrainConfig(max_epochs=task.epochs, accelerator="cpu", progress=False)
    unpaired = len(mdata.mod) == 2 and len(task.paired) == 0
    priors = graph(mdata, how=task.links) if graph is not None and unpaired else ()
    model = scvcell.tl.fit(mdata, batch_key=task.batch_key, train=train, priors=priors, seed=seed)
    out = watch.stamp(Output(epochs=epochs_of(model), notes=notes_of(model)))
    if task.path is not None:
        return out
    for modality in (task.source, task.target):
        scvcell.tl.embed(mdata, model, modalities=[modality], key_added=f"X_{modality}")
        out.embedding[modality] = latent(mdata, f"X_{modality}").loc[task.names(modality)]
    if task.reverse.size:
        for target, names in ((task.target, task.query), (task.source, task.reverse)):
            found = scvcell.tl.translate(mdata[names].copy(), model, to=target)
            mean = found.layers["mean"]
            out.translation[target] = pd.DataFrame(mean / mean.sum(1, keepdims=True), index=found.obs_names).loc[names]
        return out
    if not task.query.size:
        if len(task.paired) == mdata.n_obs:
            out.joint = latent(mdata, "X_csl").loc[task.paired]
            scvcell.tl.modality_information(mdata, model)
            out.notes |= {f"bits_{m}": float(mdata.obs[f"csl_bits_{m}"].mean()) for m in (task.source, task.target)}
        return out
    out.joint = latent(mdata, "X_csl").loc[task.paired]
    predicted = scvcell.tl.translate(mdata, model, to=task.target, source=[task.source], level=task.level)
    predicted = predicted[task.query]
    out.prediction = task.from_counts(predicted.X)
    out.alternatives = {"mean": task.from_counts(predicted.layers["mean"])}
    out.lower, out.upper = task.frame(predicted.layers["lower"]), task.frame(predicted.layers["upper"])
    out.notes["untrusted"] = predicted.var_names[~predicted.var["trusted"].to_numpy(bool)].tolist()
    return out


def fitted(task: Task, data: Any, batch_key: str | None, seed: int, watch: Stopwatch) -> tuple[Any, Output]:
    """A model of cells, and the record of its fit."""
    train = scvcell.TrainConfig(max_epochs=task.epochs, accelerator="cpu", progress=False)
    model = scvcell.tl.fit(data, batch_key=batch_key, train=train, seed=seed)
    return model, watch.stamp(Output(epochs=epochs_of(model), notes=notes_of(model)))


def of_spots(task: Task, seed: int) -> tuple[Any, Any, Output]:
    """A model of the reference, the spots as of one of its batches, and the record of the fit."""
    reference, spots = task.mdata["rna"].copy(), task.mdata["spots"].copy()
    model, out = fitted(task, reference, task.batch_key, seed, Stopwatch())
    spots.obs[task.batch_key] = model.schema.batches[0]
    return model, spots, out


def _lift(task: Task, seed: int) -> Output:
    """Fit on the reference, lift the spots."""
    model, spots, out = of_spots(task, seed)
    found = scvcell.tl.lift(spots, model, labels_key="kind", level=task.level, seed=seed)
    frames = [
        pd.DataFrame(x, index=found.obs_names, columns=found.var_names)
        for x in (found.X, *map(found.layers.get, ("lower", "upper")))
    ]
    out.composition, out.lower, out.upper = frames
    out.notes |= {"trusted": float(found.obs["trusted"].mean()), "cycle": dict(found.uns["csl_cycle"])}
    out.notes["smooth"] = float(found.uns["csl_lift"]["smooth"])
    return out


def _project(task: Task, seed: int) -> Output:
    """Fit the kernel by the spots that are shown, project to the others."""
    cells, shown, places = (task.mdata[name].copy() for name in ("rna", "spots", "places"))
    watch = Stopwatch()
    fitted = scvcell.tl.project(cells, by=shown, width="fit")
    kernel = fitted.uns["csl_project"]
    out = watch.stamp(
        Output(notes={key: np.asarray(kernel[key]).tolist() for key in ("width", "offset", "background")})
    )
    out.notes["held_out"] = kernel["scores"]
    places.obsm["spatial"] = places.obsm["spatial"] + kernel["offset"]
    sums = dense(scvcell.tl.project(cells, by=places, width=kernel["width"]).X)
    mean = dense(cells.X).sum(0)
    share = sums / np.maximum(sums.sum(1, keepdims=True), 1e-12)
    share = (1 - kernel["background"]) * share + kernel["background"] * mean / mean.sum()
    expected = share * fitted.var["platform_factor"].to_numpy()
    expected *= places.obs["depth"].to_numpy()[:, None] / expected.sum(1, keepdims=True)
    out.prediction = task.frame(expected)
    return out


def _impute(task: Task, seed: int) -> Output:
    """Fit on reference and tissue, impute the genes that the tissue lacks."""
    watch = Stopwatch()
    mdata = scvcell.pp.panels(task.mdata["rna"], task.mdata["tissue"])
    model, out = fitted(task, mdata, "platform", seed, watch)
    found = scvcell.tl.impute_space(mdata, model, level=task.level)

    def frame(values: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(np.log1p(values), index=found.obs_names, columns=found.var_names)

    out.imputation = {"": (frame(found.X), frame(found.layers["rate"]))}
    out.intervals = {"": (frame(found.layers["lower"]), frame(found.layers["upper"]))}
    out.trusted_features = found.var["trusted"]
    out.notes |= {"trusted_cells": float(found.obs["trusted"].mean())} | found.uns["csl_impute"]
    return out


def _map(task: Task, seed: int) -> Output:
    """Fit on located cells, look for the others."""
    located, cells = task.mdata["rna"].copy(), task.mdata["cells"].copy()
    watch = Stopwatch()
    model, out = fitted(task, located, task.batch_key, seed, watch)
    groups = "section" if "section" in located.obs else None
    found = scvcell.tl.map_to_space(cells, model, spatial=located, groups_key=groups, level=task.level, seed=seed)
    places, told = found.uns["csl_places"], found.uns["csl_map"].iloc[0]
    probability = pd.DataFrame(found.obsm["position"].toarray(), index=found.obs_names, columns=places.index)
    out.points = pd.DataFrame(found.obsm["spatial"], index=found.obs_names, columns=["x", "y"])
    out.position = Position(probability, places[["x", "y"]], float(told["width"]), found.obs["area"])
    out.cells = found.obs
    out.notes |= {key: told[key] for key in told.index}
    return out


def _endpoint(task: Task, seed: int) -> Output:
    """Labels of cells by their niches, or outcomes of donors by their cells."""
    rna, watch = task.mdata["rna"], Stopwatch()
    model, out = fitted(task, rna, None if task.target == "donors" else "batch", seed, watch)
    if task.target == "donors":
        return _outcomes(model, rna, out, outcomes_of(task), seed)
    scvcell.tl.predict_endpoint(rna, model, key="label", section_key="batch", seed=seed)
    names = ("probability", "set", "trusted")
    out.labels = rna.obs[["label_predicted", *(f"label_predicted_{name}" for name in names)]].set_axis(
        ["label", *names], axis=1
    )
    out.labels["set"] = out.labels["set"].astype(str)
    out.notes |= {k: v for k, v in rna.uns["csl_endpoint"]["label_predicted"].items() if k != "classes"}
    return out


def _outcomes(model: scvcell.CSL, rna: anndata.AnnData, out: Output, keys: list[str], seed: int) -> Output:
    """Of each donor the probability of the second outcome of each column."""
    columns = {}
    for key in keys:
        found = scvcell.tl.predict_endpoint(rna, model, key=key, by="batch", section_key="batch", seed=seed)
        label, probability = found.obs[f"{key}_predicted"].astype(str), found.obs[f"{key}_predicted_probability"]
        columns[key] = probability.where(label == max(rna.obs[key].astype(str)), 1 - probability)
    out.labels = pd.DataFrame(columns)
    out.notes |= {k: v for k, v in found.uns["csl_endpoint"][f"{keys[-1]}_predicted"].items() if k != "classes"}
    return out


def _perturb(task: Task, seed: int) -> Output:
    """Fit with actions, answer questions by effects and, of counts, by cells; without questions, score all cells."""
    mdata = task.mdata
    watch = Stopwatch()
    train = scvcell.TrainConfig(max_epochs=task.epochs, accelerator="cpu", progress=False)
    priors = () if task.kernel is None else scvcell.prior.TargetKernel(task.kernel)
    model = scvcell.tl.fit(mdata, perturbation=task.perturbation, train=train, priors=priors, seed=seed)
    out = watch.stamp(Output(epochs=epochs_of(model), notes=notes_of(model)))
    for name, (action, cells, n_treated) in task.questions.items():
        if name in (*ORDERS, POTENCY):
            first, *others = action.targets
            found = (
                scvcell.tl.order_effect(mdata, model, first, *others or [name], n_null=19, seed=seed)
                if name in ORDERS
                else scvcell.tl.potency(mdata, model, pool=True, seed=seed)
            )
            out.notes[name] = found.to_dict("records")
            continue
        if mdata[task.source].obs.loc[cells[0], task.perturbation.target] == name:
            _match(out, model, mdata, name, task.level, seed)
            continue
        if task.scale != "identity":
            found = scvcell.tl.perturb(mdata, model, action, cells=cells, n_samples=DRAWS, seed=seed)
            out.counterfactual[name] = pd.DataFrame(
                log_cp10k(dense(found.X)), index=found.obs_names, columns=found.var_names
            )
        out.effects[name] = scvcell.tl.effects(
            mdata, model, action, cells=cells, groupby=[], level=task.level, n_cells=n_treated
        )
    if task.pooled:
        _without_contexts(out, model, task, seed)
    if not task.questions:
        out.response = scvcell.tl.response_score(mdata, model, level=task.level)
        out.cells = mdata.obs.filter(like="csl_response")
        out.impact = scvcell.tl.impact(mdata, model, level=task.level)
    return out


def _without_contexts(out: Output, model, task: Task, seed: int) -> None:
    """Cells by what was learned without contexts, with the controls that are asked about and without them."""
    mdata, keys = task.mdata, replace(task.perturbation, context=())
    for kind, apart in (("no context", False), ("no context, other controls", True)):
        place = out.alternatives.setdefault(kind, {})
        for name, (action, cells, _) in task.questions.items():
            shown = mdata[~mdata.obs_names.isin(cells)].copy() if apart else mdata
            model.learn("response", keys, seed=seed, data=model.view(shown))
            found = scvcell.tl.perturb(mdata, model, action, cells=cells, n_samples=DRAWS, seed=seed)
            place[name] = pd.DataFrame(log_cp10k(dense(found.X)), index=found.obs_names, columns=found.var_names)


def _pools(task: Task, seed: int) -> Output:
    """Fit with actions; what they do to pools of cells, or whether they do the same to all pools."""
    adata = task.mdata["rna"]
    watch = Stopwatch()
    train = scvcell.TrainConfig(max_epochs=task.epochs, accelerator="cpu", progress=False)
    model = scvcell.tl.fit(adata, perturbation=task.perturbation, train=train, seed=seed)
    out = watch.stamp(Output(epochs=epochs_of(model), notes=notes_of(model)))
    for name, (action, cells, n_treated) in task.questions.items():
        if isinstance(action, str):
            found = scvcell.tl.order_effect(adata, model, action, "aggregate", by=name, n_null=19, seed=seed)
            out.notes[name] = found.to_dict("records")
            continue
        after = scvcell.tl.perturb(adata, model, action, cells=cells, n_samples=DRAWS, seed=seed)
        pool = scvcell.tl.project(adata[cells].copy(), model, by=task.batch_key)
        other = scvcell.tl.perturb(pool, model, action, cells=pool.obs_names, n_samples=DRAWS, seed=seed)
        for place, table in ((out.counterfactual, after), (out.alternatives.setdefault("of the pool", {}), other)):
            pooled = scvcell.tl.project(table, model, by=task.batch_key)
            place[name] = pd.DataFrame(dense(pooled.X), index=pooled.obs_names, columns=pooled.var_names)
        out.effects[name] = scvcell.tl.effects(
            adata, model, action, cells=cells, groupby=[], level=task.level, n_cells=n_treated
        )
    return out


def _match(out: Output, model, mdata, name: str, level: float, seed: int) -> None:
    """Effect on each treated cell, brought from the logarithm to base 2 to that of log1p."""
    found = scvcell.tl.match_counterfactual(mdata, model, name, level=level, seed=seed)

    def frame(value: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(value, index=found.obs_names, columns=found.var_names)

    matched = found.layers["counterfactual"] - found.layers["matched"]
    out.counterfactual[name] = frame(found.X * np.log(2))
    out.alternatives.setdefault("measured matches", {})[name] = frame((found.X + matched) * np.log(2))
    out.effects[name] = found.uns["csl_match"]["effects"]
    out.lower, out.upper = (pd.concat([getattr(out, key), frame(found.layers[key])]) for key in ("lower", "upper"))
    out.notes[name] = found.uns["csl_match"]["params"]


def _velocity(task: Task, seed: int) -> Output:
    """Fit, learn the field, walk along it, look 2 lifetimes ahead."""
    mdata = task.mdata
    watch = Stopwatch()
    train = scvcell.TrainConfig(max_epochs=task.epochs, accelerator="cpu", progress=False)
    model = scvcell.tl.fit(mdata, train=train, seed=seed)
    scvcell.tl.velocity(mdata, model, seed=seed)
    out = watch.stamp(Output(epochs=epochs_of(model), notes=notes_of(model)))
    z = mdata.obsm["X_csl"].astype(float)
    out.steps[""] = walk(z, mdata.obsm["velocity_csl"], neighbours(z))
    n = mdata["kinetics"].n_vars // 2
    change = mdata["kinetics"].layers["velocity"][:, :n] / mdata["kinetics"].X[:, :n].sum(1)
    names = [name.rpartition(":")[0] for name in mdata["kinetics"].var_names[:n]]
    out.gene_velocity[""] = pd.DataFrame(np.asarray(change), columns=names)
    later = scvcell.tl.forecast(mdata, model, time=2.0).obsm["X_csl"]
    trusted = mdata.obs["velocity_trusted"].to_numpy(bool)
    out.forecast = {"latent": z, "later": later, "members": model.drift.members(z), "trusted": trusted}
    return out


def latent(mdata, key: str) -> pd.DataFrame:
    """A latent with its cell names."""
    return pd.DataFrame(mdata.obsm[key], index=mdata.obs_names)


def notes_of(model) -> dict[str, Any]:
    """How the assays were held together, and the last held-out likelihood of each, nats per cell."""
    held_out = {name: model.history.get(f"{name}_validation") for name in model.schema.modalities}
    return {
        "alignment": model.alignment,
        "matched_pairs": model.matched,
        "held_out": {name: float(h.iloc[-1, 0]) for name, h in held_out.items() if h is not None},
    }


def epochs_of(model) -> int | None:
    """Epochs trained, from the history."""
    lengths = [
        len(frame.dropna()) for name, frame in model.history.items() if name.endswith("train") or "epoch" in name
    ]
    return max(lengths, default=None)
