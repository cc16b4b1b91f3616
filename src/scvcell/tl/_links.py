"""tl.feature_links: which edges of the guidance graph the fitted model supports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.stats import false_discovery_control

from scvcell._containers import expect
from scvcell.model import CSL

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from scvcell._containers import Container

NULLS = 200_000
"""Permuted edges in all, at least one per edge."""


def feature_links(data: Container, model: CSL, *, seed: int = 0) -> pd.DataFrame:
    r"""Support of every edge of the guidance graph, against edges between features that are joined at random.

    The score of an edge is the cosine of the feature vectors through which the state decodes both its ends, times its
    sign; the vectors were fitted to the data and to the graph together.

    .. math:: r_{ij} = s_{ij} \frac{\langle v_i, v_j \rangle}{\lVert v_i \rVert \lVert v_j \rVert}, \qquad
              p_{ij} = \frac{1 + \#\{r^{null} \ge r_{ij}\}}{1 + \#null}

    Parameters
    ----------
    data
        The data the model was fitted on, or others with its features (only their names are read).
    model
        Model fitted with a guidance graph.
    seed
        Of the permutations.

    Returns
    -------
    Tidy frame, one row per edge, best first: ``modality_a``, ``feature_a``, ``modality_b``, ``feature_b``, ``weight``,
    ``sign`` (as given), ``score`` (-1 to 1), ``pvalue`` (against ends permuted within the two modalities) and
    ``qvalue`` (Benjamini-Hochberg).

    Raises
    ------
    ValueError
        If the model has no guidance graph.

    References
    ----------
    Cao and Gao, Multi-omics single-cell data integration and regulatory inference with graph-linked embedding,
    Nat Biotechnol 2022; Benjamini and Hochberg, Controlling the false discovery rate, J R Stat Soc B 1995.
    """
    expect("model", model, CSL, "The data come first, then the model.")
    model.view(data)
    prior = model._trained_module().prior
    if prior is None:
        raise ValueError(
            "This model was fitted without a guidance graph. Fit with priors=scvcell.pp.link_features(...)."
        )
    with torch.no_grad():
        v = F.normalize(prior.nodes(), dim=1).cpu()
    a, b, weight, sign = (getattr(prior, name).cpu() for name in ("a", "b", "weight", "sign"))
    names = [(m, feature) for m, spec in model.schema.modalities.items() for feature in spec.features]
    owner = torch.tensor(np.repeat(np.arange(len(prior.sizes)), list(prior.sizes.values())))
    score = ((v[a] * v[b]).sum(1) * sign).numpy()
    pvalue = np.ones(len(score))
    kinds = torch.stack([owner[a], owner[b]], 1)
    rng = np.random.default_rng(seed)
    for kind in torch.unique(kinds, dim=0):
        here = (kinds == kind).all(1)
        null = np.sort(_null(v, a[here], b[here], sign[here], rng))
        above = len(null) - np.searchsorted(null, score[here.numpy()], side="left")
        pvalue[here.numpy()] = (1 + above) / (1 + len(null))
    ends = [pd.DataFrame([names[i] for i in node.tolist()]) for node in (a, b)]
    table = pd.DataFrame(
        {
            "modality_a": ends[0][0],
            "feature_a": ends[0][1],
            "modality_b": ends[1][0],
            "feature_b": ends[1][1],
            "weight": weight.numpy(),
            "sign": sign.numpy(),
            "score": score,
            "pvalue": pvalue,
            "qvalue": false_discovery_control(pvalue),
        }
    )
    return table.sort_values("score", ascending=False, kind="stable").reset_index(drop=True)


def _null(v: Tensor, a: Tensor, b: Tensor, sign: Tensor, rng: np.random.Generator) -> NDArray[np.float32]:
    """Scores of edges whose second ends are permuted."""
    parts = []
    for _ in range(max(1, NULLS // len(a))):
        other = b[torch.from_numpy(rng.permutation(len(b)))]
        parts.append(((v[a] * v[other]).sum(1) * sign)[other != b].numpy())
    return np.concatenate(parts)
