"""tl.alignment_report: do assays of the same cell meet in the latent; against nulls, a linear baseline and a canary."""

from __future__ import annotations

import logging
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell._checks import expect, seed_of
from scvcell._containers import choose, is_container
from scvcell._labels import labels, tell_missing
from scvcell._stats import cca
from scvcell.model import CSL
from scvcell.score import (
    foscttm,
    label_transfer,
    lower_is_better,
    match_recall,
    mixing,
    overcorrection_canary,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scvcell._containers import Container, View
    from scvcell._types import Array, Rows


logger = logging.getLogger("scvcell")

N_VOTERS = 5


def alignment_report(
    data: Container,
    model: CSL,
    *,
    labels_key: str | None = None,
    pairs: tuple[Sequence[str], Sequence[str]] | pd.DataFrame | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Score how well every two modalities are aligned.

    Parameters
    ----------
    data
        AnnData or MuData.
    model
        Fitted model.
    labels_key
        Obs column of cell types; adds label transfer and the over-correction canary.
    pairs
        Names of cells that are the same cell in two modalities (two sequences or columns, in the order of the model's
        modalities), e.g. where pairing was hidden. By default the cells with both modalities that training held out,
        each embedded from one modality at a time.
    seed
        Of the shuffled null.

    Returns
    -------
    Tidy frame, one row per pair of modalities and metric: ``modality_a``, ``modality_b``, ``metric``, ``value``,
    ``null`` (shuffled pairs), ``cca`` (regularised CCA on the same linear features and training pairs), ``better``
    (``"lower"`` or ``"higher"``), ``n`` (cells).

    Notes
    -----
    Metrics: ``foscttm`` (0 best, .5 chance), ``recall@1``, ``recall@10``, ``mixing`` (1 best), and with labels
    ``label_transfer`` (accuracy of 5 nearest neighbours across modalities, mean of both directions) and
    ``overcorrection_canary``: every cell type in turn is removed from the reference modality; the share of its cells in
    the other to which :func:`scvcell.tl.transfer_labels` then gives a (wrong) label that it trusts (lower is better;
    the model is not refitted).
    """
    expect("model", model, CSL, "The data come first, then the model.")
    seen = model.view(data).only(model.assays)
    names = list(seen.modalities)
    if len(names) < 2:
        raise ValueError(f"Alignment needs two modalities; the data have {names}.")
    text = None
    if labels_key is not None:
        text = labels(seen.column(labels_key))
        tell_missing(text.isna().to_numpy(), [labels_key])
    rng = np.random.default_rng(seed_of(seed))
    rows = []
    for a, b in combinations(names, 2):
        cells = _pairs(model, seen, a, b, pairs)
        if cells is None:
            logger.warning("No held-out cells with both %r and %r; that pair is left out of the report.", a, b)
            continue
        latents = {
            m: model.posterior(seen.subset(at), modalities=[m]).mean.numpy()
            for m, at in zip((a, b), cells, strict=True)
        }
        linear = _linear(model, seen, a, b, cells)
        known = None if text is None else [text.to_numpy()[at] for at in cells]
        ours = _score(latents[a], latents[b], known)
        null = _score(latents[a], latents[b][rng.permutation(len(cells[1]))], known)
        theirs = _score(*linear, known) if linear is not None else {}
        for metric, value in ours.items():
            rows.append(
                {
                    "modality_a": a,
                    "modality_b": b,
                    "metric": metric,
                    "value": value,
                    "null": null[metric] if metric in PAIRED else np.nan,
                    "cca": theirs.get(metric, np.nan),
                    "better": "lower" if lower_is_better(metric) else "higher",
                    "n": len(cells[0]),
                }
            )
    if not rows:
        raise ValueError(
            "No two modalities share cells to score on. Give `pairs=` with cells that are known to be the same."
        )
    return pd.DataFrame(rows)


PAIRED = ("foscttm", "recall@1", "recall@10")


def _pairs(model: CSL, seen: View, a: str, b: str, pairs: Any) -> tuple[Rows, Rows] | None:
    """Positions of the same cells in two modalities."""
    if pairs is None:
        both = seen.present(a) & seen.present(b)
        held = both & seen.among(model.split_.get("validation", []))
        if not held.any():
            trained = seen.among(model.split_.get("train", []))
            held = both & ~trained
        at = np.flatnonzero(held)
        return None if len(at) < 2 else (at, at)
    sides: Any = [pairs.iloc[:, i] for i in range(pairs.shape[1])] if isinstance(pairs, pd.DataFrame) else pairs
    if is_container(sides) or not hasattr(sides, "__len__") or len(sides) != 2:
        raise TypeError(
            f"pairs must be two sequences of names of cells, or a frame of two columns, not {type(pairs).__name__}."
        )
    out = []
    for name, given in zip((a, b), sides, strict=True):
        at = choose(seen, "pairs", given)
        if not seen.present(name)[at].all():
            raise ValueError(f"pairs name cells without modality {name!r}; give them in the order {a!r}, {b!r}.")
        out.append(at)
    if len(out[0]) != len(out[1]) or len(out[0]) < 2:
        raise ValueError(
            f"pairs must be two sequences of one length of at least 2, not {len(out[0])} and {len(out[1])}."
        )
    return out[0], out[1]


def _linear(model: CSL, seen: View, a: str, b: str, cells: tuple[Rows, Rows]) -> tuple[Array, Array] | None:
    """CCA of the front-end features, fitted on the model's own training pairs."""
    both = np.flatnonzero(seen.present(a) & seen.present(b) & seen.among(model.split_.get("train", [])))
    if len(both) < 20:
        return None
    first, second = _features(model, seen, a, both), _features(model, seen, b, both)
    wa, wb = cca(first, second, min(model.n_latent, first.shape[1], second.shape[1]))
    left = (_features(model, seen, a, cells[0]) - first.mean(0)) @ wa
    right = (_features(model, seen, b, cells[1]) - second.mean(0)) @ wb
    return left, right


def _features(model: CSL, seen: View, modality: str, cells: Rows) -> Array:
    import torch

    module = model.network
    front = module.front_ends[modality]
    _, batch = model.schema.context(seen.subset(cells))
    panel = seen.panel(modality, model.schema.batches)
    scores = front.scores(model.matrix(seen, modality), seen.rows[modality][cells], batch, panel)
    return front(torch.from_numpy(scores).to(module.device), torch.from_numpy(batch).to(module.device)).cpu().numpy()


def _score(a: Array, b: Array, labels: list[NDArray[np.object_]] | None) -> dict[str, float]:
    one, other = foscttm(a, b)
    out = {
        "foscttm": float((one.mean() + other.mean()) / 2),
        "recall@1": match_recall(a, b, 1),
        "recall@10": match_recall(a, b, 10),
        "mixing": mixing(a, b),
    }
    if labels is not None:
        known = [pd.notna(x) for x in labels]
        a, b = a[known[0]], b[known[1]]
        la, lb = (x[k].astype(str) for x, k in zip(labels, known, strict=True))
        if len(a) > N_VOTERS and len(b) > N_VOTERS:
            out["label_transfer"] = label_transfer(a, b, la, lb, N_VOTERS)
            out["overcorrection_canary"] = overcorrection_canary(a, b, la, lb, N_VOTERS)
    return out
