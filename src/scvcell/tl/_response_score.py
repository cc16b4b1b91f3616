"""tl.response_score: which treated cells responded, and how strongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scvcell import _keys
from scvcell._checks import check_level
from scvcell.response import asked, compared, design_of, learned, treated
from scvcell.screen import strengths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell._containers import Container
    from scvcell.model import CSL
    from scvcell.perturb import Action


MAX_SHARE_WIDTH = 0.5
"""Width of the interval of the share from which on responders cannot be told from other cells."""


def response_score(
    data: Container,
    model: CSL,
    action: str | Mapping[str, float | str | None] | Action | None = None,
    *,
    level: float = 0.9,
    key_added: str = _keys.RESPONSE,
) -> pd.DataFrame:
    r"""How strongly each treated cell responded, and what share of them did.

    .. math::
        p(z \mid s) = \mathcal N(z - (\Phi_s(m) - m);\ m, S), \qquad
        s \sim (1 - w)\,\delta_0 + w\,\mathcal N_{> 0}(\mu, (\kappa \mu)^2)

    A cell lies s steps along the fitted flow :math:`\Phi_s` from where it would be untreated; m and S are mean and
    covariance of the controls of its context. A strength of 1 is the action as the model has learned it, an average
    over all treated cells: where half of them escaped, responders are near 2. The share w, mean strength :math:`\mu`
    and dispersion :math:`\kappa` of responders are summed over with a uniform prior, so that what cannot be told shows
    in wide intervals.

    Parameters
    ----------
    data
        Data with treated cells and controls.
    model
        Model fitted with ``perturbation=``.
    action
        Action whose cells are scored; those in training that cells of the data were given by default.
    level
        Probability of the intervals.
    key_added
        Column of ``.obs`` to write.

    Returns
    -------
    One row per action and context: ``action``, ``group``, ``response`` (mean strength over all treated cells),
    ``share`` (of them that responded), ``size`` (mean strength of these), ``dispersion`` (its standard deviation over
    the mean), each with ``_lower`` and ``_upper``; ``level``, ``n_cells``, ``n_controls``, ``trusted`` (the interval of
    the share is narrower than one half; else responders cannot be told from other cells, and probabilities of cells are
    little more than the prior). Intervals leave out what is unknown of the flow and of the controls, and are as fine as
    the grid of the sums: 0.025 of the share, 0.125 of the size, 0.1 of the dispersion.

    Notes
    -----
    Writes three obs columns: `key_added` (posterior mean of the strength), ``_sd``, and ``_probability`` (of a strength
    above 0); NaN for cells that were not scored. Conditions of fewer than 10 treated or control cells are left out,
    with a warning.

    Raises
    ------
    ValueError
        If the model has learned no perturbation, a target is unknown, no cell was given the action, every condition has
        too few cells, or `level` is not between 0 and 1.

    References
    ----------
    Papalexi et al., Characterizing the molecular regulation of inhibitory immune checkpoints with multimodal
    single-cell screens, Nat Genet 2021 (responders as a mixture with the controls).

    Examples
    --------
    >>> table = scvcell.tl.response_score(adata, model, "IFNGR1")
    >>> responders = adata[adata.obs["csl_response_probability"] > 0.5]
    """
    check_level(level)
    response, view = learned(model), model.view(data)
    wanted = None if action is None else response.check(asked(response, action))
    design = compared(design_of(view, response), response)
    view.check_key_added(key_added, _keys.response_keys(key_added).values(), default=_keys.RESPONSE)
    known = response.actions if wanted is None else (wanted,)
    units = treated(design, [a for a in known if a in design.actions] or known)
    latent = model.posterior(view).mean.numpy()
    columns = {name: np.full(view.n_obs, np.nan) for name in _keys.response_keys(key_added)}
    rows = []
    for (name, group), unit in units.items():
        found = strengths(response.flow, unit.action, latent[unit.controls], latent[unit.treated])
        for column in columns:
            columns[column][unit.treated] = getattr(found, column)
        rows.append({"action": name, "group": group, **found.summary(level), "level": level})
        rows[-1] |= {"n_cells": len(unit.treated), "n_controls": len(unit.controls)}
    view.write(obs={key: columns[column] for column, key in _keys.response_keys(key_added).items()})
    table = pd.DataFrame(rows)
    table[_keys.TRUSTED] = table["share_upper"] - table["share_lower"] < MAX_SHARE_WIDTH
    return table
