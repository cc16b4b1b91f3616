"""L of a place: where in a section a cell is, from its features, by networks that were trained on located cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from scvcell._random import seeded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scvcell._types import Array

N_HIDDEN = 128
DROPOUT = 0.35
"""Share of the hidden units that a step of training leaves out."""
RATE = 3e-3
WEIGHT_DECAY = 1e-3
CELLS_PER_STEP = 128
STEPS_PER_EPOCH = 8
"""Steps of an epoch at least: of few cells each has fewer, so that parts of a section are learned as long as all of it.

Otherwise regions that parts have calibrated are too small for all of it.
"""


class Place(nn.Module):
    r"""Networks that say how much more likely a cell of some features is in a bin than a cell of any.

    .. math:: p(b \mid x) \propto u_b\, e^{f_b(x)}

    with the density u of cells over bins. Training takes u from the located cells; afterwards it may be another one, so
    that a hole in which no cell was located is not said to be empty of those that are looked for.

    Parameters
    ----------
    n_features, n_bins
        Widths.
    n_networks
        Networks, whose probabilities are averaged.
    """

    centre: torch.Tensor
    spread: torch.Tensor

    def __init__(self, n_features: int, n_bins: int, n_networks: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(n_features))
        self.register_buffer("spread", torch.ones(n_features))
        self.networks = nn.ModuleList(_network(n_features, n_bins) for _ in range(n_networks))

    def forward(self, features: torch.Tensor, log_density: torch.Tensor) -> torch.Tensor:
        """Probabilities of bins, mean of the networks, ``(cells, bins)``."""
        scaled = (features - self.centre) / self.spread
        parts = [(network(scaled) + log_density).softmax(1) for network in self.networks]
        return torch.stack(parts).mean(0) if len(parts) > 1 else parts[0]

    @torch.inference_mode()
    def posterior(self, features: Array, density: Array) -> Array:
        """Probabilities of bins, float32, ``(cells, bins)``.

        Parameters
        ----------
        features
            Of cells, ``(cells, features)``.
        density
            Share of the cells that is expected in each bin, ``(bins,)``.
        """
        given = torch.from_numpy(np.asarray(features, np.float32))
        return self.eval()(given, _log(density)).numpy()  # type: ignore[no-any-return]


def _network(n_features: int, n_bins: int) -> nn.Sequential:
    last = nn.Linear(N_HIDDEN, n_bins)
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Linear(n_features, N_HIDDEN),
        nn.GELU(),
        nn.Dropout(DROPOUT),
        nn.Linear(N_HIDDEN, N_HIDDEN),
        nn.GELU(),
        nn.Dropout(DROPOUT),
        last,
    )


def _log(density: Array) -> torch.Tensor:
    return torch.from_numpy(np.log(np.maximum(density, 1e-7)).astype(np.float32))


def learn_places(features: Array, targets: Array, n_networks: int, seed: int) -> Iterator[Place]:
    """Train networks on located cells; gives the same ones after every epoch, for as long as it is asked.

    Parameters
    ----------
    features
        Of located cells, ``(cells, features)``.
    targets
        Where they are: weights of bins that sum to 1, smoothed, ``(cells, bins)``.
    n_networks
        Number of networks.
    seed
        Drives weights, order and dropout.
    """
    x, y = (torch.from_numpy(np.asarray(each, np.float32)) for each in (features, targets))
    log_density, rng = _log(targets.mean(0)), np.random.default_rng(seed)
    with seeded(seed):
        model = Place(x.shape[1], y.shape[1], n_networks)
    model.centre.copy_(x.mean(0))
    model.spread.copy_(x.std(0).clamp_min(1e-6))
    x = (x - model.centre) / model.spread
    optimiser = torch.optim.AdamW(model.parameters(), RATE, weight_decay=WEIGHT_DECAY)
    size, epoch = min(CELLS_PER_STEP, -(-len(x) // STEPS_PER_EPOCH)), 0
    while True:
        epoch += 1
        model.train()
        with seeded(int(np.random.default_rng((seed, epoch)).integers(2**31))):
            for network in model.networks:
                for cells in torch.from_numpy(rng.permutation(len(x))).split(size):
                    logits = network(x[cells]) + log_density
                    loss = (logits.logsumexp(1) - (y[cells] * logits).sum(1)).mean()
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
        yield model.eval()
