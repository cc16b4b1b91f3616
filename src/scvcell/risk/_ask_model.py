"""A cell-state latent answers what actions do, through the verbs `scvcell.tl.effects` and `scvcell.tl.perturb`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell import _keys, tl
from scvcell._containers import view
from scvcell._labels import group
from scvcell.measure import Shares
from scvcell.risk._predictor import Effects
from scvcell.score import as_array, log_cp10k

if TYPE_CHECKING:
    from scvcell._containers import Container
    from scvcell.model import CSL
    from scvcell.risk._predictor import Effect


def effects_of(model: CSL, data: Container, question: Effect, seed: int = 0) -> Effects | None:
    """Effect of an action with its interval, and one draw of each cell after it.

    Parameters
    ----------
    model
        Fitted model.
    data
        Data with the untreated cells.
    question
        What is asked.
    seed
        Seed of the draws.

    Returns
    -------
    Effects on the scale of ``log1p`` of counts per 10,000, and cells labelled by those that they start from. The effect
    on cells of several contexts is the mean of those of each, weighted by their cells. Of assays whose counts have no
    depth, such as proteins, it is that of the drawn cells, without an interval. None for a model that has learned no
    actions, or none of the assay.

    Raises
    ------
    ValueError
        If nothing tells the model of a target of the action.
    """
    known: Any = model.parts.get("response")
    if known is None or question.modality not in known.anchors:
        return None
    table = view(tl.perturb(data, model, question.action, cells=question.cells, seed=seed)).modalities[
        question.modality
    ]
    after = pd.DataFrame(as_array(table.X), pd.Index(table.obs[_keys.SOURCE_CELL], name=None), table.var_names)
    seen = view(data)
    if not isinstance(model.network.operators[question.modality], Shares):
        measured = seen.modalities[question.modality][after.index, after.columns]
        change = log_cp10k(after).mean(0) - log_cp10k(measured.X).mean(0)
        return Effects(pd.DataFrame({"effect": change}, after.columns), after)
    keys = [key for key in known.keys.contexts if key in seen.columns]
    at = seen.obs_names.get_indexer(after.index)
    context = group([seen.column(key) for key in keys]).code[at] if keys else np.zeros(len(at), int)
    total: Any = 0
    for number in np.unique(context):
        here = after.index[context == number]
        share = len(here) / len(after)
        n = None if question.n_treated is None else max(round(share * question.n_treated), 1)
        found = tl.effects(data, model, question.action, cells=here, groupby=[], level=question.level, n_cells=n)
        found = found[found["modality"] == question.modality].set_index("feature")
        total = total + share * np.log(2) * found[["lfc", _keys.LOWER, _keys.UPPER]]
    return Effects(total.rename(columns={"lfc": "effect"}).rename_axis(None), after)
