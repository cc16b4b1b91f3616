"""pp.link_features: edges of a guidance graph from genomic positions or from names."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scvcell._containers import view
from scvcell._registry import near_miss
from scvcell.pp._names import same_name, unlinked
from scvcell.pp._positions import near
from scvcell.prior import GuidanceGraph

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        and their proteins; ``"table"``: the edges in `table`. Of names, versions of Ensembl ids, prefixes of genomes
        (``GRCh38_``) and tags of antibodies at the end (``_TotalSeqB``, ``-A0034``, ``_prot``) are ignored, and case,
        where that is no other feature's name; where
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
    ``strand`` (``+`` and ``-``, or 1 and -1, also as floats or text). If one modality writes ``1`` and the other
    ``chr1``, the prefix is ignored; ``M``, ``MT`` and ``chrM`` are one. Genes without a position or a known strand get
    no edge; how many these are is said, and which chromosomes have no partner.

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
        a, b, weight = near(seen[first], seen[second], first, second, window, decay)
    if len(a) == 0:
        raise ValueError(
            f"No feature of {first!r} is linked to one of {second!r} by {how}."
            + (unlinked({first: seen[first].var, second: seen[second].var}) if how == "name" else "")
        )
    logger.info(
        "%d edges between %r and %r by %s; %d of %d and %d of %d features have one.",
        *(len(a), first, second, how, len(set(a)), seen[first].n_vars, len(set(b)), seen[second].n_vars),
    )
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
