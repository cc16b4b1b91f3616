"""Decode a modality from the state: point prediction, predictive mean, and calibrated half-widths on the log scale."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scvcell._labels import label
from scvcell._registry import near_miss
from scvcell.measure import Context

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scvcell._containers import View
    from scvcell._types import Mask
    from scvcell.model._csl import CSL
    from scvcell.model._fuse import Posterior

logger = logging.getLogger("scvcell")

BLOCK = 1024


@dataclass(frozen=True)
class Decoded:
    """What a modality is expected to be.

    Attributes
    ----------
    point
        Point prediction on the raw scale, ``(cells, features)``.
    mean
        Mean of the predictive distribution, same shape.
    """

    point: NDArray[np.float32]
    mean: NDArray[np.float32]


def context(model: CSL, view: View, batch: Any = None) -> Context:
    """Context of every cell, or the one of batch category `batch` for all."""
    design, code = model.schema.context(view)
    if batch is not None:
        batch = label(batch)
        if batch not in model.schema.batches:
            hint = near_miss(batch, model.schema.batches)
            raise ValueError(f"The model knows no batch {batch!r}; it has {model.schema.batches}.{hint}")
        number = model.schema.batches.index(batch)
        design[:, : len(model.schema.batches)] = 0
        design[:, number] = 1
        code[:] = number
    return Context(torch.from_numpy(design), torch.from_numpy(code))


def own_depth(model: CSL, view: View, modality: str) -> NDArray[np.float32]:
    """Depth at which each cell's own values of a modality were measured, ``(cells,)``; NaN where they were not."""
    out = np.full(view.n_obs, np.nan, np.float32)
    at = np.flatnonzero(view.present(modality))
    out[at] = model._matrix(view, modality).all_depths(view.rows[modality][at], model.operator(modality).size)
    return out


@torch.inference_mode()
def decode(
    model: CSL, posterior: Posterior, ctx: Context, to: str, depth: NDArray[np.float32] | None = None
) -> Decoded:
    """Decode modality `to` at the posterior mean, in blocks of cells; at a `depth`, NaN: that which is expected."""
    module = model._trained_module()
    operator = module.operators[to]
    points, means = [], []
    for cells in torch.arange(len(ctx.batch)).split(BLOCK):
        here = operator.known(Context(ctx.design[cells].to(module.device), ctx.batch[cells].to(module.device)))
        z = posterior.mean[cells].to(module.device)
        if depth is not None:
            own = torch.from_numpy(depth[cells]).to(module.device)
            here = here.measured(torch.where(own.isnan(), operator.depth(here, z), own))
        points.append(operator.predict(z, here).cpu().numpy())
        means.append(operator.predictive(z, here).mean.cpu().numpy())
    return Decoded(np.concatenate(points), np.concatenate(means))


def bridge(view: View, to: str, source: Sequence[str]) -> Mask:
    """Cells that have `to` and any of `source`, ``(cells,)``."""
    return view.present(to) & np.logical_or.reduce([view.present(m) for m in source])
