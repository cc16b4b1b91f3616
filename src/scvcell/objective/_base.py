"""What every term of the objective is given, how terms are found, and what they weigh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from scvcell._checks import is_number
from scvcell._registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from scvcell.measure import Context, Measurement
    from scvcell.prior import GuidancePrior
    from scvcell.state import Batch, Inference


class Operators(Protocol):
    """Measurement operators by the name of their modality."""

    def __getitem__(self, name: str, /) -> Measurement:
        """The operator of a modality."""


class Network(Protocol):
    """What a term may ask of the network whose loss it is part of.

    Attributes
    ----------
    operators
        Measurement operator of every modality.
    prior
        Guidance graph; None without one.
    log_tau
        Log temperature of the contrastive loss.
    modality_weight
        Weight of the likelihood of every modality.
    n_train
        Number of training cells.
    paired
        Share of them that are measured in more than one assay.
    """

    @property
    def operators(self) -> Operators: ...
    @property
    def prior(self) -> GuidancePrior | None: ...
    @property
    def log_tau(self) -> Tensor: ...
    @property
    def modality_weight(self) -> Mapping[str, float]: ...
    @property
    def n_train(self) -> int: ...
    @property
    def paired(self) -> float: ...


class SparseOperator(Protocol):
    """A measurement operator whose `sparse` is true."""

    def log_prob(
        self, x: Tensor, z: Tensor, ctx: Context, observed: Tensor | None = None, rows: Tensor | None = None
    ) -> Tensor:
        """Log-likelihood of each state, ``(states,)``; `rows` says which row of `x` is its cell."""


class Term(Protocol):
    """One term of the objective: a function of a mini-batch."""

    def __call__(self, network: Network, batch: Batch, state: Inference, /) -> Tensor | dict[str, Tensor]:
        """The value of the term, to be minimised.

        Parameters
        ----------
        network
            The network whose loss it is part of.
        batch
            What was measured.
        state
            What was inferred of it.

        Returns
        -------
        A scalar in nats per cell, or several by name; an empty dictionary where the term does not apply.
        """


TERMS: Registry[Term] = Registry("term of the objective", "scvcell.terms")
"""Every term by name; what each weighs is said by `Weights.of`."""


@dataclass(frozen=True)
class Weights:
    """Weights of the terms of the objective (lambda of equation 2); the special cases of the theory are settings.

    Parameters
    ----------
    likelihood
        Weight of the reconstruction terms; 0 leaves a dual encoder.
    kl
        Weight of the KL to the prior (warmed up over the first 30 % of the steps).
    align
        Weight of all alignment terms together; 0 leaves a plain multimodal VAE.
    contrast
        Weight of InfoNCE (eq. 1) inside the alignment, multiplied by the share of paired cells, up to one in five.
    agreement
        Weight of the divergence between the posteriors of paired modalities, multiplied by the same.
    match
        Weight of the distribution matching (MMD) between modalities within each batch. Both assays of a batch sample
        one population, so what differs is not forced together.
    cross
        Weight of the views that decode everything from a single modality, relative to the joint view.
    prior
        Weight of the guidance graph's own likelihood, a sum over edges.
    """

    likelihood: float = 1.0
    kl: float = 1.0
    align: float = 1.0
    contrast: float = 20.0
    agreement: float = 5.0
    match: float = 50.0
    cross: float = 1.0
    prior: float = 0.1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not is_number(value):
                raise TypeError(f"Weights.{name} must be a number >= 0, not {value!r}.")
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"Weights.{name} must be a finite number >= 0, not {value!r}.")
        if self.likelihood == 0 and self.align == 0:
            raise ValueError("Weights: likelihood and align are both 0, so there is nothing to learn.")

    def of(self, term: str) -> float:
        """Weight of a term of `TERMS` in the total; 1 for a term of another package, which brings its own factor."""
        weight = float(getattr(self, term, 1.0))
        return self.align * weight if term in ("contrast", "agreement", "match") else weight
