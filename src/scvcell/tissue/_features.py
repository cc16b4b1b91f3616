"""What a cell looks like to heads in space: its state and the front-end's scores, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from scvcell._containers import View
    from scvcell._types import Array
    from scvcell.model import Fitted


@torch.inference_mode()
def features(model: Fitted, seen: View) -> Array:
    """State and front-end scores of every cell, scores 0 where an assay is missing, float32, ``(cells, features)``.

    The state alone says less of a place than the scores do, and both together say more than either.

    Parameters
    ----------
    model
        Trained model.
    seen
        Cells, as the model views them.
    """
    source = model.source(seen)
    parts = [model.states(source, np.arange(seen.n_obs), None).mean.numpy()]
    for name in model.assays:
        front = model.network.front_ends[name]
        out = np.zeros((seen.n_obs, front.width), np.float32)
        if name in source.scores:
            cells = np.flatnonzero(source.rows[name] >= 0)
            scores = torch.from_numpy(source.scores[name][source.rows[name][cells]])
            batch = torch.from_numpy(source.batch[cells])
            out[cells] = front(scores.to(model.network.device), batch.to(model.network.device)).cpu().numpy()
        parts.append(out)
    return np.concatenate(parts, 1)
