"""tl.transfer_labels: labels of annotated cells for all others, across assays, with abstention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell import _keys
from scvcell._checks import expect, whole_number
from scvcell._containers import choose, is_container
from scvcell._labels import is_numeric, labels, like, numbers
from scvcell.model import CSL
from scvcell.score import VOTES, votes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scvcell._containers import Container, View
    from scvcell._types import Array, Mask, Rows


N_VOTERS = 5
"""Neighbours that vote by default; where there are fewer, all do."""
MAX_NUMERIC_LABELS = 100
"""Different whole numbers that may be labels, at most; fewer in small data."""


def transfer_labels(
    data: Container,
    model: CSL,
    *,
    key: str,
    reference: Any = None,
    k: int = N_VOTERS,
    min_probability: float = VOTES,
    key_added: str | None = None,
) -> None:
    """Give every cell the label of its nearest annotated cells in the latent, whatever assays they have.

    Parameters
    ----------
    data
        AnnData or MuData.
    model
        Fitted model.
    key
        Obs column of the labels.
    reference
        Where the labels are: other data (AnnData, MuData) whose obs has `key`, as in ``scanpy.tl.ingest``, or cells of
        `data`: names, a boolean mask or a query on obs; every cell of `data` with a label by default.
    k
        Neighbours that vote; fewer than there are reference cells.
    min_probability
        Share of votes below which a label is not trusted.
    key_added
        Column to write, ``f"{key}_transferred"`` by default.

    Notes
    -----
    Writes three obs columns: the label (in the type of the column, text as categories), ``_probability`` (share of
    votes), and ``_trusted``: enough votes, neighbours no farther than 99 % of the reference cells that are given their
    own label find theirs, and not unusually far for the cells that are not in the reference
    (:func:`scvcell.score.trusted`). Reference cells are predicted too, without their own vote. Batches of
    `data` or of a reference that the model does not know need :meth:`scvcell.model.CSL.load_query_data` first.

    Raises
    ------
    KeyError
        If there is no column `key`.
    ValueError
        If it holds measurements instead of labels, fewer than 2 cells have one, `k` is too large, `min_probability` is
        no share, or `key_added` would write over a column that is not a former result.

    Examples
    --------
    >>> scvcell.tl.transfer_labels(query, model, key="celltype", reference=atlas)
    """
    expect("model", model, CSL, "The data come first, then the model.")
    k = whole_number("k", k)
    if k < 1 or not 0 <= min_probability <= 1:
        raise ValueError(f"k must be at least 1 and min_probability in [0, 1], not {k!r} and {min_probability!r}.")
    seen = model.view(data)
    key_added = f"{key}_transferred" if key_added is None else key_added
    columns = _keys.label_keys(key_added)
    seen.check_key_added(key_added, columns.values())
    where = model.view(reference) if is_container(reference) else seen
    column = where.column(key)
    _check_labels(column, key)
    text = labels(column).to_numpy()
    cells = np.flatnonzero(~pd.isna(text))
    if where is seen and reference is not None:
        cells = np.intersect1d(cells, choose(seen, "reference", reference))
    if len(cells) < 2:
        raise ValueError(f"At least 2 reference cells with a label in obs[{key!r}] are needed; there are {len(cells)}.")
    if k >= len(cells) and k > N_VOTERS:
        raise ValueError(f"k={k} neighbours cannot vote: there are {len(cells)} reference cells. Give fewer.")
    known = text[cells].astype(str)
    latent = model.posterior(seen).mean.numpy()
    annotated = latent[cells] if where is seen else model.posterior(where.subset(cells)).mean.numpy()
    label, share, near = _predict(latent, annotated, known, _same(seen, where, cells, latent, annotated), k)
    seen.write(
        obs={
            columns["label"]: like(label, column.iloc[cells]),
            columns["probability"]: share,
            columns["trusted"]: (share >= min_probability) & near & model.trusts(),
        }
    )


def _predict(
    latent: Array, annotated: Array, known: NDArray[np.str_], own: Rows, k: int
) -> tuple[NDArray[np.str_], Array, Mask]:
    """Label of every cell, its share of the votes, and whether its voters are near.

    `own` is the place of each annotated cell among the cells, -1 where it is in other data.
    """
    mine = votes(None, annotated, known, k)
    reach = mine.reach(known)
    here = own >= 0
    rest = np.setdiff1d(np.arange(len(latent)), own)
    others = votes(latent[rest], annotated, known, k)
    label, share, near = (np.empty(len(latent), dtype) for dtype in (known.dtype, float, bool))
    label[rest], share[rest], near[rest] = others.label, others.share, others.near(reach)
    label[own[here]], share[own[here]] = mine.label[here], mine.share[here]
    near[own[here]] = mine.distance[here] <= reach
    return label, share, near


def _same(seen: View, where: View, cells: Rows, latent: Array, annotated: Array) -> Rows:
    """Place in `seen` of each annotated cell, -1 where it is not there: same name and same state."""
    if where is seen:
        return cells
    own = seen.obs_names.get_indexer(where.obs_names[cells])
    alike = np.isclose(latent[own], annotated, rtol=0, atol=1e-3).all(1)
    return np.where(alike, own, -1)


def _check_labels(column: pd.Series, key: str) -> None:
    """Refuse numbers that are measurements."""
    if not is_numeric(column):
        return
    values = numbers(column.dropna())
    few = np.clip(len(values) // 5, 10, MAX_NUMERIC_LABELS)
    if (values != np.floor(values)).any() or len(np.unique(values)) > few:
        raise ValueError(
            f"obs[{key!r}] holds {len(np.unique(values))} different numbers, not labels. If they are labels, say so: "
            f"data.obs[{key!r}] = data.obs[{key!r}].astype('category')."
        )
