"""What assays of cells that move along the drift are expected to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.stats import norm

from scvcell import _keys

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scvcell._types import Array
    from scvcell.model import Readout

CELLS_PER_BLOCK = 64
"""Cells whose tangents are held at once."""


def change_of_counts(readout: Readout, latent: Array, ahead: Array, table: AnnData) -> NDArray[np.float32]:
    """Change of the expected counts of every cell of a modality per unit of time, in the order of its own table."""
    cells = np.flatnonzero(readout.rows >= 0)
    out = np.full(table.shape, np.nan, np.float32)
    columns = table.var_names.get_indexer(readout.features)
    for here in np.array_split(cells, max(len(cells) // CELLS_PER_BLOCK, 1)):
        ctx = readout.at(here)
        z, f = (torch.tensor(x[here], dtype=torch.float32, device=readout.device) for x in (latent, ahead))
        with torch.no_grad():
            _, change = torch.func.jvp(lambda z, ctx=ctx: readout.operator.predictive(z, ctx).mean, (z,), (f,))
        out[np.ix_(readout.rows[here], columns)] = change.cpu().numpy()
    return out


def expected_values(readout: Readout, states: Array, members: Array, obs: pd.DataFrame, level: float) -> AnnData:
    """Expected values of a modality in some states, with intervals over the members of the field."""
    value, half = (np.empty((len(states), len(readout.features)), np.float32) for _ in range(2))
    counts = readout.operator.count_data
    for at in np.array_split(np.arange(len(states)), max(len(states) // CELLS_PER_BLOCK, 1)):
        ctx = readout.at(at)
        with torch.inference_mode():
            each = [
                readout.operator.predictive(
                    torch.tensor(z[at], dtype=torch.float32, device=readout.device), ctx
                ).mean.cpu()
                for z in (states, *members)
            ]
        value[at] = each[0].numpy()
        spread = torch.stack(each[1:]).log1p() if counts else torch.stack(each[1:])
        half[at] = norm.ppf(0.5 + level / 2) * spread.std(0, correction=0).numpy()
    out = AnnData(value, obs=obs.copy(), var=pd.DataFrame(index=readout.features))
    for key, sign in ((_keys.LOWER, -1), (_keys.UPPER, 1)):
        bound = np.expm1(np.log1p(value) + sign * half).clip(0) if counts else value + sign * half
        out.layers[key] = bound
    return out
