"""What splicing tells: which genes do, whether at all, and where other genes find the direction of a cell again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.neighbors import NearestNeighbors

from scvcell.score import correlation

if TYPE_CHECKING:
    from collections.abc import Callable

    from scvcell._types import Array, Mask, Rows


N_NEIGHBOURS, PSEUDO_COUNTS = 30, 5.0
"""Cells whose ratio predicts that of a cell, and nascent counts at the constant ratio that are added to theirs."""
MIN_STANDARD_ERRORS = 2.0
"""Standard errors by which neighbours must predict better than a constant, for the gene to tell."""
MIN_COUPLING = 0.15
"""Least correlation of mature and nascent shares over cells; below it one does not follow the other."""
N_SPLITS = 3
HALF_TRUST_ERRORS = 3.0
"""Standard errors of the correlation with genes left out at which the direction is half trusted."""


def informative(z: Array, nascent: Array, expected: Array, theta: Array) -> Mask:
    r"""Which genes have a ratio of nascent to mature counts that varies with the state, ``(genes,)``.

    Those whose nascent counts are predicted better (NB log-likelihood) by the ratio of the cells around, the cell left
    out, than by one ratio for all cells.

    Parameters
    ----------
    z
        States, ``(cells, latent)``.
    nascent
        Counts, ``(cells, genes)``.
    expected
        Their expectation if nascent counts were in proportion to mature ones, up to a constant of the gene.
    theta
        Inverse dispersion, ``(genes,)``.
    """
    expected = expected * (nascent.sum(0) / np.maximum(expected.sum(0), 1e-12)) + 1e-9
    n = min(N_NEIGHBOURS, len(z) - 1)
    near = NearestNeighbors(n_neighbors=n).fit(z).kneighbors(return_distance=False)
    found, due = (sum(part[column] for column in near.T) for part in (nascent, expected))
    local = expected * (found + PSEUDO_COUNTS) / (due + PSEUDO_COUNTS)

    def log_likelihood(mean: Array) -> Array:
        return nascent * np.log(mean / (mean + theta)) - theta * np.log1p(mean / theta)

    gain = log_likelihood(local) - log_likelihood(expected)
    return gain.mean(0) > MIN_STANDARD_ERRORS * gain.std(0) / len(z) ** 0.5  # type: ignore[no-any-return]


def together(mature: Array, nascent: Array) -> float:
    r"""Correlation over cells of mature and nascent shares of a gene without counting noise, pooled over genes.

    .. math:: \frac{\sum_g c_g}{\sqrt{\sum_g v_g \sum_g v'_g}}, \qquad
              c_g = \frac{\mathrm{cov}(p_g, p'_g)}{\sqrt{\bar p_g \bar p'_g}}, \quad
              v_g = \frac{\mathrm{var}(p_g) - \overline{p_g / \ell}}{\bar p_g}

    About .4 of cells on their way, 0 where nascent counts are those of other cells. Of the counts themselves, since the
    state, and thus the model, knows both.

    Parameters
    ----------
    mature, nascent
        Counts, ``(cells, genes)``.
    """
    apart, mean, own = [], [], []
    for counts in (mature, nascent):
        depth = np.maximum(counts.sum(1, keepdims=True), 1)
        share = counts / depth
        mean.append(np.maximum(share.mean(0), 1e-12))
        apart.append(share - mean[-1])
        own.append((((apart[-1] ** 2).mean(0) - (share / depth).mean(0)) / mean[-1]).sum())
    shared = ((apart[0] * apart[1]).mean(0) / np.sqrt(mean[0] * mean[1])).sum()
    return float(shared / np.sqrt(max(own[0], 1e-12) * max(own[1], 1e-12)))


def in_proportion(level: Array, made: Array) -> float:
    """Slope of log nascent on log mature shares as the model has them, median gene."""
    level, log = level - level.mean(0), np.log(np.maximum(made, 1e-12))
    return 1 + float(np.median((level * (log - log.mean(0))).sum(0) / np.maximum((level**2).sum(0), 1e-12)))


def told(
    field: Callable[[Rows, Array], tuple[Array, Array]],
    slope: Array,
    made: Array,
    level: Array,
    relative: bool,
    rng: np.random.Generator,
) -> Array:
    r"""How well each cell's direction is found again, from 0 to 1, ``(cells,)``; trusted from one half.

    Genes are split in halves. The direction by one half predicts how much more than at steady state is made of the
    other half's genes; :math:`r \sqrt{G} / 2 c`, with r the correlation over genes and c = 3 standard errors, is how
    well it does. Where nascent counts follow mature ones less than in proportion (a background that is not spliced
    does that, and turns ends of a process around), all is done again with the proportion that the data have: what
    counts is the least of both, and of the cosine between the two directions.

    Parameters
    ----------
    field
        Smooth velocity ``(cells, latent)`` and its coordinates ``(cells, ways)`` from some genes and what is made of
        them.
    slope
        Change of log shares along the ways, ``(cells, genes, ways)``.
    made, level
        What is made per molecule, and log shares, ``(cells, genes)``.
    relative
        Whether only ratios are known (splicing), not rates (labelling).
    rng
        Draws halves.
    """
    n = made.shape[1]
    follows = in_proportion(level, made) if relative else 1.0
    corrected = made * np.exp((1 - follows) * (level - level.mean(0)))
    views = [made] if follows >= 1 else [made, corrected]
    ahead = [field(np.arange(n), view)[0] for view in views]
    cosine = (ahead[0] * ahead[-1]).sum(1) / np.maximum(
        np.linalg.norm(ahead[0], axis=1) * np.linalg.norm(ahead[-1], axis=1), 1e-12
    )
    again = [np.zeros(len(made)) for _ in views]
    for _ in range(N_SPLITS):
        order = rng.permutation(n)
        for asked, left in ((order[: n // 2], order[n // 2 :]), (order[n // 2 :], order[: n // 2])):
            for view, total in zip(views, again, strict=True):
                _, steps = field(asked, view)
                predicted = (slope[:, left] @ steps[..., None])[..., 0]
                total += correlation(predicted.T, (view[:, left] / np.median(view[:, left], 0)).T) / (2 * N_SPLITS)
    return np.clip(np.minimum(np.min(again, 0) * n**0.5 / (2 * HALF_TRUST_ERRORS), cosine), 0, 1)  # type: ignore[no-any-return]
