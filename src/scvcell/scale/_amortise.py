"""What compositions look like before a spot is fitted: a network that was trained on mixtures of reference cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn

from scvcell._random import seeded

if TYPE_CHECKING:
    from scvcell._types import Array, Rows

N_MIXTURES = 4000
"""Mixtures on which the network is trained."""
N_STEPS = 600
MIXTURES_PER_STEP = 256
N_HIDDEN = 128
CONCENTRATIONS = (2.5, 10.0, 50.0)
"""Concentrations, times the shares of the reference, of the drawn compositions: from pure spots to even ones."""
BLUR = 0.02
"""Share of a mixture's composition that is spread over all kinds, so that its logarithm exists."""
SCALE = 1e3
"""Counts that a spot is brought to before the logarithm."""


class Mixtures(NamedTuple):
    """Counts of mixtures, csr ``(mixtures, features)``, and the share of each kind in them, ``(mixtures, kinds)``."""

    counts: sp.csr_matrix
    shares: Array


def mix(x: sp.csr_matrix, kind: Rows, n_kinds: int, n_cells: float, n: int, rng: np.random.Generator) -> Mixtures:
    """Sums of random reference cells.

    Parameters
    ----------
    x
        Counts of reference cells, ``(cells, features)``.
    kind
        Kind of each, ``(cells,)``.
    n_kinds
        Number of kinds; some may have no cell.
    n_cells
        Mean number of cells in a mixture.
    n
        Number of mixtures.
    rng
        Draws them.
    """
    count = np.bincount(kind, minlength=n_kinds)
    by_kind, first = np.argsort(kind, kind="stable"), np.append(0, np.cumsum(count))
    frequency = count / count.sum()
    size = np.maximum(rng.poisson(n_cells, n), 1)
    concentration = rng.choice(CONCENTRATIONS, n)[:, None] * frequency
    drawn = rng.gamma(np.maximum(concentration, 1e-2) * (count > 0) + 1e-300)
    p = drawn / np.maximum(drawn.sum(1, keepdims=True), 1e-300)
    p = np.where(p.sum(1, keepdims=True) > 0, p, frequency)
    cells = np.stack([rng.multinomial(k, row / row.sum()) for k, row in zip(size, p, strict=True)])
    mixture, which = np.nonzero(cells)
    mixture, which = (np.repeat(each, cells[mixture, which]) for each in (mixture, which))
    at = by_kind[first[which] + (rng.random(len(which)) * count[which]).astype(int)]
    member = sp.csr_matrix((np.ones(len(at)), (mixture, at)), (n, len(kind)))
    return Mixtures(sp.csr_matrix(member @ x), cells / size[:, None])


class CompositionPrior(nn.Module):
    """A Dirichlet distribution of the composition of a spot, given its counts.

    Parameters
    ----------
    n_features, n_kinds
        Widths.
    """

    spread: torch.Tensor

    def __init__(self, n_features: int, n_kinds: int) -> None:
        super().__init__()
        self.register_buffer("spread", torch.ones(n_features))
        self.net = nn.Sequential(
            nn.Linear(n_features, N_HIDDEN),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Linear(N_HIDDEN, N_HIDDEN),
            nn.GELU(),
            nn.Linear(N_HIDDEN, n_kinds),
        )

    def forward(self, scaled: torch.Tensor) -> torch.Tensor:
        """Concentrations, ``(spots, kinds)``, of counts that `scaled` has prepared."""
        return nn.functional.softplus(self.net(scaled / self.spread)) + 1e-3

    def mean(self, x: Array | sp.csr_matrix) -> Array:
        """Expected shares of spots from their counts, ``(spots, kinds)``."""
        return self.moments(x)[0]

    @torch.inference_mode()
    def moments(self, x: Array | sp.csr_matrix) -> tuple[Array, Array]:
        """Expected shares of spots from their counts, and their standard deviations, ``(spots, kinds)`` each."""
        found = self.eval()(scaled(x)).double()
        total = found.sum(1, keepdim=True)
        mean = found / total
        return mean.numpy(), (mean * (1 - mean) / (total + 1)).sqrt().numpy()

    @classmethod
    def fit(cls, x: sp.csr_matrix, kind: Rows, n_kinds: int, n_cells: float, seed: int) -> CompositionPrior:
        """Train on mixtures of reference cells, see `mix`, by the likelihood of their compositions."""
        rng = np.random.default_rng(seed)
        mixtures = mix(x, kind, n_kinds, n_cells, N_MIXTURES, rng)
        inputs = scaled(mixtures.counts)
        target = torch.from_numpy((1 - BLUR) * mixtures.shares + BLUR / n_kinds).float()
        with seeded(seed):
            model = cls(x.shape[1], n_kinds)
            model.spread.copy_(inputs.std(0).clamp_min(0.1))
            optimiser = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=1e-3)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=N_STEPS)
            for _ in range(N_STEPS):
                at = torch.from_numpy(rng.integers(len(inputs), size=MIXTURES_PER_STEP))
                loss = (
                    -torch.distributions.Dirichlet(model(inputs[at]), validate_args=False).log_prob(target[at]).mean()
                )
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
        return model.eval()


def scaled(x: Any) -> torch.Tensor:
    """Log of 1 + counts per thousand of dense or sparse counts, ``(spots, features)``."""
    dense = np.asarray(x.toarray() if sp.issparse(x) else x, dtype=float)
    return torch.from_numpy(np.log1p(dense / np.maximum(dense.sum(1, keepdims=True), 1) * SCALE)).float()
