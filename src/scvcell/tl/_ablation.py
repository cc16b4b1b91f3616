"""tl.prior_ablation: what a guidance graph is worth, by refitting with worse ones and without any."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from scvcell._calm import progress
from scvcell._checks import expect
from scvcell._containers import view
from scvcell.model import CSL, TrainConfig
from scvcell.prior import GuidanceGraph
from scvcell.tl._alignment import alignment_report

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scvcell._containers import Container, Tables

logger = logging.getLogger("scvcell")


def prior_ablation(
    data: Container,
    prior: GuidanceGraph,
    *,
    corrupted: Iterable[float] = (0.5,),
    pairs: tuple[Sequence[str], Sequence[str]] | pd.DataFrame | None = None,
    labels_key: str | None = None,
    seeds: Iterable[int] = (0, 1, 2),
    train: TrainConfig | None = None,
    table_key: Tables = None,
    **setup: Any,
) -> pd.DataFrame:
    """Fit with the graph, with rewired and corrupted ones, and without; compare what was held out.

    Parameters
    ----------
    data
        As for `scvcell.tl.fit`; nothing is written to it.
    prior
        The graph in question.
    corrupted
        Shares of the edges whose ends are permuted; ``1`` is added for the fully rewired graph, in which every feature
        keeps its degree.
    pairs, labels_key
        Passed to `scvcell.tl.alignment_report`, for the scores of alignment. Without pairs and without cells that have
        both assays, only the likelihood is compared.
    seeds
        Seeds of the fits, and of the permutations.
    train
        Training settings.
    table_key
        Table of a SpatialData, or several of the same cells, see :func:`scvcell.tl.fit`.
    **setup
        Further arguments of `scvcell.CSL.setup_mudata`: ``batch_key``, ``measure``, ``covariates``, ``layers``.

    Returns
    -------
    Tidy frame, one row per fit and score: ``variant`` (``"real"``, ``"corrupted"``, ``"rewired"``, ``"none"``),
    ``corrupted`` (share of wrong edges; NaN without graph), ``seed``, ``metric``, ``value``. Metrics: ``held-out
    <modality>`` (negative log-likelihood of held-out cells, nats per cell, weighted as in the objective), and those of
    `scvcell.tl.alignment_report` for every pair of modalities.

    References
    ----------
    Cao and Gao, Multi-omics single-cell data integration and regulatory inference with graph-linked embedding,
    Nat Biotechnol 2022 (robustness to corrupted edges).
    """
    expect("prior", prior, GuidanceGraph, "For example scvcell.pp.link_features(mdata).")
    shares = sorted(set(corrupted) - {0.0, 1.0})
    if any(not 0 < share < 1 for share in shares):
        raise ValueError(f"corrupted must lie between 0 and 1, not {shares}.")
    config = TrainConfig() if train is None else train
    shown, config = config.progress, replace(config, progress=False)
    source = view(data, table_key=table_key).source
    rows: list[dict[str, Any]] = []
    runs: list[tuple[int, str, float, GuidanceGraph | None]] = []
    for seed in seeds:
        runs += [
            (seed, "real", 0.0, prior),
            *((seed, "corrupted", share, prior.rewired(share, seed=seed)) for share in shares),
            (seed, "rewired", 1.0, prior.rewired(seed=seed)),
            (seed, "none", float("nan"), None),
        ]
    for seed, variant, share, graph in progress(runs, "Prior ablation, fits", shown=shown):
        logger.info("Prior ablation: %s, seed %d.", variant, seed)
        (CSL.setup_mudata if hasattr(source, "mod") else CSL.setup_anndata)(source, **setup)
        model = CSL(source, n_latent=config.n_latent, n_components=config.n_components, guidance=graph)
        model.train(config, seed=seed)
        head = {"variant": variant, "corrupted": share, "seed": seed}
        rows += [head | score for score in _scores(source, model, pairs, labels_key)]
    return pd.DataFrame(rows)


def _scores(data: Container, model: CSL, pairs: Any, labels_key: str | None) -> list[dict[str, Any]]:
    """Held-out likelihoods of the last epoch, and the alignment where it can be scored."""
    out = []
    for name in model.schema.modalities:
        history = model.history_.get(f"{name}_validation")
        if history is not None and len(history):
            out.append({"metric": f"held-out {name}", "value": history.iloc[:, 0].to_list()[-1]})
    try:
        report = alignment_report(data, model, pairs=pairs, labels_key=labels_key)
    except ValueError:
        if pairs is not None:
            raise
        return out
    several = len(model.schema.modalities) > 2
    for row in report.to_dict("records"):
        name = f"{row['metric']} {row['modality_a']}-{row['modality_b']}" if several else row["metric"]
        out.append({"metric": name, "value": row["value"]})
    return out
