"""How members of imputation read cells: the panel without what the platform does to it, its depth, and the state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
import torch

from scvcell.model import interval_scale
from scvcell.tissue._members import Cells, components, neighbours
from scvcell.tissue._panel_check import depth_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell._containers import View
    from scvcell._types import Array
    from scvcell.model import Fitted

FACTOR_LIMIT = 20.0
"""Largest factor of a feature between platforms."""
PRIOR_COUNTS = 5.0
"""Counts that the factor 1 of a feature stands for."""


@dataclass(frozen=True, eq=False, repr=False)
class Reader:
    """Reads cells as members are told of them, in the tissue without what its platform does to each feature."""

    model: Fitted
    to: str
    panel: str
    source: Sequence[str]
    counts: bool
    scale: float
    factor: Array
    mean: Array
    sd: Array
    axes: Array | None
    total: Array
    shrink: float

    def counted(self, view: View) -> Array:
        """Counts of the panel, ``(cells, features)``."""
        return self.model.matrix(view, self.panel).dense(view.rows[self.panel]).astype(float)

    def cells(self, view: View, *, tissue: bool) -> Cells:
        """What is known of cells that have the panel."""
        x = self.counted(view) / (self.factor if tissue else 1.0)
        depth = depth_of(x)
        log = (np.log1p(x / depth[:, None] * self.scale) - self.mean) / self.sd
        measured = view.panel(self.panel, self.model.schema.batches)
        if measured is not None:
            log = np.where(measured[self.model.schema.context(view)[1]], log, 0)
        log = log if self.axes is None else log @ self.axes
        return Cells(log, depth, states(self.model, view, self.source))

    def decoded(self, view: View, depth: Array) -> tuple[Array, Array]:
        """Expected values by the model, at the cell's own depth and at that which its state lets expect."""
        readout, posterior = self.model.readout(view, self.to), self.model.posterior(view, modalities=self.source)
        forward, _ = interval_scale(self.model, self.to)
        if not self.counts:
            point = forward(readout.decode(posterior).point)
            return point, point
        out = []
        with torch.inference_mode():
            z = posterior.mean.to(readout.device)
            ctx = readout.known(np.arange(view.n_obs))
            expected = readout.operator.depth(ctx, z)
            own = np.expm1(_depth_inputs(expected.cpu().numpy(), depth) @ self.total)
            for deep in (torch.from_numpy(np.maximum(own, 1e-3)).to(expected), expected * self.shrink):
                out.append(np.log1p(readout.operator.predict(z, ctx.measured(deep)).cpu().numpy()))
        return out[0], out[1]


def states(model: Fitted, view: View, source: Sequence[str]) -> Array:
    """States of cells by some of their assays, ``(cells, latent)``."""
    return model.posterior(view, modalities=source).mean.numpy().astype(float)


def learn(
    model: Fitted, reference: View, tissue: View, to: str, panel: str, source: Sequence[str]
) -> tuple[Reader, Cells, sp.csr_matrix]:
    """The reader of some assays; the reference as it reads it, and its measurements of the assay as members take them.

    Parameters
    ----------
    model
        Trained model.
    reference, tissue
        Cells that have the panel and the assay; cells of the tissue, from which the platform's factors are read.
    to, panel, source
        Assay that is asked for; assay of counts that members read; assays that states are read from.
    """
    matrix = model.matrix(reference, to)
    counts = model.schema.modalities[to].operator == "counts"
    forward, _ = interval_scale(model, to)
    y = sp.csr_matrix(matrix.rows(reference.rows[to]), dtype=float)
    y = y if counts else sp.csr_matrix(forward(y.toarray()))
    blank = np.zeros(0)
    draft = Reader(model, to, panel, source, counts, 1.0, blank, blank, blank, None, blank, 1.0)
    ours, theirs = draft.counted(reference), draft.counted(tissue)
    scale = float(np.median(depth_of(ours)))
    state = states(model, reference, source)
    factor = factors((ours, state), (theirs, states(model, tissue, source)))
    log = np.log1p(ours / depth_of(ours)[:, None] * scale)
    mean, sd = log.mean(0), log.std(0) + 1e-6
    log = (log - mean) / sd
    axes = components(log)
    total, shrink = blank, 1.0
    if counts:
        readout = model.readout(reference, to)
        with torch.inference_mode():
            z = torch.as_tensor(state, dtype=torch.float32, device=readout.device)
            expected = readout.operator.depth(readout.known(np.arange(reference.n_obs)), z).cpu().numpy()
        sums = np.asarray(y.sum(1)).ravel()
        total = np.linalg.lstsq(_depth_inputs(expected, depth_of(ours)), np.log1p(sums), rcond=None)[0]
        shrink = float((sums / depth_of(ours) * scale).sum() / max(expected.sum(), 1e-9))
    reader = Reader(model, to, panel, source, counts, scale, factor, mean, sd, axes, total, shrink)
    return reader, Cells(log if axes is None else log @ axes, depth_of(ours), state), y


def _depth_inputs(expected: Array, depth: Array) -> Array:
    return np.column_stack([np.ones(len(depth)), np.log1p(expected), np.log(depth)])


def factors(reference: tuple[Array, Array], tissue: tuple[Array, Array]) -> Array:
    """Counts of the tissue over those that reference cells of the same states let expect, of each feature."""
    (ours, our_state), (theirs, their_state) = reference, tissue
    none = np.zeros((len(ours), 1)), np.zeros((len(theirs), 1))
    near = neighbours(Cells(none[0], depth_of(ours), our_state), Cells(none[1], depth_of(theirs), their_state))
    expected = ((near @ (ours / depth_of(ours)[:, None])) * depth_of(theirs)[:, None]).sum(0)
    observed = theirs.sum(0)
    factor = (observed + PRIOR_COUNTS) / (expected + PRIOR_COUNTS)
    return np.clip(factor * expected.sum() / max(observed.sum(), 1.0), 1 / FACTOR_LIMIT, FACTOR_LIMIT)
