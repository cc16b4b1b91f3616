"""The linear front-end of an encoder: fitted once, standardised within batch, blind to what was not measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from scvcell._stats import centred_svd, indicators
from scvcell.measure import expected_part
from scvcell.state._product import on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from jaxtyping import Float
    from numpy.typing import NDArray

    from scvcell._containers import Matrix
    from scvcell._types import Mask, Rows
    from scvcell.measure import Measurement

MAX_PLAIN_FEATURES = 50
"""Modalities with at most this many features are standardised without a projection."""
MAX_FIT_CELLS = 50_000
"""Cells on which a front-end is fitted at most."""
MIN_BATCH_CELLS = 10
"""Cells below which a batch takes the scales of all batches."""
FIRST_SD = 3.0
"""Standard deviation given to the first component; the others keep their ratio to it."""


class FrontEnd(nn.Module):
    r"""Fixed linear features of one modality: within-batch standardised scores and log depth.

    Fitted on training cells by a streaming randomised SVD of the batch-centred encoder input (Halko et al., SIAM Review
    2011), stored with the model, applied unchanged to query cells. Data on disk stay on disk.

    Features that a batch never measured are zero, which standardising within the batch makes up for. Features that
    data lack although their batch had them in training, or any of a new batch, count as missing: their part of the
    scores is what the measured ones let expect,

    .. math:: s = \mu L + (x_o - \mu_o) L_o \big(I + (L_o^\top L_o + \sigma^2 C^{-1})^{-1} L_u^\top L_u\big)

    with encoder input :math:`x`, its mean in the batch :math:`\mu`, loadings :math:`L`, covariance :math:`C` of the
    scores and residual variance :math:`\sigma^2` of training cells; o measured, u missing (probabilistic PCA: Tipping
    and Bishop, J R Stat Soc B 1999).

    Parameters
    ----------
    operator
        Measurement class; its `encoder_input` says what is projected.
    n_features, n_batches
        Shape of what is learned.
    n_components
        Components kept when there are more than `MAX_PLAIN_FEATURES` features.
    """

    per_batch = ("score_mean", "score_sd", "centre", "measured")

    mean: Tensor
    unit: Tensor
    loadings: Tensor
    score_mean: Tensor
    score_sd: Tensor
    scale: Tensor
    centre: Tensor
    covariance: Tensor
    noise: Tensor
    measured: Tensor

    def __init__(self, operator: type[Measurement], n_features: int, n_batches: int, n_components: int) -> None:
        super().__init__()
        self.operator = operator
        self.n_features = n_features
        self.project = n_features > MAX_PLAIN_FEATURES
        self.n_scores = min(n_components, n_features - 1) if self.project else n_features
        loadings = torch.zeros(n_features, self.n_scores) if self.project else torch.zeros(0, 0)
        self.register_buffer("mean", torch.ones(n_features))
        self.register_buffer("unit", torch.ones(n_features))
        self.register_buffer("loadings", loadings)
        self.register_buffer("score_mean", torch.zeros(n_batches, self.n_scores + 1))
        self.register_buffer("score_sd", torch.ones(n_batches, self.n_scores + 1))
        self.register_buffer("scale", torch.ones(self.n_scores + 1))
        self.register_buffer("centre", torch.zeros(n_batches, n_features))
        self.register_buffer("covariance", torch.eye(self.n_scores))
        self.register_buffer("noise", torch.ones(()))
        self.register_buffer("measured", torch.ones(n_batches, n_features, dtype=torch.bool))

    def complete(self, state: dict[str, Tensor], prefix: str) -> None:
        """Add what front-ends of earlier versions did not keep; missing features cannot be made up for then."""
        if f"{prefix}noise" not in state:
            own = self.state_dict(prefix=prefix)
            state.update({key: value for key, value in own.items() if key not in state})
            state[f"{prefix}noise"] = torch.tensor(float("nan"))

    @property
    def width(self) -> int:
        """Number of features that the encoder receives."""
        return self.n_scores + 1

    def fit(
        self,
        x: Matrix,
        rows: Rows,
        batch: Rows,
        rng: np.random.Generator,
        panel: Mask | None = None,
    ) -> None:
        """Learn loadings and per-batch scales from training rows.

        Parameters
        ----------
        x
            Raw matrix of the modality.
        rows
            Training rows.
        batch
            Batch code of each of them.
        rng
            Source of the subsample and of the random projection.
        panel
            Features that each batch measured, ``(n_batches, n_features)``; None where all did.
        """
        if len(rows) > MAX_FIT_CELLS:
            keep = np.sort(rng.choice(len(rows), MAX_FIT_CELLS, replace=False))
            rows, batch = rows[keep], batch[keep]
        x, rows = x.held(rows)
        total, squares = np.zeros((2, self.n_features))
        for chunk in x.chunks(rows):
            total += np.asarray(chunk.sum(0)).ravel()
            if not self.operator.count_data:
                squares += np.asarray(sp.csr_matrix(chunk).power(2).sum(0)).ravel()
        mean = total / max(len(rows), 1)
        self.mean.copy_(torch.as_tensor(mean))
        if not self.operator.count_data:
            sd = np.sqrt(np.maximum(squares / max(len(rows), 1) - mean**2, 0))
            self.unit.copy_(torch.as_tensor(np.where(sd > 1e-6 * np.abs(mean), sd, np.inf)))
        if self.project:
            loadings = self._svd(x, rows, batch, rng) if total.any() else np.zeros(self.loadings.shape)
            self.loadings.copy_(torch.as_tensor(loadings))
        self._spread(x, rows, batch)
        if panel is not None:
            self.measured.copy_(torch.as_tensor(panel))
        scores = self.scores(x, rows)
        self._standardise(scores, batch)
        if self.project:
            sd = scores[:, :-1].std(0)
            self.scale[:-1] = torch.as_tensor(FIRST_SD * sd / max(float(sd.max()), 1e-8), dtype=torch.float32)

    def _batch_means(
        self,
        x: Matrix,
        rows: Rows,
        batch: Rows,
        lost: Mask | None = None,
    ) -> tuple[NDArray[np.float32], float]:
        """Mean encoder input of each batch, zero where it did not measure; and the sum of all squares."""
        sums, squares = np.zeros((len(self.score_mean), self.n_features), np.float32), 0.0
        onehot = indicators(batch, len(sums))
        for value, _, at in self._inputs(x, rows, batch, lost):
            part = onehot[at].T @ value
            sums += part.toarray() if sp.issparse(part) else part
            squares += float(np.square(value.data if sp.issparse(value) else value, dtype=float).sum())
        cells = np.maximum(np.bincount(batch, minlength=len(sums)), 1).astype(np.float32)
        return sums / cells[:, None], squares

    def _spread(self, x: Matrix, rows: Rows, batch: Rows) -> None:
        """Means of the encoder input, covariance of the scores within batches and residual variance: see the class."""
        own, squares = self._batch_means(x, rows, batch)
        cells = np.bincount(batch, minlength=len(own))[:, None]
        overall = (cells * own).sum(0) / max(len(rows), 1)
        self.centre.copy_(torch.as_tensor(np.where(cells > 0, own, overall)))
        loadings = self._loadings()
        gram = np.zeros((self.n_scores, self.n_scores))
        for value, _, at in self._inputs(x, rows):
            scores: Any = on(value, self.mean.device) @ loadings if self.project else value
            scores = (scores.toarray() if sp.issparse(scores) else scores) - (own @ loadings)[batch[at]]
            gram += scores.T @ scores
        n = max(len(rows) - 1, 1)
        self.covariance.copy_(torch.as_tensor(gram / n))
        rest = (squares - (cells * own**2).sum() - np.trace(gram)) / n / max(self.n_features - self.n_scores, 1)
        least = 1e-2 * np.trace(gram) / n / max(self.n_scores, 1)
        self.noise.fill_(max(float(rest) if self.project else least, 1e-8))

    def _loadings(self) -> NDArray[np.float32]:
        return self.loadings.cpu().numpy() if self.project else np.eye(self.n_features, dtype=np.float32)

    def _lost(self, panel: Mask | None) -> Mask | None:
        """Features that each batch lacks although it had them in training, ``(n_batches, n_features)``; None: none."""
        lost = None if panel is None else self.measured.cpu().numpy() & ~panel
        if lost is None or not lost.any():
            return None
        if bool(self.noise.isnan()):
            raise ValueError(
                "This model was saved by an earlier version, which did not keep what is needed where features are "
                "missing. Give data with every feature of the model, or fit it again."
            )
        return lost

    def _correction(self, b: int, lost: Mask) -> NDArray[np.float32]:
        """By what centred scores without the `lost` features are multiplied to be those with, ``(scores, scores)``."""
        loadings = self._loadings().astype(float)
        seen, gone = loadings[self.measured[b].cpu().numpy() & ~lost], loadings[lost]
        covariance, eye = self.covariance.cpu().numpy().astype(float), np.eye(self.n_scores)
        shrunk = covariance @ np.linalg.inv(seen.T @ seen @ covariance + float(self.noise) * eye)
        return (eye + shrunk @ (gone.T @ gone)).astype(np.float32)

    def _standardise(self, scores: NDArray[np.float32], batch: Rows) -> None:
        overall_sd = np.maximum(scores.std(0), 1e-4)
        floor = 0.1 * overall_sd
        if not self.project and len(scores):
            # a feature that was silent in training must not explode in query cells
            floor = np.maximum(floor, 0.1 * np.median(overall_sd))
            overall_sd = np.maximum(overall_sd, floor)
        for b in range(len(self.score_mean)):
            here = scores[batch == b]
            few = len(here) < MIN_BATCH_CELLS
            self.score_mean[b] = torch.as_tensor(scores.mean(0) if few else here.mean(0))
            self.score_sd[b] = torch.as_tensor(overall_sd if few else np.maximum(here.std(0), floor))

    def adapt(
        self,
        x: Matrix,
        rows: Rows,
        batch: Rows,
        first_new: int,
        panel: Mask | None = None,
    ) -> None:
        """Learn the scales of batches from `first_new` on, keeping loadings and known batches (query data)."""
        own, _ = self._batch_means(x, rows, batch, self._lost(panel))
        for b in range(first_new, len(own)):
            if (batch == b).sum() >= MIN_BATCH_CELLS:
                known = np.ones(self.n_features, bool) if panel is None else panel[b]
                self.centre[b] = torch.as_tensor(np.where(known, own[b], self.centre[b].cpu().numpy()))
        scores = self.scores(x, rows, batch, panel)
        old_mean, old_sd = self.score_mean[:first_new].clone(), self.score_sd[:first_new].clone()
        self._standardise(scores, batch)
        self.score_mean[:first_new], self.score_sd[:first_new] = old_mean, old_sd

    def _inputs(
        self,
        x: Matrix,
        rows: Rows,
        batch: Rows | None = None,
        lost: Mask | None = None,
    ) -> Iterator[tuple[Any, Any, Any]]:
        """Encoder input, raw values and positions, chunk by chunk; where features are `lost`, batch by batch.

        What is not a count is put on the scale of its feature; zero where a feature is lost.
        """
        start, mean = 0, self.mean.cpu().numpy()
        for chunk in x.chunks(rows):
            stop = start + chunk.shape[0]
            depth = None if x.depth is None else x.depth[rows[start:stop]]
            if lost is None or batch is None:
                yield self._scaled(self._seen(chunk, mean, depth)), chunk, slice(start, stop)
            else:
                for b in np.unique(batch[start:stop]):
                    at = np.flatnonzero(batch[start:stop] == b)
                    part, every = chunk[at], self.measured[b].cpu().numpy()
                    if depth is None:
                        value = self._scaled(self.operator.encoder_part(part, mean, every & ~lost[b], every))
                    else:
                        value = self._scaled(self._seen(part, mean, depth[at]))
                    keep = (~lost[b]).astype(np.float32)
                    value = sp.csr_matrix(value @ sp.diags(keep)) if sp.issparse(value) else value * keep
                    yield value, part, start + at
            start = stop

    def _seen(self, chunk: Any, mean: NDArray[np.float32], depth: NDArray[np.float32] | None) -> Any:
        """Encoder input of rows, at a depth that may be given."""
        if depth is None:
            return self.operator.encoder_input(chunk, mean)
        return self.operator.encoder_sized(chunk, mean, depth)

    def _scaled(self, value: Any) -> Any:
        """What is no count on the scale of its feature."""
        if self.operator.count_data:
            return value
        return ((value.toarray() if sp.issparse(value) else value) - self.mean.cpu().numpy()) / self.unit.cpu().numpy()

    def _svd(self, x: Matrix, rows: Rows, batch: Rows, rng: np.random.Generator) -> NDArray[np.float32]:
        """Leading right singular vectors of the batch-centred input, shape ``(features, components)``."""
        mean, _ = self._batch_means(x, rows, batch)
        trivial = self.operator.trivial(self.mean.cpu().numpy())

        def blocks() -> Iterator[tuple[Any, Any]]:
            for value, _, at in self._inputs(x, rows):
                yield on(value, self.mean.device), at

        return centred_svd(blocks, mean, batch, self.n_scores, rng, trivial)

    def scores(
        self,
        x: Matrix,
        rows: Rows,
        batch: Rows | None = None,
        panel: Mask | None = None,
    ) -> NDArray[np.float32]:
        """Projected (or plain) input and log depth of rows, shape ``(rows, width)``, before standardisation.

        Parameters
        ----------
        x, rows
            Matrix and its rows.
        batch, panel
            Batch code of each row, and the features that each batch of the data measured; None where all did.
        """
        out = np.empty((len(rows), self.width), np.float32)
        loadings, mean = self._loadings(), self.mean.cpu().numpy()
        corrections: dict[bytes, NDArray[np.float32]] = {}
        lost = self._lost(panel)
        for value, chunk, at in self._inputs(x, rows, batch, lost):
            scores: Any = on(value, self.mean.device) @ loadings if self.project else value
            scores = scores.toarray() if sp.issparse(scores) else scores
            part = 1.0
            if lost is not None and batch is not None and lost[b := int(batch[at[0]])].any():
                every, centre = self.measured[b].cpu().numpy(), self.centre[b].cpu().numpy()
                key = lost[b].tobytes() + every.tobytes()
                if key not in corrections:
                    corrections[key] = self._correction(b, lost[b])
                seen = (centre * ~lost[b]) @ loadings
                scores = centre @ loadings + (scores - seen) @ corrections[key]
                part = expected_part(mean, every & ~lost[b], every) if x.depth is None else 1.0
            out[at, :-1] = scores
            if self.operator.count_data:
                out[at, -1] = np.log1p(x.depths(rows[at], chunk, lambda x: x.sum(1)) / part)
            else:
                out[at, -1] = 0
        return out

    def forward(self, scores: Float[Tensor, "cells width"], batch: Tensor) -> Float[Tensor, "cells width"]:
        """Standardise scores within batch."""
        return (scores - self.score_mean[batch]) / self.score_sd[batch] * self.scale
