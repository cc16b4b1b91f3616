"""Niches: the state of what surrounds each unit, at several radii, on one scale in every section."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from sklearn.cluster import KMeans

from scvcell._containers import Membership, graph
from scvcell.tissue._pool import encode, pooled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scvcell._containers import Space, View
    from scvcell._types import Array, Rows
    from scvcell.model import Fitted

logger = logging.getLogger("scvcell")

UNITS_PER_BLOCK = 4096
"""Niches whose counts are summed at once; more is faster and takes more memory."""
MIN_UNITS = 10
"""Units of a section below which it is put on the scale of all sections."""
MAX_CLUSTERED = 50_000
"""Units by which niches are found at most, evenly from all."""
N_STARTS = 10
"""Starts of k-means, of which the best is taken."""


def surroundings(view: View, space: Space, k: Sequence[int], key: str | None = None) -> dict[str, Membership]:
    """What surrounds each unit, itself included: its `k` nearest ones, or its neighbours in a graph.

    Parameters
    ----------
    view
        The data.
    space
        Places of the units.
    k
        Numbers of neighbours.
    key
        Graph in ``.obsp``; `k` does not count then.

    Returns
    -------
    By name (the number, or the graph), ``(units, units)``. Nobody has neighbours in another section.
    """
    if key is None:
        placed = space.placed
        size = np.bincount(space.section[placed], minlength=len(space.sections))
        few = [name for name, n in zip(space.sections, size, strict=True) if 0 < n <= max(k)]
        if few:
            logger.warning(
                "%d sections have no more than %d units, e.g. %r: all of it is the widest niche there.",
                *(len(few), max(k), few[0]),
            )
        return {str(each): space.nearest(each + 1) for each in k}
    found = graph(view, key)
    matrix = sp.coo_array(found.matrix)
    same = space.section[matrix.row] == space.section[matrix.col]
    if not same.all():
        logger.warning("%d edges of the graph %r join sections; they are left out.", (~same).sum(), key)
    kept = (matrix.data[same], (matrix.row[same], matrix.col[same]))
    return {key: Membership(sp.csr_array(kept, matrix.shape), found.coarse, found.fine, found.unit)}


def niche_states(model: Fitted, view: View, niches: Mapping[str, Membership]) -> dict[str, Array]:
    r"""State of each unit, and mean front-end scores and posterior of the pool of each of its niches.

    .. math::
        \bar s_r = \frac{\sum_c A_{rc} s_c}{\sum_c A_{rc}}, \qquad z_r \sim q\Big(z \,\Big|\, \sum_c A_{rc} x_c\Big)

    Both are read, as neither says all: scores keep what the state leaves out, and the pool is a unit of its own.

    Parameters
    ----------
    model
        Trained model.
    view
        Units, as the model views them.
    niches
        By name, which units make up the niche of each.

    Returns
    -------
    ``"own"``: the unit's own state, ``(units, latent)``; for each niche ``"scores NAME"``, ``(units, scores)``, and
    ``"pool NAME"``, ``(units, latent)``. NaN where a unit was not measured, or has no niche.
    """
    seen = view.only(model.assays)
    source = model.source(seen)
    own = model.states(source, np.arange(seen.n_obs)).mean.numpy().copy()
    own[~seen.measured()] = np.nan
    scores, out = _scores(source), {"own": own}
    for name, niche in niches.items():
        known = np.isfinite(scores)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (niche.matrix @ np.where(known, scores, 0)) / (niche.matrix @ known.astype(float))
        out[f"scores {name}"] = np.asarray(mean)
        out[f"pool {name}"] = _pools(model, seen, niche)
    return out


def _scores(source: Any) -> Array:
    """Front-end scores of all assays side by side, without depth; NaN of an assay that a unit lacks."""
    parts = []
    for name, rows in source.rows.items():
        if name in source.scores:
            part = source.scores[name][:, :-1]
            parts.append(np.where(rows[:, None] >= 0, part[np.maximum(rows, 0)], np.nan))
    return np.concatenate(parts, 1)


def _pools(model: Fitted, view: View, niche: Membership) -> Array:
    """Posterior of summed measurements, some niches at a time, ``(units, latent)``."""
    out = np.full((len(niche.coarse), model.n_latent), np.nan, np.float32)
    for start in range(0, len(out), UNITS_PER_BLOCK):
        stop = min(start + UNITS_PER_BLOCK, len(out))
        part = niche.matrix[start:stop]
        cells = np.unique(part.indices)
        if not len(cells):
            continue
        here = Membership(part[:, cells], niche.coarse[start:stop], niche.fine[cells], niche.unit)
        seen = view.subset(cells)
        sums = {
            name: pooled(here, model.matrix(seen, name), seen.rows[name], counts=model.operator(name).count_data)
            for name in seen.modalities
        }
        out[start:stop] = encode(model, here, seen, sums)
    return out


def standardised(blocks: Mapping[str, Array], section: Rows) -> tuple[Array, dict[str, slice]]:
    """Blocks side by side, centred within section and of one scale each; columns of a block keep their proportions.

    What varies little in a block is mostly noise. Giving every column the same weight would raise it.

    Parameters
    ----------
    blocks
        As `niche_states` gives them.
    section
        Section of each unit, -1 without one, ``(units,)``.

    Returns
    -------
    Values ``(units, columns)``, NaN of units that lack their own state or any niche; and the columns of each block. An
    assay that no part of a niche has is at the mean.
    """
    lost = np.any([~np.isfinite(block).any(1) for block in blocks.values()], axis=0)
    parts, where, start = [], {}, 0
    for name, block in blocks.items():
        parts.append(_scaled(np.where(lost[:, None], np.nan, block.astype(float)), section))
        where[name] = slice(start, start + block.shape[1])
        start += block.shape[1]
    values = np.nan_to_num(np.concatenate(parts, 1))
    values[lost] = np.nan
    return values.astype(np.float32), where


def _scaled(block: Array, section: Rows) -> Array:
    """A block centred, its widest column of standard deviation 1, within each section."""
    out, known = np.full(block.shape, np.nan), np.isfinite(block).any(1)
    few = [s for s in np.unique(section) if (known & (section == s)).sum() < MIN_UNITS]
    for code in np.setdiff1d(section, few):
        here = known & (section == code)
        out[here] = _one_scale(block[here], block[here])
    rest = known & np.isin(section, few)
    if rest.any():
        out[rest] = _one_scale(block[rest], block[known])
    return out


def _one_scale(block: Array, of: Array) -> Array:
    """Values centred and scaled by those of some units."""
    known = np.isfinite(of)
    n = np.maximum(known.sum(0), 1)
    centre = np.where(known, of, 0).sum(0) / n
    sd = np.sqrt((np.where(known, of - centre, 0) ** 2).sum(0) / n)
    return (block - centre) / max(float(sd.max(initial=0)), 1e-6)


def cluster(values: Array, order: Rows, n: int, seed: int) -> Rows:
    """Niches by k-means, the largest first; -1 of units without values, ``(units,)``.

    Parameters
    ----------
    values
        State of each unit, ``(units, columns)``.
    order
        Units in an order that does not depend on how the data are sorted, ``(units,)``.
    n
        Number of niches.
    seed
        Drives the starts.
    """
    known = order[np.isfinite(values[order]).all(1)]
    out = np.full(len(values), -1, np.int64)
    some = known[np.unique(np.linspace(0, len(known) - 1, min(len(known), MAX_CLUSTERED)).astype(int))]
    means = KMeans(n, n_init=N_STARTS, random_state=seed).fit(values[some].astype(float))
    code = means.predict(values[known].astype(float))
    size = np.bincount(code, minlength=n)
    out[known] = np.argsort(np.argsort(-size, kind="stable"), kind="stable")[code]
    return out
