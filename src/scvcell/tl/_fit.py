"""tl.fit: one cell-state latent from whatever assays the data have."""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pandas as pd

from scvcell import _keys
from scvcell._containers import expect, view
from scvcell.model import CSL, TrainConfig
from scvcell.perturb import PerturbationKeys, read_design
from scvcell.prior import GuidanceGraph, TargetKernel
from scvcell.tl._calibrate import calibrate_all
from scvcell.tl._embed import embed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scvcell._containers import Container
    from scvcell.objective import Weights
    from scvcell.perturb import Design

logger = logging.getLogger("scvcell")


def fit(
    data: Container,
    *,
    measure: Mapping[str, Any] | str | None = None,
    batch_key: str | None = None,
    covariates: str | Sequence[str] = (),
    layers: Mapping[str, str] | str | None = None,
    weights: Weights | None = None,
    train: TrainConfig | None = None,
    priors: GuidanceGraph | TargetKernel | Iterable[GuidanceGraph | TargetKernel] = (),
    perturbation: PerturbationKeys | None = None,
    split: Iterable[str] | Any = None,
    table_key: str | None = None,
    key_added: str = _keys.LATENT,
    seed: int = 0,
) -> CSL:
    r"""Fit one cell-state latent to every assay of the data, whether or not each cell has them all.

    .. math:: L_{obs} = \sum_m E_q[-\log p(x_m \mid M_m(z), c)] + \mathrm{KL} + \lambda_{align} L_{align}

    Parameters
    ----------
    data
        AnnData, MuData (modalities may cover different cells) or SpatialData, with raw counts.
    measure
        Modality -> measurement operator, by name or as ``(name, options)``. Usual names are recognised, see
        :func:`scvcell.measure.show`. Of one modality (AnnData) the operator alone will do.
    batch_key
        Obs column of the batch (lane, donor, site).
    covariates
        Further obs columns of the context; numeric ones are continuous, others categorical.
    layers
        Modality -> layer of its raw counts, or one layer for all that have it (``"counts"``); ``X`` by default.
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
        Cells that no step may see: their names, or an object with a ``test`` attribute that holds them.
    table_key
        Table of a SpatialData.
    key_added
        ``.obsm`` key of the latent.
    seed
        Drives everything random.

    Returns
    -------
    The fitted model. Written to `data`: ``.obsm[key_added]`` (posterior mean, ``(cells, latent)``),
    ``.obs["csl_uncertainty"]`` (posterior standard deviation, mean over dimensions) and ``.uns["csl"]``.

    Raises
    ------
    ValueError
        If the data cannot be fitted; nothing has been changed then.

    Notes
    -----
    PyTorch takes every core. Where other programs keep some of them busy, its threads wait for each other:
    ``torch.set_num_threads(1)`` is faster then, and hardly slower on two free cores.

    References
    ----------
    Hu and Chen, Insights into Artificial Intelligence Virtual Cells (eq. 2).

    Examples
    --------
    >>> mdata = scvcell.datasets.pbmc_mosaic()
    >>> model = scvcell.tl.fit(mdata, batch_key="batch")
    >>> protein = scvcell.tl.translate(mdata, model, to="adt")
    """
    train = TrainConfig() if train is None else train
    expect("train", train, TrainConfig, "For example train=scvcell.TrainConfig(max_epochs=20).")
    covariates = (covariates,) if isinstance(covariates, str) else tuple(covariates)
    seen = view(data, table_key=table_key)
    source = seen.source
    if perturbation is not None:
        expect("perturbation", perturbation, PerturbationKeys, "For example PerturbationKeys('drug', control='DMSO').")
        _warn_confounded(read_design(perturbation, seen.column), seen.column(batch_key) if batch_key else None)
    setup = CSL.setup_mudata if hasattr(source, "mod") else CSL.setup_anndata
    setup(source, measure=measure, batch_key=batch_key, covariates=covariates, layers=layers)
    given = [priors] if isinstance(priors, GuidanceGraph | TargetKernel) else list(priors)
    for prior in given:
        if not isinstance(prior, TargetKernel):
            expect("priors", prior, GuidanceGraph, "For example priors=scvcell.pp.link_features(mdata).")
    graphs = [prior for prior in given if isinstance(prior, GuidanceGraph)]
    kernels = [prior for prior in given if isinstance(prior, TargetKernel)]
    if len(kernels) > 1 or (kernels and perturbation is None):
        raise ValueError("Give one TargetKernel at most, and perturbation= with it.")
    model = CSL(
        source,
        n_latent=train.n_latent,
        n_components=train.n_components,
        weights=weights,
        guidance=sum(graphs[1:], graphs[0]) if graphs else None,
    )
    held_out = getattr(split, "test", split)
    model.train(train, held_out=() if held_out is None else held_out, seed=seed)
    calibrate_all(model)
    if perturbation is not None:
        model.learn_actions(perturbation, kernel=kernels[0] if kernels else None, seed=seed)
    embed(source, model, key_added=key_added)
    source.uns[_keys.UNS] = {
        "params": {**model.parameters(), "seed": seed, "key_added": key_added},
        "version": version("scvcell"),
        "alignment": model.alignment,
        "matched_pairs": model.matched,
        "history": {name: frame.iloc[:, 0].to_numpy() for name, frame in model.history.items()},
    }
    return model


def _warn_confounded(design: Design, batch: pd.Series | None) -> None:
    """Say so where no batch has both treated cells and controls: then the model takes effects for batch effects."""
    if batch is None:
        return
    codes = pd.Series(batch.to_numpy()).astype(str)
    known = design.control | design.treated
    share = pd.Series(design.treated[known]).groupby(codes[known].to_numpy()).mean()
    if ((share == 0) | (share == 1)).all():
        logger.warning(
            "No batch has both treated cells and controls, so that effects look like batch effects. Leave out "
            "batch_key=, or give one that was not set up by treatment."
        )
