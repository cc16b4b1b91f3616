"""q_m(z | x_m): a linear front-end fitted once, then a small network with a linear skip to the mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from jaxtyping import Float
    from numpy.typing import NDArray

    from scvcell._matrix import Matrix
    from scvcell.measure import Measurement

PASSTHROUGH = 50
"""Modalities with at most this many features are standardised without a projection."""
FIT_CELLS = 50_000
"""Cells on which a front-end is fitted at most."""
ITERATIONS = 10
"""Passes of the randomised SVD at most; data with a flat spectrum (ATAC) need more of them than others."""
CONVERGED = 0.005
"""Relative gain of what the components capture below which the SVD stops."""
FEW_CELLS = 10
"""Cells below which a batch takes the scales of all batches."""
ALONE = 0.5
"""Share of the cells that one of several networks encodes alone in training."""
FIRST_SD = 3.0
"""Standard deviation given to the first component; the others keep their ratio to it."""


class FrontEnd(nn.Module):
    """Fixed linear features of one modality: within-batch standardised scores and log depth.

    Fitted on training cells by a streaming randomised SVD of the batch-centred encoder input (Halko et al., SIAM Review
    2011), stored with the model, applied unchanged to query cells. Data on disk stay on disk.

    Parameters
    ----------
    operator
        Measurement class; its `encoder_input` says what is projected.
    n_features, n_batches
        Shape of what is learned.
    n_components
        Components kept when there are more than `PASSTHROUGH` features.
    """

    mean: Tensor
    unit: Tensor
    loadings: Tensor
    score_mean: Tensor
    score_sd: Tensor
    scale: Tensor

    def __init__(self, operator: type[Measurement], n_features: int, n_batches: int, n_components: int) -> None:
        super().__init__()
        self.operator = operator
        self.n_features = n_features
        self.project = n_features > PASSTHROUGH
        self.n_scores = min(n_components, n_features - 1) if self.project else n_features
        loadings = torch.zeros(n_features, self.n_scores) if self.project else torch.zeros(0, 0)
        self.register_buffer("mean", torch.ones(n_features))
        self.register_buffer("unit", torch.ones(n_features))
        self.register_buffer("loadings", loadings)
        self.register_buffer("score_mean", torch.zeros(n_batches, self.n_scores + 1))
        self.register_buffer("score_sd", torch.ones(n_batches, self.n_scores + 1))
        self.register_buffer("scale", torch.ones(self.n_scores + 1))

    @property
    def width(self) -> int:
        """Number of features that the encoder receives."""
        return self.n_scores + 1

    def fit(self, x: Matrix, rows: NDArray[np.int64], batch: NDArray[np.int64], rng: np.random.Generator) -> None:
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
        """
        if len(rows) > FIT_CELLS:
            keep = np.sort(rng.choice(len(rows), FIT_CELLS, replace=False))
            rows, batch = rows[keep], batch[keep]
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
            loadings = self._svd(x, rows, batch, rng)
            self.loadings.copy_(torch.as_tensor(loadings))
        scores = self.scores(x, rows)
        self._standardise(scores, batch)
        if self.project:
            sd = scores[:, :-1].std(0)
            self.scale[:-1] = torch.as_tensor(FIRST_SD * sd / max(float(sd.max()), 1e-8), dtype=torch.float32)

    def _standardise(self, scores: NDArray[np.float32], batch: NDArray[np.int64]) -> None:
        overall_sd = np.maximum(scores.std(0), 1e-4)
        floor = 0.1 * overall_sd
        if not self.project and len(scores):
            # a feature that was silent in training must not explode in query cells
            floor = np.maximum(floor, 0.1 * np.median(overall_sd))
            overall_sd = np.maximum(overall_sd, floor)
        for b in range(len(self.score_mean)):
            here = scores[batch == b]
            few = len(here) < FEW_CELLS
            self.score_mean[b] = torch.as_tensor(scores.mean(0) if few else here.mean(0))
            self.score_sd[b] = torch.as_tensor(overall_sd if few else np.maximum(here.std(0), floor))

    def adapt(self, x: Matrix, rows: NDArray[np.int64], batch: NDArray[np.int64], first_new: int) -> None:
        """Learn the scales of batches from `first_new` on, keeping loadings and known batches (query data)."""
        scores = self.scores(x, rows)
        old_mean, old_sd = self.score_mean[:first_new].clone(), self.score_sd[:first_new].clone()
        self._standardise(scores, batch)
        self.score_mean[:first_new], self.score_sd[:first_new] = old_mean, old_sd

    def _inputs(self, x: Matrix, rows: NDArray[np.int64]) -> Iterator[tuple[Any, Any, slice]]:
        """Encoder input and raw values, chunk by chunk; what is not a count is put on the scale of its feature."""
        start, mean, unit = 0, self.mean.cpu().numpy(), self.unit.cpu().numpy()
        for chunk in x.chunks(rows):
            stop = start + chunk.shape[0]
            value = self.operator.encoder_input(chunk, mean)
            if not self.operator.count_data:
                value = ((value.toarray() if sp.issparse(value) else value) - mean) / unit
            yield value, chunk, slice(start, stop)
            start = stop

    def _svd(
        self, x: Matrix, rows: NDArray[np.int64], batch: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Leading right singular vectors of the batch-centred input, shape ``(features, components)``."""
        n_batches = len(self.score_mean)
        onehot = sp.csr_matrix(
            (np.ones(len(rows), np.float32), batch, np.arange(len(rows) + 1)), shape=(len(rows), n_batches)
        )
        size = np.maximum(np.asarray(onehot.sum(0)).ravel(), 1.0)[:, None]
        mean = np.zeros((n_batches, self.n_features), np.float32)
        for value, _, at in self._inputs(x, rows):
            part = onehot[at].T @ value
            mean += part.toarray() if sp.issparse(part) else part
        mean /= size
        width = min(self.n_scores + 10, self.n_features)
        trivial = self.operator.trivial(self.mean.cpu().numpy())
        basis = _without(rng.standard_normal((self.n_features, width)).astype(np.float32), trivial)
        captured = 0.0
        for _ in range(ITERATIONS):
            basis, _ = np.linalg.qr(basis)
            forward = np.empty((len(rows), basis.shape[1]), np.float32)
            for value, _, at in self._inputs(x, rows):
                forward[at] = value @ basis - onehot[at] @ (mean @ basis)
            forward, _ = np.linalg.qr(forward)
            back = np.zeros((self.n_features, forward.shape[1]), np.float32)
            for value, _, at in self._inputs(x, rows):
                back += value.T @ forward[at] - mean.T @ (onehot[at].T @ forward[at])
            basis = _without(back, trivial)
            before, captured = captured, float(np.linalg.norm(basis))
            if captured < (1 + CONVERGED) * before:
                break
        left, strength, _ = np.linalg.svd(basis, full_matrices=False)
        left = left[:, : self.n_scores]
        left = left * np.sign(left[np.abs(left).argmax(0), np.arange(left.shape[1])])
        # directions beyond the rank of the data are arbitrary; they and missing ones are silent
        left[:, strength[: left.shape[1]] < 1e-3 * strength[0]] = 0
        return np.pad(left, ((0, 0), (0, self.n_scores - left.shape[1])))

    def scores(self, x: Matrix, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Projected (or plain) input and log depth of rows, shape ``(rows, width)``, before standardisation."""
        out = np.empty((len(rows), self.width), np.float32)
        loadings = self.loadings.cpu().numpy()
        for value, chunk, at in self._inputs(x, rows):
            scores = value @ loadings if self.project else value
            out[at, :-1] = scores.toarray() if sp.issparse(scores) else scores
            out[at, -1] = np.log1p(np.asarray(chunk.sum(1)).ravel()) if self.operator.count_data else 0
        return out

    def forward(self, scores: Float[Tensor, "cells width"], batch: Tensor) -> Float[Tensor, "cells width"]:
        """Standardise scores within batch."""
        return (scores - self.score_mean[batch]) / self.score_sd[batch] * self.scale


def _without(basis: NDArray[np.float32], direction: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """`basis` projected orthogonally to a direction."""
    if direction is None:
        return basis
    unit = (direction / np.linalg.norm(direction))[:, None]
    return (basis - unit @ (unit.T @ basis)).astype(np.float32)


class _Network(nn.Module):
    """Diagonal Gaussian: two hidden layers, and a linear skip to the mean."""

    def __init__(self, n_in: int, n_latent: int, n_hidden: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(n_in, n_hidden),
            nn.LayerNorm(n_hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(n_hidden, n_hidden),
            nn.LayerNorm(n_hidden),
            nn.GELU(),
        )
        self.head = nn.Linear(n_hidden, 2 * n_latent)
        self.skip = nn.Linear(n_in, n_latent, bias=False)
        with torch.no_grad():
            self.head.bias[n_latent:] = -1.0

    def forward(self, h: Tensor) -> Tensor:
        """Mean and log variance, stacked, shape ``(2, cells, latent)``."""
        mean, log_var = self.head(self.body(h)).chunk(2, -1)
        return torch.stack([mean + self.skip(h), log_var.clamp(-10.0, 4.0)])


class Encoder(nn.Module):
    """Diagonal Gaussian q_m(z | x_m): the mean of small networks, in mean and in log variance.

    Parameters
    ----------
    n_in, n_latent
        Widths.
    n_networks
        Number of networks. Several regularise where cells are few: in training, a share `ALONE` of the cells is encoded
        by one of them alone.
    n_hidden
        Width of the hidden layers.
    dropout
        Dropout of inputs and hidden units.
    """

    def __init__(
        self, n_in: int, n_latent: int, n_networks: int = 1, n_hidden: int = 128, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(_Network(n_in, n_latent, n_hidden, dropout) for _ in range(n_networks))

    def forward(self, h: Float[Tensor, "cells width"]) -> tuple[Tensor, Tensor]:
        """Mean and variance, each of shape ``(cells, latent)``."""
        outputs = torch.stack([network(h) for network in self.networks])
        mean, log_var = self._pool(outputs) if self.training and len(self.networks) > 1 else outputs.mean(0)
        return mean, log_var.exp()

    @staticmethod
    def _pool(outputs: Float[Tensor, "networks two cells latent"]) -> Float[Tensor, "two cells latent"]:
        """Mean over networks; for a share `ALONE` of the cells, the output of one of them at random."""
        n, _, cells, _ = outputs.shape
        one = F.one_hot(torch.randint(n, (cells,), device=outputs.device), n).to(outputs.dtype)
        alone = torch.rand(cells, 1, device=outputs.device) < ALONE
        return torch.einsum("ntcl,cn->tcl", outputs, torch.where(alone, one, 1 / n))
