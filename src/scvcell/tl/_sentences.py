"""tl.cell_sentences: cells as rank-ordered gene names, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from scvcell._checks import whole_number
from scvcell._containers import unique_names, view
from scvcell.measure import MEASUREMENTS
from scvcell.model import check_layer, raw_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scvcell._containers import Container, Tables
    from scvcell._types import Rows

PER_CELL = 1e4
"""Counts to which cells are normalised before they are ranked."""


def cell_sentences(
    data: Container,
    *,
    modality: str | None = None,
    layer: str | None = None,
    n_genes: int = 100,
    table_key: Tables = None,
) -> pd.Series:
    r"""Every cell as the names of its most expressed genes, in descending order, for language models.

    Parameters
    ----------
    data
        AnnData, MuData or SpatialData with raw counts.
    modality
        Modality that is written out; the only one, or the one of genes by its name, by default.
    layer
        Its layer; ``X`` by default.
    n_genes
        Names per cell at most; genes without counts are never named. Ties keep the order of the genes.
    table_key
        Table of a SpatialData, or several of the same cells, see :func:`scvcell.tl.fit`.

    Returns
    -------
    One string per cell that has the modality, indexed by cell. ``.attrs["slope"]`` and ``.attrs["intercept"]`` hold the
    line by which :func:`expression_from_sentences` goes back:

    .. math:: \log_{10}(1 + x_{norm}) \approx intercept + slope \cdot \log_{10} rank

    Raises
    ------
    ValueError
        If the modality is not there, or it is not clear which is meant, its values are no raw counts, or a gene's name
        contains white space.

    References
    ----------
    Levine et al., Cell2Sentence: teaching large language models the language of biology, ICML 2024.

    Examples
    --------
    >>> sentences = scvcell.tl.cell_sentences(mdata, n_genes=50)
    >>> back = scvcell.tl.expression_from_sentences(sentences, mdata["rna"].var_names)
    """
    seen = view(data, table_key=table_key)
    names = list(seen.modalities)
    genes_of = names if len(names) == 1 else [m for m in names if MEASUREMENTS.infer(m) == "counts"]
    if modality is None and len(genes_of) != 1:
        raise ValueError(f"The data have {names}; say which is written out: modality=...")
    name = genes_of[0] if modality is None else modality
    if name not in names:
        raise ValueError(f"The data have no modality {name!r}; they have {names}.")
    n_genes = whole_number("n_genes", n_genes, 1)
    adata, cells = seen.modalities[name], np.flatnonzero(seen.present(name))
    genes = np.array([str(gene) for gene in adata.var_names], dtype=object)
    _without_spaces(genes)
    check_layer(adata, name, layer, "layer='counts'")
    where = f"Modality {name!r}" + (f", layer {layer!r}," if layer else "")
    matrix, rows = raw_counts(adata.X if layer is None else adata.layers[layer], where), seen.rows[name][cells]
    sentences: list[str] = []
    ranks, values = [], []
    for chunk in matrix.chunks(rows):
        dense = chunk if isinstance(chunk, np.ndarray) else chunk.toarray()
        dense = dense / np.maximum(dense.sum(1, keepdims=True), 1) * PER_CELL
        order = np.argsort(-dense, axis=1, kind="stable")[:, :n_genes]
        top = np.take_along_axis(dense, order, axis=1)
        sentences += [" ".join(genes[o[t > 0]]) for o, t in zip(order, top, strict=True)]
        rank = np.broadcast_to(np.arange(1, order.shape[1] + 1), order.shape)
        ranks.append(rank[top > 0])
        values.append(top[top > 0])
    out = pd.Series(sentences, index=seen.obs_names[cells], name="cell_sentence", dtype=object)
    out.attrs.update(_line(np.concatenate(ranks), np.concatenate(values)))
    return out


def expression_from_sentences(
    sentences: pd.Series | Sequence[str],
    features: Sequence[str] | pd.Index,
    *,
    slope: float | None = None,
    intercept: float | None = None,
) -> AnnData:
    """Expression that cell sentences stand for, by the line between log rank and log expression.

    Parameters
    ----------
    sentences
        What `cell_sentences` returned, or a model wrote; unknown words are ignored, of a repeated one the first
        counts. A missing sentence, as cells without the modality have, is an empty row.
    features
        Genes of the result, in this order.
    slope, intercept
        Of the line; by default those in ``sentences.attrs``.

    Returns
    -------
    AnnData, cells x genes: expression normalised to 10,000 counts per cell, not log-transformed; 0 for genes that are
    not named. ``obs["known_words"]`` is the share of words that are genes.

    Raises
    ------
    ValueError
        If neither the attributes nor the arguments give the line.
    """
    held = getattr(sentences, "attrs", {})
    slope = held.get("slope") if slope is None else slope
    intercept = held.get("intercept") if intercept is None else intercept
    if slope is None or intercept is None:
        raise ValueError("Give slope= and intercept=, or the series that scvcell.tl.cell_sentences returned.")
    if isinstance(sentences, str):
        raise TypeError("sentences= takes one sentence per cell, a series or a list; of one cell [sentence].")
    names = pd.Index(np.asarray(features).astype(str))
    rows = sentences.index if isinstance(sentences, pd.Series) else range(len(sentences))
    index = unique_names(map(str, rows))
    x = np.zeros((len(sentences), len(names)), np.float32)
    known = np.full(len(sentences), np.nan)
    for row, sentence in enumerate(sentences):
        words = [] if pd.isna(sentence) else list(dict.fromkeys(str(sentence).split()))
        at = names.get_indexer(pd.Index(words, dtype=object))
        if words:
            known[row] = (at >= 0).mean()
        at = at[at >= 0]
        value = 10 ** (intercept + slope * np.log10(np.arange(1, len(at) + 1))) - 1
        x[row, at] = np.maximum(value, 0)
    return AnnData(x, pd.DataFrame({"known_words": known}, index=index), pd.DataFrame(index=names))


def _without_spaces(genes: NDArray[np.object_]) -> None:
    bad = [g for g in genes if len(g.split()) != 1]
    if bad:
        raise ValueError(f"{len(bad)} feature names contain white space, e.g. {bad[0]!r}; sentences could not be read.")


def _line(rank: Rows, value: NDArray[np.float32]) -> dict[str, float]:
    if len(np.unique(rank)) < 2:
        return {}
    slope, intercept = np.polyfit(np.log10(rank), np.log10(1 + value), 1)
    return {"slope": float(slope), "intercept": float(intercept)}
