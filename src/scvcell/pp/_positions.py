"""Positions of features in a genome, as annotation writes them, and which genes and peaks are near each other."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

logger = logging.getLogger("scvcell")

PLUS = frozenset({"+", "1", "+1", "1.0", "+1.0", "plus", "forward"})
MINUS = frozenset({"-", "-1", "-1.0", "minus", "reverse", "\u2212", "\u22121"})
MITOCHONDRIAL = frozenset({"m", "mt", "mito"})
MANY = 0.1
"""Share of the genes on chromosomes without a peak from which this is a warning."""


def near(
    genes: AnnData, peaks: AnnData, gene_name: str, peak_name: str, window: int, decay: float
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Every gene and peak within `window`, and ``exp(-distance / decay)``."""
    start = _start_sites(genes, gene_name)
    _positions(peaks, peak_name, ("chrom", "start", "end"))
    _one_genome(genes, peaks, gene_name, peak_name)
    gene_chrom, peak_chrom = _chromosomes(genes, gene_name), _chromosomes(peaks, peak_name)
    _say_alone(gene_chrom, peak_chrom, (gene_name, peak_name))
    low, high = (pd.to_numeric(peaks.var[c], errors="coerce").to_numpy(float) for c in ("start", "end"))
    if (high < low).any():
        raise ValueError(f"Modality {peak_name!r}: {(high < low).sum()} peaks end before they start.")
    parts = []
    for chrom in np.intersect1d(gene_chrom[np.isfinite(start) & (gene_chrom != "")], peak_chrom):
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
    """Transcription start of each gene; NaN where it is not known, which is counted and said."""
    if "tss" in genes.var:
        _positions(genes, name, ("chrom", "tss"))
        return pd.to_numeric(genes.var["tss"], errors="coerce").to_numpy(float)
    _positions(genes, name, ("chrom", "start", "end", "strand"))
    low, high = (pd.to_numeric(genes.var[c], errors="coerce").to_numpy(float) for c in ("start", "end"))
    text = _text(genes.var["strand"])
    plus, minus = np.isin(text, list(PLUS)), np.isin(text, list(MINUS))
    unknown = ~plus & ~minus & np.isfinite(low) & np.isfinite(high)
    if unknown.any():
        logger.warning(
            "%d of %d genes of %r have no strand that is known, e.g. %r (%s); they have no start and get no edge. "
            "Strands are '+' and '-', or 1 and -1.",
            *(unknown.sum(), len(text), name, str(genes.var_names[unknown][0]), text[unknown][0] or "missing"),
        )
    return np.where(plus, low, np.where(minus, high, np.nan))


def _text(column: pd.Series) -> NDArray[np.str_]:
    """A column as text, small letters, without blanks; whole numbers without a point; ``""`` where it is missing."""
    known = column.notna().to_numpy()
    text = [str(value).strip().lower() if here else "" for value, here in zip(column, known, strict=True)]
    return np.array([re.sub(r"^(-?\d+)\.0+$", r"\1", value) for value in text], dtype=str)


def _chromosomes(adata: AnnData, name: str) -> NDArray[np.str_]:
    """Chromosome of each feature without the prefix; ``""`` where it is not known. M, MT and chrM are one."""
    text = _text(adata.var["chrom"])
    prefixed = np.char.startswith(text, "chr")
    numbered = np.array([t.isdigit() or t in ("x", "y") for t in text])
    if prefixed.any() and numbered.any():
        shown = adata.var["chrom"].astype(str).to_numpy()
        raise ValueError(
            f"Modality {name!r} mixes chromosome names: {shown[prefixed][0]!r} and {shown[numbered][0]!r}. "
            "Use one style."
        )
    plain = np.where(prefixed, np.char.replace(text, "chr", "", count=1), text)
    return np.where(np.isin(plain, list(MITOCHONDRIAL)), "mt", plain)


def _say_alone(first: NDArray[np.str_], second: NDArray[np.str_], names: tuple[str, str]) -> None:
    """Say which chromosomes of one modality occur in none of the other."""
    for one, other, name, beside in ((first, second, *names), (second, first, *names[::-1])):
        alone = (one != "") & ~np.isin(one, other)
        if alone.any():
            logger.log(
                logging.WARNING if alone.mean() > MANY else logging.INFO,
                "%d of %d features of %r are on chromosomes that %r has none of: %s. They get no edge.",
                *(alone.sum(), len(one), name, beside, ", ".join(sorted(set(one[alone].tolist()))[:8])),
            )


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
