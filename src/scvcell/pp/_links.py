"""pp.link_features: edges of a guidance graph from genomic positions or from names."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell._containers import view
from scvcell._registry import near_miss
from scvcell.pp._names import same_name, unlinked
from scvcell.prior import GuidanceGraph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from scvcell._containers import Container

logger = logging.getLogger("scvcell")


def link_features(
    data: Container,
    *,
    how: str = "distance",
    modalities: Sequence[str] | None = None,
    table: pd.DataFrame | None = None,
    window: int = 150_000,
    decay: float = 60_000.0,
) -> GuidanceGraph:
    r"""Edges between features of two modalities that biology says belong together.

    Parameters
    ----------
    data
        MuData with both modalities.
    how
        ``"distance"``: genes and peaks by genomic distance, from ``.var``; ``"name"``: features of one name, e.g. genes
        and their proteins; ``"table"``: the edges in `table`. Of names, versions of Ensembl ids and tags of antibodies
        are ignored (TotalSeq, what follows an underscore), and case, where that is no other feature's name; where
        names are Ensembl ids, symbols in ``.var`` (``gene_symbols``, ``gene_name``, ``feature_name``, ...) count too.
    modalities
        The two modalities; by default the only two there are, for ``"distance"`` the only two with positions. For
        ``"distance"``, genes first, then peaks.
    table
        Edges, see :class:`scvcell.prior.GuidanceGraph`; for ``"name"`` optionally two columns with the names of
        features that belong together (``feature_a``, ``feature_b``), e.g. proteins and genes that are called otherwise.
    window
        Largest distance in base pairs between a transcription start and the nearest end of a peak.
    decay
        Distance in base pairs at which a weight has fallen to 1/e: :math:`w = e^{-d / decay}`.

    Returns
    -------
    The graph, to be given to ``scvcell.tl.fit(..., priors=graph)``. Graphs add up: ``a + b``.

    Raises
    ------
    KeyError, ValueError
        If positions are missing or of different genomes or naming styles within a modality, or no feature has an edge.

    Notes
    -----
    Peaks need ``chrom``, ``start`` and ``end`` in ``.var``; genes ``chrom`` and ``tss``, or ``start``, ``end`` and
    ``strand``. If one modality writes ``1`` and the other ``chr1``, the prefix is ignored. Genes without a position
    get no edge.

    References
    ----------
    Cao and Gao, Multi-omics single-cell data integration and regulatory inference with graph-linked embedding,
    Nat Biotechnol 2022.
    """
    seen = view(data).modalities
    if how == "table":
        if table is None:
            raise ValueError("how='table' needs table=, a frame of edges.")
        return GuidanceGraph(table)
    if how not in ("distance", "name"):
        hint = near_miss(how, ["distance", "name", "table"])
        raise ValueError(f"how must be 'distance', 'name' or 'table', not {how!r}.{hint}")
    placed = [m for m, adata in seen.items() if "chrom" in adata.var]
    default = placed if how == "distance" and len(seen) > 2 else list(seen)
    names = default if modalities is None else list(modalities)
    unknown = [m for m in names if m not in seen]
    if unknown:
        raise ValueError(f"The data have no modality {unknown[0]!r}; they have {list(seen)}.")
    if len(names) != 2:
        if len(seen) < 2:
            raise ValueError(
                f"Edges join two modalities; the data have {list(seen)} only. Give a MuData of both, "
                "mudata.MuData({'rna': ..., 'adt': ...}); of one table with both kinds of features "
                "scvcell.pp.split_modalities(adata) makes one."
            )
        raise ValueError(f"Edges join two modalities; say which of {list(seen)} by modalities=(first, second).")
    first, second = names
    if how == "name":
        a, b = same_name(seen[first].var, seen[second].var, table)
        weight = np.ones(len(a))
    else:
        if "tss" not in seen[first].var and "tss" in seen[second].var:
            first, second = second, first
        a, b, weight = _near(seen[first], seen[second], first, second, window, decay)
    if len(a) == 0:
        raise ValueError(
            f"No feature of {first!r} is linked to one of {second!r} by {how}."
            + (unlinked({first: seen[first].var, second: seen[second].var}) if how == "name" else "")
        )
    logger.info("%d edges between %r and %r by %s.", len(a), first, second, how)
    return GuidanceGraph(
        pd.DataFrame(
            {
                "modality_a": first,
                "feature_a": seen[first].var_names[a].astype(str),
                "modality_b": second,
                "feature_b": seen[second].var_names[b].astype(str),
                "weight": weight,
            }
        )
    )


def _near(
    genes: AnnData, peaks: AnnData, gene_name: str, peak_name: str, window: int, decay: float
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Every gene and peak within `window`, and ``exp(-distance / decay)``."""
    start = _start_sites(genes, gene_name)
    _positions(peaks, peak_name, ("chrom", "start", "end"))
    _one_genome(genes, peaks, gene_name, peak_name)
    gene_chrom, peak_chrom = _chromosomes(genes, gene_name), _chromosomes(peaks, peak_name)
    low, high = (pd.to_numeric(peaks.var[c], errors="coerce").to_numpy(float) for c in ("start", "end"))
    if (high < low).any():
        raise ValueError(f"Modality {peak_name!r}: {(high < low).sum()} peaks end before they start.")
    parts = []
    for chrom in np.intersect1d(gene_chrom[np.isfinite(start)], peak_chrom):
        g = np.flatnonzero((gene_chrom == chrom) & np.isfinite(start))
        p = np.flatnonzero((peak_chrom == chrom) & np.isfinite(low) & np.isfinite(high))
        if len(p) == 0:
            continue
        p = p[np.argsort(low[p], kind="stable")]
        longest = (high[p] - low[p]).max()
        first = np.searchsorted(low[p], start[g] - window - longest)
        last = np.searchsorted(low[p], start[g] + window, side="right")
        count = last - first
        gene = np.repeat(g, count)
        peak = p[np.concatenate([np.arange(i, j) for i, j in zip(first, last, strict=True)])]
        distance = np.maximum(np.maximum(low[peak] - start[gene], start[gene] - high[peak]), 0)
        keep = distance <= window
        parts.append((gene[keep], peak[keep], np.exp(-distance[keep] / decay)))
    if not parts:
        empty = np.array([], int)
        return empty, empty, empty
    gene, peak, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return gene, peak, weight


