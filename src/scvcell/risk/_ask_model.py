"""A cell-state latent answers what actions do, through the verbs `scvcell.tl.effects` and `scvcell.tl.perturb`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scvcell import tl
from scvcell.risk._predictor import Effects
from scvcell.score import as_array

if TYPE_CHECKING:
    from anndata import AnnData

    from scvcell._containers import Container
    from scvcell.model import CSL
    from scvcell.risk._predictor import Effect


def effects_of(model: CSL, data: Container, question: Effect) -> Effects | None:
    """Effect of an action with its interval, and one draw of each cell after it.

    Parameters
    ----------
    model
        Fitted model.
    data
        Data with the untreated cells.
    question
        What is asked.

    Returns
    -------
    Effects on the scale of ``log1p`` of counts per 10,000; None for a model that has learned no actions.
    """
    if model.response is None:
        return None
    found = tl.effects(
        data,
        model,
        question.action,
        cells=question.cells,
        groupby=[],
        level=question.level,
        n_cells=question.n_treated,
    )
    found = found[found["modality"] == question.modality].set_index("feature")
    change = found[["lfc", "lower", "upper"]].rename(columns={"lfc": "effect"}) * np.log(2)
    after = tl.perturb(data, model, question.action, cells=question.cells)
    table: AnnData = after[question.modality] if hasattr(after, "mod") else after
    return Effects(change, pd.DataFrame(as_array(table.X), columns=table.var_names))
