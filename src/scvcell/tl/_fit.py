"""tl.fit: one cell-state latent from whatever assays the data have."""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell import _keys
from scvcell._checks import expect, listed, one_name, seed_of
from scvcell._containers import choose, is_container, is_paths, open_corpus, table_names, view
from scvcell._labels import labels, tell_missing
from scvcell.model import CSL, TrainConfig, warn_by_names
from scvcell.perturb import PerturbationKeys, read_design
from scvcell.pp import Split
from scvcell.prior import GuidanceGraph, TargetKernel
from scvcell.tl._embed import write_states

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scvcell._containers import Container, Paths, Tables, View
    from scvcell._types import Mask
    from scvcell.objective import Weights
    from scvcell.perturb import Design

logger = logging.getLogger("scvcell")


def fit(
    data: Container | Paths,
    *,
    measure: Mapping[str, Any] | str | None = None,
    batch_key: str | None = None,
    covariates: str | Sequence[str] | None = None,
    layers: Mapping[str, str] | str | None = None,
    size_factor: Mapping[str, str | None] | str | None = None,
    weights: Weights | None = None,
    train: TrainConfig | None = None,
    priors: GuidanceGraph | TargetKernel | Iterable[GuidanceGraph | TargetKernel] = (),
    perturbation: PerturbationKeys | None = None,
    split: Any = None,
    table_key: Tables = None,
    key_added: str | None = None,
    seed: int = 0,
    max_epochs: int | None = None,
) -> CSL:
    r"""Fit one cell-state latent to every assay of the data, whether or not each cell has them all.

    .. math:: L_{obs} = \sum_m E_q[-\log p(x_m \mid M_m(z), c)] + \mathrm{KL} + \lambda_{align} L_{align}

    Parameters
    ----------
    data
        AnnData, MuData (modalities may cover different cells) or SpatialData, with raw counts. Or files, whose counts
        stay on disk: a path, a folder, a pattern, a list of these or a mapping from names to paths, as
        :func:`scvcell.pp.read_corpus` takes them.
    measure
        Modality -> measurement operator, by name or as ``(name, options)``. Usual names are recognised, see
        :func:`scvcell.measure.show`. Of one modality (AnnData) the operator alone will do.
    batch_key
        Obs column of the batch (lane, donor, site).
    covariates
        Further obs columns of the context; numeric ones are continuous, others categorical.
    layers
        Modality -> layer of its raw counts, or one layer for all that have it (``"counts"``); ``X`` by default.
    size_factor
        Modality -> obs column of the depth of its cells, their counts over all genes, or one column for all that have
        it. Needed where the data hold only some of the genes that were measured, variable ones say; depth and shares
        are those of all then. By default ``total_counts`` (of :func:`scanpy.pp.calculate_qc_metrics`) where the data
        hold clearly less; None for a modality: the sum of its features, as for a targeted panel.
    weights
        Weights of the loss terms; ``Weights(align=0)`` is a plain multimodal VAE.
    train
        Training settings.
    priors
        Guidance graphs of features that belong together (:func:`scvcell.pp.link_features`); several add up. Needed
        where two assays share no cell. A `TargetKernel` says which perturbation targets are alike.
    perturbation
        Columns that say what was done to each cell; the model then learns what actions do
        (:func:`scvcell.tl.perturb`).
    split
        What must not be learned from: a split of :func:`scvcell.pp.split`, of which training cells alone are trained
        on. Its calibration cells set the intervals of translations and nothing else, where at least 20 of them have
        both assays; intervals of effects come from left-out actions of the training cells. The model remembers the
        split (``model.split_digest``). Or cells that no step may see: their names, a boolean mask, a query on obs, or
        an object whose ``test`` is one.
    table_key
        Table of a SpatialData, or several tables of the same cells, each a modality: ``{"rna": "cells", "adt":
        "stains"}``. The model remembers it, so that verbs that are given the SpatialData read it; states are written
        to each of these tables.
    key_added
        ``.obsm`` key of the latent.
    seed
        Drives everything random.
    max_epochs
        Short for ``train=TrainConfig(max_epochs=...)``.

    Returns
    -------
    The fitted model. Of files nothing is written: :func:`scvcell.tl.embed` writes states to another file. Else written
    to `data`: ``.obsm[key_added]`` (posterior mean, ``(cells, latent)``),
    ``.obs["csl_uncertainty"]`` (posterior standard deviation, mean over dimensions) and ``.uns["csl"]``.

    Raises
    ------
    ValueError
        If the data cannot be fitted; nothing has been changed then.

    Notes
    -----
    Everything works on one thread: a mini-batch gains next to nothing by a second one, and where other programs keep
    cores busy, threads wait for each other. ``OMP_NUM_THREADS`` or ``torch.set_num_threads`` choose another number.

    References
    ----------
    Hu and Chen, Insights into Artificial Intelligence Virtual Cells (eq. 2).

    Examples
    --------
    >>> mdata = scvcell.datasets.pbmc_mosaic()
    >>> model = scvcell.tl.fit(mdata, batch_key="batch")
    >>> protein = scvcell.tl.translate(mdata, model, to="adt")
    """
    train, seed = TrainConfig.of(train, max_epochs), seed_of(seed)
    batch_key = one_name("batch_key", batch_key)
    covariates = listed("covariates", covariates, "names of obs columns")
    priors = [priors] if isinstance(priors, GuidanceGraph | TargetKernel) else listed("priors", priors, "priors")
    files = is_paths(data)
    if files:
        data = _opened(data, batch_key, covariates, layers, size_factor, perturbation, split)
    seen = view(data, table_key=table_key)
    source = seen.source
    key_added = _keys.LATENT if key_added is None else key_added
    seen.check_key_added(key_added, [_keys.uncertainty_key(key_added)], default=_keys.LATENT, obsm=True)
    hidden, aside, digest = _held_out(seen, split)
    if perturbation is not None:
        expect("perturbation", perturbation, PerturbationKeys, "For example PerturbationKeys('drug', control='DMSO').")
        design = read_design(perturbation, seen.column)
        _warn_labels(design, perturbation)
        _warn_confounded(design, seen.column(batch_key) if batch_key else None)
    read: dict[str, Any] = {"measure": measure, "batch_key": batch_key, "covariates": covariates}
    read |= {"layers": layers, "size_factor": size_factor}
    setup = "setup_mudata" if hasattr(source, "mod") else "setup_anndata"
    CSL.set_up(setup, seen, table_names(data, table_key), **read)
    for prior in priors:
        if not isinstance(prior, TargetKernel):
            expect("priors", prior, GuidanceGraph, "For example priors=scvcell.pp.link_features(mdata).")
    graphs = [prior for prior in priors if isinstance(prior, GuidanceGraph)]
    kernels = [prior for prior in priors if isinstance(prior, TargetKernel)]
    if len(kernels) > 1 or (kernels and perturbation is None):
        raise ValueError("Give one TargetKernel at most, and perturbation= with it.")
    model = CSL(
        source,
        n_latent=train.n_latent,
        n_components=train.n_components,
        weights=weights,
        guidance=sum(graphs[1:], graphs[0]) if graphs else None,
    )
    if perturbation is not None:
        warn_by_names(seen, model.schema.modalities, size_factor)
    fitted = None
    try:
        model.train(train, held_out=hidden, seed=seed, data=seen)
        model.split_ |= {"calibration": aside} if aside else {}
        model.split_digest = digest
        fitted = model.view(seen)
        model.learn("calibration", fitted)
        if perturbation is not None:
            model.learn("response", perturbation, kernel=kernels[0] if kernels else None, seed=seed, data=fitted)
    except KeyboardInterrupt:
        if not model.is_trained_:
            raise
        model.interrupted = True
        lacks = "" if perturbation is None or model.response is not None else " What actions do was not learned:"
        hint = ' model.learn("response", keys) learns it.' if lacks else ""
        logger.warning("Interrupted after training; the model is usable as it is.%s%s", lacks, hint)
    if files:
        logger.info("States of files are written to a file: scvcell.tl.embed(paths, model, out='states.zarr').")
        return model
    try:
        write_states(model.view(seen) if fitted is None else fitted, model, key_added=key_added)
    except KeyboardInterrupt:
        model.interrupted = True
        logger.warning("Interrupted after training; the model is usable. scvcell.tl.embed(data, model) writes states.")
        return model
    seen.write(uns={_keys.UNS: _record(model, seed, key_added)})
    return model


