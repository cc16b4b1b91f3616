"""tl.fate: in which terminal group each cell ends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import norm

from scvcell import _keys
from scvcell._checks import check_level, expect
from scvcell._labels import labels, several
from scvcell._registry import near_miss
from scvcell._stats import neighbours, walk
from scvcell.drift import absorbed, fates_differ, terminal_groups
from scvcell.model import CSL

if TYPE_CHECKING:
    from scvcell._containers import Container

logger = logging.getLogger("scvcell")

MOSTLY_TRUSTED = 0.5
"""Share of trusted cells below which fates come with a warning."""


def fate(
    data: Container,
    model: CSL,
    *,
    groupby: str,
    terminal: Any = None,
    level: float = 0.9,
) -> AnnData:
    r"""Probability of each cell to end in each terminal group.

    .. math:: B = (I - Q)^{-1} R, \qquad p_{ij} \propto \exp(\cos(f(z_i), z_j - z_i) / \kappa)

    with Q and R the steps of a random walk among neighbouring states that lead to cells that go on, and to terminal
    ones. From cells whose velocity is not trusted all steps are as likely.

    Parameters
    ----------
    data
        Fitted or new data.
    model
        Model whose field :func:`scvcell.tl.velocity` has learned.
    groupby
        Obs column of the groups.
    terminal
        Groups in which cells end. By default those which trusted cells of other groups head for and that trusted cells
        of their own do not leave.
    level
        Level of the intervals, over samples of the genes (or cells) that the field was learned from.

    Returns
    -------
    AnnData of cells x terminal groups. ``X``: probabilities; layers ``lower``, ``upper``; obs with the `groupby`
    column and ``trusted``: whether the velocity of the cell is, and fates differ between cells on the way at all; NaN
    for cells from which no terminal group can be reached.

    Raises
    ------
    ValueError
        If there is no field yet, `level` is not between 0 and 1, a terminal group is unknown, or none is found because
        no trusted cells head for one.

    Warns
    -----
    (log) of a terminal group that its trusted cells leave, or that none head for, and of fates that hardly differ
    between cells.

    References
    ----------
    Lange et al., CellRank for directed single-cell fate mapping, Nat Methods 2022.

    Examples
    --------
    >>> fates = scvcell.tl.fate(mdata, model, groupby="clusters", terminal=["Alpha", "Beta"])
    """
    expect("model", model, CSL, "The data come first, then the model.")
    check_level(level)
    drift = model.part("drift")
    seen = model.view(data)
    column = seen.column(groupby)
    label: Any = labels(column).fillna("").to_numpy(object)
    if no_group := int((label == "").sum()):
        logger.info("%d of %d cells have no label in obs[%r]: on the way, in no group.", no_group, len(label), groupby)
    groups = [str(g) for g in np.unique(label) if g]
    named = None if terminal is None else several(terminal)
    unknown = [g for g in named or () if g not in groups]
    if unknown:
        raise ValueError(
            f"obs[{groupby!r}] has no group {unknown[0]!r}.{near_miss(unknown[0], groups)} Groups: {', '.join(groups)}."
        )
    latent = model.posterior(seen).mean.numpy().astype(float)
    graph, trusted = neighbours(latent), drift.trusted(latent)
    sure = trusted[:, None].astype(float)
    steps = walk(latent, sure * drift.velocity(latent), graph)
    found, left = terminal_groups(steps, label, groups, trusted)
    ends = list(named or found)
    if not ends:
        raise ValueError(
            f"No group of obs[{groupby!r}] takes cells of others and keeps its own, as far as velocities are trusted "
            f"({trusted.mean():.0%} of cells; obs[{_keys.VELOCITY_TRUSTED!r}]). Name the ends: terminal=[...]."
        )
    if not trusted.all():
        lacking = (
            f"{(~trusted).sum()} of {len(trusted)} cells have no trusted velocity; the walk has no direction there."
        )
        logger.log(logging.WARNING if trusted.mean() < MOSTLY_TRUSTED else logging.INFO, lacking)
    for end in sorted(set(ends) & left):
        logger.warning(
            "Cells of %r leave it as far as their velocity is trusted: it is a start rather than an end.", end
        )
    for end in sorted(set(ends) - left - set(found)):
        logger.warning("Cells whose velocity is trusted do not head for %r.", end)
    best = absorbed(steps, label, ends)
    each = np.array([absorbed(walk(latent, sure * ahead, graph), label, ends) for ahead in drift.members(latent)])
    half = norm.ppf(0.5 + level / 2) * each.std(0)
    obs = pd.DataFrame(
        {
            groupby: column,
            _keys.TRUSTED: trusted & (fates_differ(best[trusted], label[trusted], ends) | np.isin(label, ends)),
        },
        seen.obs_names,
    )
    out = AnnData(best, obs=obs, var=pd.DataFrame(index=ends))
    out.layers[_keys.LOWER], out.layers[_keys.UPPER] = np.clip(best - half, 0, 1), np.clip(best + half, 0, 1)
    lost = int(np.isnan(best).any(1).sum())
    if lost:
        logger.warning("From %d of %d cells no terminal group can be reached.", lost, len(best))
    return out
