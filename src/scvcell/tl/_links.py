"""tl.feature_links: which edges of the guidance graph the data support, given the state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.stats import false_discovery_control
from sklearn.neighbors import NearestNeighbors

from scvcell._checks import expect, seed_of
from scvcell.model import CSL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell._containers import Container, View
    from scvcell._types import Array, Rows


STATES = 500
"""States at which the assays are compared, at most."""
NEIGHBOURS = 50
"""Cells of an assay that are pooled around a state."""
NULLS = 200_000
"""Permuted edges in all, at least one per edge."""


def feature_links(data: Container, model: CSL, *, seed: int = 0) -> pd.DataFrame:
    r"""Support of every edge of the guidance graph: whether its two ends vary together over the states of the cells.

    At some hundred states, the measured values of the nearest cells are pooled, each assay from the cells that have it,
    paired or not. An edge's score is the correlation of its ends over these states, times its sign:

    .. math:: r_{ij} = s_{ij}\, \mathrm{cor}_z\big( \bar x_i(z), \bar x_j(z) \big), \qquad
              p_{ij} = \frac{1 + \#\{r^{null} \ge r_{ij}\}}{1 + \#null}

    The null are edges whose second ends are permuted within the two modalities, so features keep their degrees. It is a
    hard one: two markers of one cell type vary together wherever they lie.

    Parameters
    ----------
    data
        Cells, as the model was fitted on, or others.
    model
        Model fitted with a guidance graph.
    seed
        Of the states and the permutations.

    Returns
    -------
    Tidy frame, one row per edge, best first: ``modality_a``, ``feature_a``, ``modality_b``, ``feature_b``, ``weight``,
    ``sign`` (as given), ``score`` (-1 to 1; 0 where a feature never varies), ``pvalue`` and ``qvalue``
    (Benjamini-Hochberg).

    Raises
    ------
    ValueError
        If the model has no guidance graph, or the data lack one of its modalities.

    Notes
    -----
    The graph has helped to fit the state, so the test is of its edges against each other, not against a state that
    never saw a graph: compare with `scvcell.tl.prior_ablation`.

    References
    ----------
    Cao and Gao, Multi-omics single-cell data integration and regulatory inference with graph-linked embedding,
    Nat Biotechnol 2022; Benjamini and Hochberg, Controlling the false discovery rate, J R Stat Soc B 1995.
    """
    expect("model", model, CSL, "The data come first, then the model.")
    if model.edges is None:
        raise ValueError(
            "This model was fitted without a guidance graph. Fit with priors=scvcell.pp.link_features(...)."
        )
    seen = model.view(data)
    names = [(m, feature) for m, features in model.linkable.items() for feature in features]
    owner = np.array([m for m, _ in names], dtype=object)
    a, b, weight, sign = model.edges
    needed = sorted(set(owner[a]) | set(owner[b]))
    missing = [m for m in needed if m not in seen.modalities]
    if missing:
        raise ValueError(
            f"The graph has edges of {missing[0]!r}, which the data lack; they have {list(seen.modalities)}."
        )
    rng = np.random.default_rng(seed_of(seed))
    pooled = _pooled(model, seen, needed, rng)
    score, pvalue = np.zeros(len(a), np.float32), np.ones(len(a))
    offset = {m: int(np.flatnonzero(owner == m)[0]) for m in needed}
    for pair in dict.fromkeys(zip(owner[a], owner[b], strict=True)):
        here = (owner[a] == pair[0]) & (owner[b] == pair[1])
        left, right = (pooled[m][:, end[here] - offset[m]] for m, end in zip(pair, (a, b), strict=True))
        score[here] = (left * right).sum(0) * sign[here]
        null = np.sort(_null(left, pooled[pair[1]], b[here] - offset[pair[1]], sign[here], rng))
        above = len(null) - np.searchsorted(null, score[here], side="left")
        pvalue[here] = (1 + above) / (1 + len(null))
    table = pd.DataFrame([names[i] for i in a], columns=["modality_a", "feature_a"])
    table[["modality_b", "feature_b"]] = [names[i] for i in b]
    table["weight"], table["sign"], table["score"], table["pvalue"] = weight, sign, score, pvalue
    table["qvalue"] = false_discovery_control(pvalue)
    return table.sort_values("score", ascending=False, kind="stable").reset_index(drop=True)


def _pooled(model: CSL, seen: View, needed: Sequence[str], rng: np.random.Generator) -> dict[str, Array]:
    """Per modality, pooled values at common states, standardised over them to unit length, ``(states, features)``."""
    latent = model.posterior(seen).mean.numpy()
    states = latent[np.sort(rng.choice(len(latent), min(STATES, len(latent)), replace=False))]
    out = {}
    for name in needed:
        cells = np.flatnonzero(seen.present(name))
        k = min(NEIGHBOURS, len(cells))
        near = NearestNeighbors(n_neighbors=k).fit(latent[cells]).kneighbors(states, return_distance=False)
        pool = sp.csr_matrix(
            (np.full(near.size, 1 / k, np.float32), near.ravel(), np.arange(0, near.size + 1, k)),
            shape=(len(states), len(cells)),
        )
        values = np.zeros((len(states), len(model.schema.modalities[name].features)), np.float32)
        operator, start = model.operator(name), 0
        matrix, rows = model.matrix(seen, name), seen.rows[name][cells]
        for chunk in matrix.chunks(rows):
            part = pool[:, start : start + chunk.shape[0]]
            if operator.count_data:
                total = np.maximum(matrix.depths(rows[start : start + chunk.shape[0]], chunk, lambda x: x.sum(1)), 1)
                part = part @ sp.diags(1 / total)
            values += np.asarray((part @ sp.csr_matrix(chunk)).todense())
            start += chunk.shape[0]
        values -= values.mean(0)
        length = np.sqrt((values**2).sum(0))
        out[name] = (values / np.where(length > 1e-12, length, np.inf)).astype(np.float32)
    return out


def _null(left: Array, right: Array, ends: Rows, sign: Array, rng: np.random.Generator) -> Array:
    """Scores of edges whose second ends are permuted."""
    parts = []
    for _ in range(max(1, NULLS // len(ends))):
        other = rng.permutation(ends)
        parts.append(((left * right[:, other]).sum(0) * sign)[other != ends])
    return np.concatenate(parts)
