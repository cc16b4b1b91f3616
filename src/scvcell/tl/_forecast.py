"""tl.forecast: cells as they would be later."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from scvcell import _keys
from scvcell._checks import check_level, expect
from scvcell._containers import choose, gather, unique_names
from scvcell.drift import expected_values
from scvcell.errors import OutOfSupport
from scvcell.model import CSL
from scvcell.response import Controls, asked, learned, show_action
from scvcell.tl._perturb import TRUSTED_SUPPORT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData
    from mudata import MuData

    from scvcell._containers import Container
    from scvcell.perturb import Action

logger = logging.getLogger("scvcell")


def forecast(
    data: Container,
    model: CSL,
    *,
    time: float,
    cells: Any = None,
    action: str | Mapping[str, float | str | None] | Action | None = None,
    level: float = 0.9,
) -> AnnData | MuData:
    r"""Cells as they would be later.

    .. math:: z(t) = z(0) + \int_0^t f(z(\tau))\,d\tau

    A forecast of a forecast is the forecast over both times together, to the accuracy of the integrator (1e-4).

    Parameters
    ----------
    data
        Fitted or new data.
    model
        Model whose field :func:`scvcell.tl.velocity` has learned.
    time
        How much later, in units of the field (``.uns["csl_velocity"]["unit"]``).
    cells
        Cells to start from: boolean mask, names, or a query on obs; all by default.
    action
        What is done to the cells before, as in :func:`scvcell.tl.perturb`; `cells` are untreated then.
    level
        Level of the intervals, which are for the expected values, over samples of the genes (or cells) that the field
        was learned from. What such samples share is not in them: the steady-state and equal-lifetime assumptions, the
        model of the state, and `action`.

    Returns
    -------
    AnnData (of a model of one modality) or MuData. ``X``: expected values, of counts at the depth of the cell; layers
    ``lower``, ``upper``; obs of the cells with ``source_cell``, ``forecast_time``, ``action``, ``support`` (least on
    the way; 0 far from the data, 1 amid them; of a treated cell at most that of the action) and ``trusted`` (support of
    at least one half, and a direction that :func:`velocity` trusts); ``obsm["X_csl"]``: states.

    Raises
    ------
    ValueError
        If there is no field yet, `time` is below 0, `level` is not between 0 and 1, every cell leaves the support of
        the data, or `action` is given and the model has learned none.

    Examples
    --------
    >>> later = scvcell.tl.forecast(mdata, model, time=2.0, cells="clusters == 'Pre-endocrine'")
    """
    expect("model", model, CSL, "The data come first, then the model.")
    check_level(level)
    if not (np.isfinite(time) and time >= 0):
        raise ValueError(f"time must be 0 or later, not {time!r}; the field tells where cells go, not whence.")
    drift = model.part("drift")
    if action is None:
        seen = model.view(data)
        index = np.arange(seen.n_obs) if cells is None else choose(seen, "cells", cells)
        part = seen.subset(index)
        start = model.posterior(part).mean.numpy()
    else:
        action = asked(learned(model), action)
        controls = Controls(data, model, cells, ())
        seen, index, part = controls.view, controls.index, controls.part
        start = controls.response.states(controls.latent, action).numpy()
    states, members, support = drift.flow(start.astype(float), float(time))
    if len(index) and not (support >= TRUSTED_SUPPORT).any():
        raise OutOfSupport(
            f"Every cell leaves what the data support within {time:g} ({drift.unit}). Give a shorter time."
        )
    left = int((support < TRUSTED_SUPPORT).sum())
    if left:
        logger.warning("%d of %d cells leave what the data support; see obs['trusted'].", left, len(index))
    if action is not None:
        for _, group in controls.groups():
            done = controls.response.support(action, controls.latent[group].mean(0).numpy())
            support[group] = np.minimum(support[group], done)
    trusted = (support >= TRUSTED_SUPPORT) & drift.trusted(start) & model.trusts()
    obs = seen.obs(index, model.columns)
    obs[_keys.SOURCE_CELL], obs[_keys.TIME] = obs.index.to_numpy(), float(time)
    obs = show_action(obs, "none", model.response) if action is None else controls.label(obs, action)
    obs[_keys.SUPPORT], obs[_keys.TRUSTED] = support, trusted
    obs.index = unique_names(f"{name}-{time:g}" for name in obs.index)
    tables = {m: expected_values(model.readout(part, m), states, members, obs, level) for m in model.assays}
    return part.as_table(gather(tables, {_keys.LATENT: states.astype(np.float32)}))
