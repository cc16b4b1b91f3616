"""Inferred networks: does what is perturbed change what it is said to act on, and nothing that it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import breadth_first_order
from scipy.stats import mannwhitneyu, wasserstein_distance

from scvcell.score._base import dense, metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from scvcell._types import Array

    Edges = Iterable[tuple[str, str]]

PAIRS = ("feature_a", "feature_b", "score")
"""Columns of the table of feature links that are needed."""


def strongest_edges(table: pd.DataFrame, n: int) -> list[tuple[str, str]]:
    """The `n` strongest edges of a table, best first, as `mean_wasserstein` takes them.

    Parameters
    ----------
    table
        Of `scvcell.tl.feature_links`, whose edges lead from ``feature_a`` to ``feature_b``, strongest in the size of
        ``score``; or predicted effects, sources x features, such as knock-outs, strongest in their size.
    n
        Edges wanted; fewer if there are not as many. What leads from a feature to itself is left out.
    """
    if set(PAIRS) <= set(table.columns):
        source, target, strength = (table[column].to_numpy() for column in PAIRS)
    else:
        source, target = np.repeat(table.index, table.shape[1]), np.tile(table.columns, len(table))
        strength = table.to_numpy().ravel()
    kept = np.flatnonzero((source != target) & (strength != 0))
    order = kept[np.argsort(-np.abs(strength[kept]), kind="stable")][:n]
    return [(str(a), str(b)) for a, b in zip(source[order], target[order], strict=True)]


@metric(
    "mean_wasserstein",
    takes="network",
    better="higher",
    per="table",
    scale="log1p counts per 10,000",
    formula="mean over edges of the Wasserstein distance of the target's values in cells whose source was perturbed "
    "from those in controls",
    source="Chevalley et al., CausalBench, Commun Biol 2025",
    fooled_by="few edges from strong perturbations: read it beside the false omission rate; indirect effects count",
)
def mean_wasserstein(edges: Edges, treated: Mapping[str, Array], controls: Array, features: Sequence[str]) -> float:
    """Mean strength of what edges say: distance of targets in perturbed cells from controls.

    Parameters
    ----------
    edges
        Pairs (source, target) of names. Those whose source was never perturbed, or whose target is not among the
        features, cannot be tested and are left out; so are repeated ones.
    treated
        Name of what was perturbed -> its cells, ``(cells, features)``.
    controls
        Untreated cells, ``(cells, features)``.
    features
        Names of the features.

    Returns
    -------
    NaN where no edge can be tested.

    References
    ----------
    Chevalley et al., CausalBench: a large-scale benchmark for network inference from single-cell perturbation data,
    Commun Biol 2025.
    """
    place = {name: i for i, name in enumerate(features)}
    known = [(a, place[b]) for a, b in dict.fromkeys(edges) if a in treated and b in place]
    column = {b: dense(controls[:, [b]]).ravel() for b in {b for _, b in known}}
    each = [wasserstein_distance(column[b], dense(treated[a][:, [b]]).ravel()) for a, b in known]
    return float(np.mean(each)) if each else float("nan")


@metric(
    "false_omission_rate",
    takes="network",
    better="lower",
    per="table",
    scale="log1p counts per 10,000",
    formula="of pairs without a path from one to the other, share whose target differs from controls when the source "
    "is perturbed (Mann-Whitney, p < .05)",
    source="Chevalley et al., CausalBench, Commun Biol 2025",
    fooled_by="a network in which all is connected; few cells, with which no difference is seen; it is never below "
    ".05 in the mean",
)
def false_omission_rate(
    edges: Edges,
    treated: Mapping[str, Array],
    controls: Array,
    features: Sequence[str],
    *,
    n: int = 500,
    level: float = 0.05,
    seed: int = 0,
) -> float:
    """How many of the pairs that a network leaves out do have an effect.

    Parameters
    ----------
    edges, treated, controls, features
        As for `mean_wasserstein`. A path may have any length.
    n
        Left-out pairs that are drawn; all of them if there are fewer.
    level
        Of the test, which is not corrected for the number of pairs.
    seed
        Of the draw.

    Returns
    -------
    NaN where no pair is left out.
    """
    names = list(dict.fromkeys([*treated, *features]))
    at = {name: i for i, name in enumerate(names)}
    ends = np.array([(at[a], at[b]) for a, b in edges if a in at and b in at]).reshape(-1, 2)
    graph = sp.csr_matrix((np.ones(len(ends)), ends.T), shape=(len(names), len(names)))
    left = []
    for source in treated:
        reached = np.zeros(len(names), bool)
        reached[breadth_first_order(graph, at[source], return_predecessors=False)] = True
        left += [(source, i) for i, target in enumerate(features) if not reached[at[target]]]
    if not left:
        return float("nan")
    drawn = np.random.default_rng(seed).permutation(len(left))[:n]
    pairs = [(dense(controls[:, [i]]), dense(treated[a][:, [i]])) for a, i in (left[k] for k in drawn)]
    return float(np.mean([mannwhitneyu(one.ravel(), other.ravel()).pvalue < level for one, other in pairs]))
