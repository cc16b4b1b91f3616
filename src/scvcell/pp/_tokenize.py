"""pp.tokenize: cells as tokens of foundation models, by quantile bins or by rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from scvcell._checks import whole_number
from scvcell._registry import near_miss

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray


def tokenize(
    adata: AnnData, *, how: str = "rank", layer: str | None = None, n_bins: int = 51, length: int = 2048
) -> NDArray[np.int32] | sp.csr_matrix:
    """Raw counts as tokens.

    Parameters
    ----------
    adata
        Raw counts.
    how
        ``"rank"`` (Geneformer): columns of the genes with counts, in descending order of their share over the gene's
        median share where it is not zero. ``"bin"`` (scGPT): every non-zero value becomes the number of its quantile
        bin within the cell.
    layer
        Layer of the counts; ``X`` by default.
    n_bins
        Bins, with 0 for no count: values are 1 to ``n_bins - 1``.
    length
        Tokens per cell at most (rank).

    Returns
    -------
    For ``"rank"``, integers of shape ``(cells, tokens)``, -1 where a cell has fewer; for ``"bin"``, a csr matrix of the
    shape of the data.

    Raises
    ------
    ValueError
        If `how` is unknown, there are fewer than 2 bins, or the data are no raw counts.

    References
    ----------
    Theodoris et al., Transfer learning enables predictions in network biology, Nature 2023 (rank);
    Cui et al., scGPT, Nat Methods 2024 (bins).
    """
    if how not in ("rank", "bin"):
        raise ValueError(f"how must be 'rank' or 'bin', not {how!r}.{near_miss(how, ['rank', 'bin'])}")
    n_bins, length = whole_number("n_bins", n_bins, 2), whole_number("length", length, 1)
    from scvcell.model import check_layer, raw_counts

    check_layer(adata, "rna", layer, "layer='counts'")
    x = adata.X if layer is None else adata.layers[layer]
    matrix = raw_counts(x, "X" if layer is None else f"Layer {layer!r}")
    rows = matrix.rows(np.arange(adata.n_obs))
    x = sp.csr_matrix(rows, copy=True)
    x.eliminate_zeros()
    return _bins(x, n_bins) if how == "bin" else _ranks(x, length)


def _bins(x: sp.csr_matrix, n_bins: int) -> sp.csr_matrix:
    out = np.zeros(x.nnz, np.int32)
    for start, stop in zip(x.indptr[:-1], x.indptr[1:], strict=True):
        values = x.data[start:stop]
        if len(values):
            edges = np.quantile(values, np.linspace(0, 1, n_bins))
            out[start:stop] = np.digitize(values, edges[1:-1], right=True) + 1
    return sp.csr_matrix((out, x.indices.copy(), x.indptr.copy()), shape=x.shape)


def _ranks(x: sp.csr_matrix, length: int) -> NDArray[np.int32]:
    total = np.maximum(np.asarray(x.sum(1)).ravel(), 1)
    share = sp.csr_matrix(sp.diags(1 / total) @ x)
    by_gene = share.tocsc()
    typical = np.ones(x.shape[1])
    for gene, (start, stop) in enumerate(zip(by_gene.indptr[:-1], by_gene.indptr[1:], strict=True)):
        if stop > start:
            typical[gene] = np.median(by_gene.data[start:stop])
    widest = int(min(length, np.diff(x.indptr).max(initial=0)))
    out = np.full((x.shape[0], widest), -1, np.int32)
    for cell, (start, stop) in enumerate(zip(share.indptr[:-1], share.indptr[1:], strict=True)):
        genes = share.indices[start:stop]
        order = np.lexsort((genes, -share.data[start:stop] / typical[genes]))[:widest]
        out[cell, : len(order)] = genes[order]
    return out