def _positions(adata: AnnData, name: str, columns: Sequence[str]) -> None:
    missing = [c for c in columns if c not in adata.var]
    if missing:
        raise KeyError(
            f"Modality {name!r} has no var column {missing[0]!r}; positions need {list(columns)}. "
            f"It has: {', '.join(map(str, adata.var.columns)) or 'none'}."
        )


def _start_sites(genes: AnnData, name: str) -> NDArray[np.float64]:
    """Transcription start of each gene; NaN where it is not known."""
    if "tss" in genes.var:
        _positions(genes, name, ("chrom", "tss"))
        return pd.to_numeric(genes.var["tss"], errors="coerce").to_numpy(float)
    _positions(genes, name, ("chrom", "start", "end", "strand"))
    low, high = (pd.to_numeric(genes.var[c], errors="coerce").to_numpy(float) for c in ("start", "end"))
    return np.where(genes.var["strand"].astype(str).isin(["-", "-1"]), high, low)


def _chromosomes(adata: AnnData, name: str) -> NDArray[np.str_]:
    """Chromosome of each feature without the prefix; ``""`` where it is not known."""
    column = adata.var["chrom"]
    text = column.astype(str).where(column.notna(), "").to_numpy(dtype=str)
    known = text != ""
    prefixed = np.char.startswith(text, "chr")
    numbered = np.array([t.isdigit() or t in ("X", "Y") for t in text])
    if (prefixed & known).any() and (numbered & known).any():
        raise ValueError(
            f"Modality {name!r} mixes chromosome names: {text[prefixed][0]!r} and {text[numbered][0]!r}. Use one style."
        )
    return np.where(prefixed, np.char.replace(text, "chr", "", count=1), text)


def _one_genome(genes: AnnData, peaks: AnnData, gene_name: str, peak_name: str) -> None:
    found = {
        name: set(adata.var["genome"].dropna().astype(str))
        for name, adata in ((gene_name, genes), (peak_name, peaks))
        if "genome" in adata.var
    }
    every = set().union(*found.values())
    if len(every) > 1:
        listed = "; ".join(f"{name!r}: {sorted(genomes)}" for name, genomes in found.items())
        raise ValueError(f"Positions are of different genomes ({listed}). Lift one over, or drop what does not belong.")
