"""tl.rank_actions: which action brings these cells nearest to that state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from scvcell._checks import check_level, seed_of, whole_number
from scvcell._containers import choose
from scvcell.objective import energy_distance
from scvcell.response import Controls, asked_each, learned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scvcell._containers import Container
    from scvcell.model import CSL
    from scvcell.perturb import Action

SET = 400
"""Cells of either side that are compared at most."""


def rank_actions(
    data: Container,
    model: CSL,
    goal: Any,
    *,
    actions: Iterable[str | Mapping[str, float | str | None] | Action] | None = None,
    cells: Any = None,
    level: float = 0.9,
    n_boot: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Rank actions by how near they bring untreated cells to the states of others.

    .. math:: \mathrm{progress}(a) = 1 - D(\Delta_a z, z_{goal}) / D(z, z_{goal})

    with D the Euclidean energy distance between sets of states: 1 arrives, 0 changes nothing, below 0 moves away.

    Parameters
    ----------
    data, model, cells
        As :func:`scvcell.tl.perturb`.
    goal
        Cells in the state that is wanted: a query on obs, a boolean mask, or names. They may be treated.
    actions
        Candidates; those in training by default.
    level
        Coverage of the interval, over samples of cells; what the operator does not know is in `support`.
    n_boot
        Bootstrap samples of the cells.
    seed
        Drives the samples.

    Returns
    -------
    One row per action, the best first: ``action``, ``progress``, ``lower``, ``upper``, ``level``, ``support``.

    Raises
    ------
    ValueError
        If there are fewer than 2 cells on either side, `level` is not between 0 and 1, or an action is unknown.

    References
    ----------
    Székely and Rizzo, Energy statistics: a class of statistics based on distances, J Stat Plan Inference 2013.

    Examples
    --------
    >>> scvcell.tl.rank_actions(adata, model, goal="cell_type == 'healthy'", cells="cell_type == 'diseased'")
    """
    check_level(level)
    n_boot, response = whole_number("n_boot", n_boot, 1), learned(model)
    given = asked_each(response, actions)
    candidates = response.actions if given is None else given
    start = Controls(data, model, cells, ())
    wanted = choose(start.view, "goal", goal)
    if min(len(wanted), len(start.index)) < 2:
        raise ValueError(
            f"{len(start.index)} cells and {len(wanted)} cells of the goal are too few; give at least 2 each."
        )
    rng = np.random.default_rng(seed_of(seed))
    there = model.posterior(start.view.subset(wanted)).mean
    place = start.latent.mean(0).numpy()
    moved = {action: response.states(start.latent, action) for action in candidates}
    draws = np.empty((len(moved), n_boot))
    for b in range(n_boot):
        here, goals = (torch.from_numpy(rng.integers(n, size=min(n, SET))) for n in (len(start.latent), len(there)))
        before = energy_distance(start.latent[here], there[goals]).clamp_min(1e-9)
        for i, states in enumerate(moved.values()):
            draws[i, b] = 1 - float(energy_distance(states[here], there[goals]) / before)
    if response.flow.moves:
        draws[[not response.taught(action) for action in moved]] = np.nan
    lower, upper = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2], axis=1)
    table = pd.DataFrame(
        {
            "action": [str(action) for action in moved],
            "progress": draws.mean(1),
            "lower": lower,
            "upper": upper,
            "level": level,
            "support": [response.support(action, place) for action in moved],
        }
    )
    return table.sort_values("progress", ascending=False, ignore_index=True)
