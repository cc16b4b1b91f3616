"""Guidance graph: which features of which modalities belong together, as vectors that the decoders share."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Float
    from numpy.typing import NDArray

    from scvcell._types import Rows

logger = logging.getLogger("scvcell")

COLUMNS = ("modality_a", "feature_a", "modality_b", "feature_b", "weight", "sign")
EDGES_PER_STEP = 8192
"""Edges, and as many non-edges, on which a step scores the graph at most."""


class Edges(NamedTuple):
    """Edges by number of their nodes; nodes are the features of all modalities, in the model's order.

    Attributes
    ----------
    a, b
        Node numbers, each of shape ``(edges,)``.
    weight, sign
        Weight in (0, 1] and sign (1 or -1) of each edge.
    """

    a: Rows
    b: Rows
    weight: NDArray[np.float32]
    sign: NDArray[np.float32]

    def linked(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Number of features of each modality that have an edge; `sizes` are the features of each, in order."""
        ends = np.unique(np.concatenate([self.a, self.b]))
        counts = np.diff(np.searchsorted(ends, np.cumsum([0, *sizes.values()])))
        return {m: int(n) for m, n in zip(sizes, counts, strict=True)}


@dataclass(frozen=True, eq=False)
class GuidanceGraph:
    """Signed, weighted edges between features, of one or of two modalities.

    Usually made by :func:`scvcell.pp.link_features`; any table of edges will do.

    Parameters
    ----------
    edges
        One row per edge: ``modality_a``, ``feature_a``, ``modality_b``, ``feature_b``, and optionally ``weight`` in
        (0, 1] (1 by default) and ``sign`` (1 by default; -1 where one rises as the other falls). Direction is ignored;
        of an edge given twice, the larger weight counts.
    strict
        Whether edges to features that the data do not have are an error. If not, they are counted and ignored.

    Raises
    ------
    ValueError
        If a column is missing, a weight lies outside (0, 1], a sign is neither 1 nor -1, or one edge has both signs.
    """

    edges: Any
    strict: bool = False

    def __post_init__(self) -> None:
        table = self.edges.copy()
        missing = [c for c in COLUMNS[:4] if c not in table]
        if missing:
            raise ValueError(f"A guidance graph needs the columns {list(COLUMNS[:4])}; {missing} are missing.")
        for name in COLUMNS[4:]:
            table[name] = pd.to_numeric(table[name], errors="coerce") if name in table else 1.0
        for name in COLUMNS[:4]:
            table[name] = table[name].astype(str)
        bad = ~((table["weight"] > 0) & (table["weight"] <= 1))
        if bad.any():
            raise ValueError(f"Weights of edges must lie in (0, 1]; {bad.sum()} do not, e.g. row {bad.idxmax()!r}.")
        bad = ~table["sign"].isin([1, -1])
        if bad.any():
            raise ValueError(f"Signs of edges must be 1 or -1; {bad.sum()} are not, e.g. row {bad.idxmax()!r}.")
        table = _one_way(table[list(COLUMNS)])
        both = table.groupby(list(COLUMNS[:4]), sort=False)["sign"].transform("nunique") > 1
        if both.any():
            first = table[both].iloc[0]
            raise ValueError(
                f"{both.sum() // 2} edges are given with both signs, e.g. {first.feature_a!r} - {first.feature_b!r}. "
                "Keep one of each."
            )
        table = table.sort_values("weight", ascending=False, kind="stable").drop_duplicates(list(COLUMNS[:4]))
        object.__setattr__(self, "edges", table.sort_index().reset_index(drop=True))

    def __len__(self) -> int:
        return len(self.edges)

    def __add__(self, other: GuidanceGraph) -> GuidanceGraph:
        """Edges of both; strict if either is."""
        return GuidanceGraph(
            pd.concat([self.edges, other.edges], ignore_index=True), strict=self.strict or other.strict
        )

    def __repr__(self) -> str:
        kinds = self.edges.groupby(["modality_a", "modality_b"], sort=False).size()
        listed = ", ".join(f"{a} - {b}: {n:,}" for (a, b), n in kinds.items())
        return f"GuidanceGraph with {len(self):,} edges ({listed or 'none'})."

    def rewired(self, share: float = 1.0, *, seed: int = 0) -> GuidanceGraph:
        """A null: the second ends of a share of the edges are permuted, so that every feature keeps its degree.

        Parameters
        ----------
        share
            Share of the edges that lose their meaning, 0 to 1.
        seed
            Of the permutation.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"share must lie in [0, 1], not {share!r}.")
        rng = np.random.default_rng(seed)
        table = self.edges.copy()
        ends: Any = table["feature_b"].to_numpy(copy=True)
        for rows in table.groupby(["modality_a", "modality_b"]).indices.values():
            some = rng.permutation(rows)[: round(share * len(rows))]
            ends[some] = ends[rng.permutation(some)]
        table["feature_b"] = ends
        table = table[(table["modality_a"] != table["modality_b"]) | (table["feature_a"] != table["feature_b"])]
        table = table.drop_duplicates(list(COLUMNS[:4]))
        return replace(self, edges=table)

    def index(self, features: Mapping[str, Sequence[str]]) -> Edges:
        """Edges among known features, by node number; others are left out, and counted in the log.

        Raises
        ------
        ValueError
            If no edge is left, or one is left out of a strict graph.
        """
        nodes = pd.MultiIndex.from_tuples([(m, name) for m, names in features.items() for name in names])
        a, b = (
            nodes.get_indexer(pd.MultiIndex.from_frame(self.edges[[f"modality_{end}", f"feature_{end}"]]))
            for end in "ab"
        )
        known = (a >= 0) & (b >= 0)
        if not known.any():
            raise ValueError(
                f"None of the {len(self)} edges of the guidance graph joins features of the data; its modalities are "
                f"{sorted(set(self.edges['modality_a']) | set(self.edges['modality_b']))}, those of the data "
                f"{list(features)}."
            )
        if not known.all() and self.strict:
            end, missing = ("a", a < 0) if (a < 0).any() else ("b", b < 0)
            first = self.edges[missing].iloc[0]
            raise ValueError(
                f"{(~known).sum()} of {len(self)} edges join unknown features, e.g. {first[f'feature_{end}']!r} of "
                f"{first[f'modality_{end}']!r}. Correct the names, or leave strict=True out to ignore them."
            )
        if not known.all():
            logger.warning("%d of %d edges join unknown features; they are ignored.", (~known).sum(), len(self))
        kept = self.edges[known]
        return Edges(
            a[known].astype(np.int64),
            b[known].astype(np.int64),
            kept["weight"].to_numpy(np.float32),
            kept["sign"].to_numpy(np.float32),
        )


def _one_way(table: Any) -> Any:
    """The same edges, each with its ends in one order: that in which the modalities appear, else by name."""
    order = pd.unique(table[["modality_a", "modality_b"]].to_numpy().ravel())
    rank = {name: i for i, name in enumerate(order)}
    a, b = table["modality_a"].map(rank), table["modality_b"].map(rank)
    turn = (a > b) | ((a == b) & (table["feature_a"] > table["feature_b"]))
    ends = ["modality_a", "feature_a", "modality_b", "feature_b"]
    table = table.copy()
    table.loc[turn, ends] = table.loc[turn, [*ends[2:], *ends[:2]]].to_numpy()
    return table


class GuidancePrior(nn.Module):
    r"""One vector per feature, smoothed over the graph; decoders linear in the state read their weights off them.

    .. math::
        V = \tilde D^{-1/2} (A + I) \tilde D^{-1/2} X, \qquad
        L_{prior} = -\sum_{(i, j) \in E} w_{ij} \big( \log \sigma(s_{ij} v_i^\top v_j)
                    + \log \sigma(-v_i^\top v_{k}) \big)

    with signed weights A, free vectors X, and a random end k of another edge in the place of j. Sparse, linear in
    edges.

    Parameters
    ----------
    sizes
        Number of features per modality, in the model's order.
    edges
        The graph.
    n_latent
        Dimension of the state, and of the vectors.

    References
    ----------
    Cao and Gao, Multi-omics single-cell data integration and regulatory inference with graph-linked embedding,
    Nat Biotechnol 2022; Kipf and Welling, Variational graph auto-encoders, 2016.
    """

    a: Tensor
    b: Tensor
    weight: Tensor
    sign: Tensor

    def __init__(self, sizes: Mapping[str, int], edges: Edges, n_latent: int) -> None:
        super().__init__()
        self.sizes = dict(sizes)
        n = sum(self.sizes.values())
        for name, values in edges._asdict().items():
            self.register_buffer(name, torch.as_tensor(values))
        self.free = nn.Parameter(0.1 * torch.randn(n, n_latent))
        own = np.arange(n)
        degree = torch.ones(n).index_add_(0, self.a, self.weight).index_add_(0, self.b, self.weight)
        i = torch.cat([torch.from_numpy(own), self.a, self.b])
        j = torch.cat([torch.from_numpy(own), self.b, self.a])
        signed = torch.cat([torch.ones(n), self.weight * self.sign, self.weight * self.sign])
        value = signed / (degree[i] * degree[j]).sqrt()
        smooth = torch.sparse_coo_tensor(torch.stack([i, j]), value, (n, n), check_invariants=False)
        self.register_buffer("smooth", smooth.coalesce(), persistent=False)
        owner = np.repeat(np.arange(len(self.sizes)), list(self.sizes.values()))
        ends = owner[np.asarray(edges.a)], owner[np.asarray(edges.b)]
        apart = ends[0] != ends[1]
        found = {*ends[0][apart].tolist(), *ends[1][apart].tolist()}
        self._joined = [name for i, name in enumerate(self.sizes) if i in found]

    def joined(self) -> list[str]:
        """Modalities that have an edge to another one."""
        return self._joined

    def vectors(self, nodes: Float[Tensor, "nodes latent"] | None = None) -> dict[str, Float[Tensor, "some latent"]]:
        """Vector of every feature, per modality; of `nodes`, where these are known."""
        nodes = self.nodes() if nodes is None else nodes
        return dict(zip(self.sizes, nodes.split(list(self.sizes.values())), strict=True))

    def nodes(self) -> Float[Tensor, "nodes latent"]:
        """Vectors of all nodes."""
        return torch.sparse.mm(self.smooth, self.free)

    def loss(self, nodes: Float[Tensor, "nodes latent"] | None = None) -> Float[Tensor, ""]:
        """Negative log-likelihood of all edges and as many non-edges, estimated from a sample of them."""
        v = self.nodes() if nodes is None else nodes
        some = torch.randint(len(self.a), (min(len(self.a), EDGES_PER_STEP),), device=v.device)
        a, b = self.a[some], self.b[some]
        other = b[torch.randperm(len(b), device=v.device)]
        present = F.logsigmoid(self.sign[some] * (v[a] * v[b]).sum(1)) * self.weight[some]
        absent = F.logsigmoid(-(v[a] * v[other]).sum(1)) * self.weight[some]
        return -(present + absent).mean() * len(self.a)