def _opened(
    paths: Any, batch_key: str | None, covariates: Sequence[str], layers: Any, size_factor: Any, keys: Any, split: Any
) -> Container:
    """Files as one container, with the columns of obs that the fit reads; where only those of cells by name are."""
    sized = list(size_factor.values()) if hasattr(size_factor, "values") else [size_factor]
    columns = [str(column) for column in (*covariates, *sized) if column is not None]
    columns += list(keys.columns) if isinstance(keys, PerturbationKeys) else []
    query = isinstance(getattr(split, "test", split), str)
    return open_corpus(
        paths,
        batch_key=batch_key,
        columns=None if query else columns,  # a query may ask for any of them
        optional=[_keys.TOTAL_COUNTS],
        layers=layers,
        named=keys is not None,
    )


def _held_out(seen: View, split: Any) -> tuple[Mask, list[str], str]:
    """Cells that no step may see, those of them that set intervals, and the digest of a split that says both."""
    if isinstance(split, Split):
        split.check(seen, hidden=True)
        return seen.among(split.hidden), list(split.calibration), split.digest
    cells = split if split is None or is_container(split) else getattr(split, "test", split)
    hidden = np.zeros(seen.n_obs, bool)
    hidden[[] if cells is None else choose(seen, "split", cells)] = True
    return hidden, [], ""


