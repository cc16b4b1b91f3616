"""Measured effects of conditions on one assay, and what a flow leaves of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from scvcell.response._bulk import FEWEST, Bulk
from scvcell.response._conditions import describe
from scvcell.response._intervals import noise_of

if TYPE_CHECKING:
    from scvcell._types import Array, Rows
    from scvcell.perturb import AffineFlow
    from scvcell.response._conditions import Conditions
    from scvcell.response._contrast import Contrast


class Effects:
    """Measured effects of conditions on one assay, and what a flow leaves of them.

    Parameters
    ----------
    bulk
        Pseudobulks of the assay.
    units
        Conditions that have it.
    latent
        States of all cells.

    Attributes
    ----------
    value, noise
        Effect of each condition and its sampling variance, ``(units, features)``, see `noise_of`.
    spread
        Variance of one cell, over all conditions, ``(features,)``; NaN where none has replicates.
    places
        Mean state of the controls, ``(units, latent)``.
    """

    def __init__(self, bulk: Bulk, units: list[Contrast], latent: torch.Tensor) -> None:
        self.bulk, self.contrasts, self.latent = bulk, units, latent
        contexts, of_controls = np.unique([u.context for u in units], return_inverse=True)
        controls = [next(u.controls for u in units if u.context == k) for k in contexts]
        groups = [u.treated for u in units] + controls
        value, var = map(np.array, zip(*map(bulk.measured, groups), strict=True))
        count, n = np.array(list(map(bulk.count, groups))), len(units)
        free = np.maximum(count - 1, 0)
        self.spread = free @ var / free.sum() if free.any() else np.full(var.shape[1], np.nan)
        # Where most conditions are few samples all take the pooled variance, and one eigenbasis serves all features.
        var = np.broadcast_to(self.spread, var.shape) if np.median(count) < FEWEST else var
        noise = np.array([noise_of(own, self.spread, k) for own, k in zip(var, count, strict=True)])
        self.value, self.noise = value[:n] - value[n:][of_controls], noise[:n] + noise[n:][of_controls]
        self.expected = np.array([bulk.expected(cells, latent[cells]) for cells in controls])[of_controls]
        self.places = np.array([latent[cells].mean(0).numpy() for cells in controls])[of_controls]

    def by_flow(self, flow: AffineFlow, rows: Rows) -> Array:
        """Effects of some conditions that a flow predicts, ``(rows, features)``."""
        if not flow.moves:
            return np.zeros((len(rows), self.value.shape[1]))
        with torch.no_grad():
            asked = [self.contrasts[row] for row in rows]
            moved = [self.bulk.expected(u.controls, flow(self.latent[u.controls], u.action)) for u in asked]
        return np.array(moved) - self.expected[rows]

    def describe(self, flow: AffineFlow, rows: Rows) -> Conditions:
        """Some conditions by targets, doses, time and place, as a flow knows them."""
        return describe(flow, [self.contrasts[row].action for row in rows], self.places[rows])