def _record(model: CSL, seed: int, key_added: str) -> dict[str, Any]:
    """What is written of a fit."""
    return {
        "params": {**model.parameters(), "seed": seed, "key_added": key_added},
        "version": version("scvcell"),
        "alignment": model.alignment,
        "matched_pairs": model.matched,
        "gain": model.gain,
        "history": {name: frame.iloc[:, 0].to_numpy() for name, frame in model.history.items()},
    }


def _warn_labels(design: Design, keys: PerturbationKeys) -> None:
    """Say how many cells have no label or no context, and which targets may be none."""
    tell_missing(design.context < 0, keys.contexts)
    lost, doubtful = int((design.code == -2).sum()), design.doubtful
    if lost:
        logger.warning(
            "%d of %d cells have no label in obs[%r]; no action is learned from them, and they are no controls.",
            lost,
            len(design.code),
            keys.target,
        )
    if doubtful:
        logger.warning(
            "obs[%r] has targets whose name tells of no treatment: %s. They are learned as targets. If what was done "
            "to these cells is not known, leave them out: data.obs.loc[data.obs[%r].isin(%r), %r] = None",
            keys.target,
            ", ".join(f"{name!r} ({n} cell{'s' * (n != 1)})" for name, n in doubtful.items()),
            keys.target,
            list(doubtful),
            keys.target,
        )


def _warn_confounded(design: Design, batch: pd.Series | None) -> None:
    """Say so where no batch has both treated cells and controls: then the model takes effects for batch effects."""
    if batch is None:
        return
    known = design.control | design.treated
    share = pd.Series(design.treated[known]).groupby(labels(batch).to_numpy()[known]).mean()
    if ((share == 0) | (share == 1)).all():
        logger.warning(
            "No batch has both treated cells and controls, so that effects look like batch effects. Leave out "
            "batch_key=, or give one that was not set up by treatment."
        )
