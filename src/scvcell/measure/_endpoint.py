"""M for endpoints of a cell: labels, continuous outcomes, survival; the state predicts them and never sees them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Bernoulli, Distribution, Normal

from scvcell.measure._base import MEASUREMENTS, Measurement
from scvcell.measure._share import OFF_PANEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Tensor

    from scvcell.measure._context import Context, Summary

    Kind = Literal["categorical", "continuous", "survival"]

KINDS = ("categorical", "continuous", "survival")
SURVIVAL = ["time", "event"]
"""Features of a survival endpoint, in this order."""


@MEASUREMENTS.register("endpoint", aliases=("label", "labels", "phenotype", "outcome", "survival"))
class Endpoint(Measurement):
    r"""What is decided on: a label, a continuous outcome, or the time to an event, known for some or all cells.

    .. math::
        y \sim \mathrm{Cat}(\mathrm{softmax} f(z)), \qquad y \sim \mathcal N(f(z), \sigma^2), \qquad
        \log L = \sum_{i: e_i = 1} \Big( f(z_i) - \log \sum_{j: t_j \ge t_i} e^{f(z_j)} \Big)

    The last is the Cox partial likelihood, its risk sets taken within the mini-batch (Breslow's ties). Encoders do not
    see endpoints, so cells without one are embedded like the others; batches and covariates do not enter either. Made
    from an obs column by :func:`scvcell.pp.modality_from_obs`.

    Parameters
    ----------
    n_latent, summary
        See `Measurement`.
    kind
        ``"categorical"`` (one column of zeros and ones per class), ``"continuous"``, or ``"survival"`` (columns
        ``time`` and ``event``).

    Notes
    -----
    Predicted are class probabilities; values; for survival the median time, and the probability that the event has
    happened by the mean observed time, both with a Weibull baseline hazard fitted along.

    References
    ----------
    Kingma et al., Semi-supervised learning with deep generative models, NeurIPS 2014; Xu et al., scANVI, Mol Syst Biol
    2021; Cox, Regression models and life-tables, J R Stat Soc B 1972.
    """

    equation = "y ~ Cat(softmax f(z)), N(f(z), sd^2), or Cox(f(z))"
    reference = "Xu et al., Mol Syst Biol 2021; Cox, J R Stat Soc B 1972"
    count_data = False
    encoded = False

    def __init__(self, n_latent: int, summary: Summary, kind: Kind = "categorical", n_hidden: int = 64) -> None:
        super().__init__(n_latent, summary)
        self.kind = kind
        survival = kind == "survival"
        self.decoder = nn.Sequential(
            nn.Linear(n_latent, n_hidden), nn.GELU(), nn.Linear(n_hidden, 1 if survival else summary.n_features)
        )
        self.register_buffer("centre", torch.as_tensor(summary.mean, dtype=torch.float32))
        spread = (summary.sd_log**2).mean(0) + summary.mean_log.var(0)
        self.register_buffer("spread", torch.as_tensor(spread, dtype=torch.float32).sqrt().clamp_min(1e-6))
        self.log_sd = nn.Parameter(torch.zeros(summary.n_features)) if kind == "continuous" else None
        if survival:
            self.log_shape = nn.Parameter(torch.zeros(()))
            self.log_hazard = nn.Parameter(torch.zeros(()))

    @classmethod
    def check(cls, features: Sequence[str], kind: str = "categorical", **_: object) -> None:
        """As `Measurement.check`: the columns that the kind of endpoint needs."""
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {list(KINDS)}, not {kind!r}.")
        if kind == "survival" and list(features) != SURVIVAL:
            raise ValueError(
                f"a survival endpoint has the columns {SURVIVAL}, not {list(features)}. "
                "Make it with scvcell.pp.modality_from_obs(data, 'time', event='event')."
            )
        if kind == "categorical" and len(features) < 2:
            raise ValueError("a categorical endpoint needs at least two classes, one column each.")

    @property
    def calibrated(self) -> bool:
        """A time that was cut short cannot be held against a prediction."""
        return self.kind != "survival"

    def score(self, z: Float[Tensor, "cells latent"]) -> Tensor:
        """Logits of the classes, standardised values, or the log hazard ratio, ``(cells, outputs)``."""
        return self.decoder(z)

    def forward(self, z: Float[Tensor, "cells latent"], ctx: Context) -> Distribution:
        """Distribution of each column; of survival, what is expected."""
        score = self.score(z)
        if self.kind == "categorical":
            return Bernoulli(probs=torch.softmax(self._on(score, self.on_panel(ctx)), -1), validate_args=False)
        if self.log_sd is not None:
            return Normal(self.centre + self.spread * score, self._sd(), validate_args=False)
        return _Expected(self._survival(score))

    def log_prob(
        self,
        x: Float[Tensor, "cells features"],
        z: Float[Tensor, "cells latent"],
        ctx: Context,
        observed: Tensor | None = None,
    ) -> Float[Tensor, " cells"]:
        """As `Measurement.log_prob`; the Cox term of a cell depends on the cells it is compared with."""
        score = self.score(z)
        if self.kind == "categorical":
            x = x if observed is None else x.masked_fill(~observed, 0)
            return (x * torch.log_softmax(self._on(score, observed), -1)).sum(-1)
        if self.log_sd is not None:
            sd = F.softplus(self.log_sd) + 1e-2
            value = Normal(score, sd, validate_args=False).log_prob((x - self.centre) / self.spread)
            return (value if observed is None else value.masked_fill(~observed, 0)).sum(-1)
        time, event = x[:, 0], x[:, 1]
        return cox(score[:, 0], time, event) + self._weibull(score[:, 0].detach(), time, event)

    @staticmethod
    def _on(score: Tensor, observed: Tensor | None) -> Tensor:
        return score if observed is None else score.masked_fill(~observed, OFF_PANEL)

    def _sd(self) -> Tensor:
        return self.spread * (F.softplus(self.log_sd) + 1e-2)

    def _log_cumulative(self, time: Tensor) -> Tensor:
        """Log cumulative baseline hazard; times in units of the mean one."""
        return self.log_hazard + self.log_shape.exp() * (time / self.centre[0]).clamp_min(1e-6).log()

    def _weibull(self, risk: Tensor, time: Tensor, event: Tensor) -> Float[Tensor, " cells"]:
        """Log-likelihood of the baseline hazard, given the log hazard ratios."""
        log_cumulative = self._log_cumulative(time)
        log_hazard = self.log_shape + log_cumulative - (time / self.centre[0]).clamp_min(1e-6).log()
        return event * (log_hazard + risk) - (log_cumulative + risk).exp()

    def _survival(self, score: Tensor) -> Float[Tensor, "cells 2"]:
        """Median time, and probability of the event by the mean observed time."""
        risk = score[:, 0]
        median = self.centre[0] * ((math.log(math.log(2)) - self.log_hazard - risk) / self.log_shape.exp()).exp()
        return torch.stack([median, -torch.expm1(-(self.log_hazard + risk).exp())], 1)


class _Expected(Distribution):
    """Expected values alone: nothing is said of how a time and its event vary together."""

    def __init__(self, mean: Tensor) -> None:
        super().__init__(mean.shape, validate_args=False)
        self._mean = mean

    @property
    def mean(self) -> Tensor:
        """Expected values."""
        return self._mean


def cox(
    risk: Float[Tensor, " cells"], time: Float[Tensor, " cells"], event: Float[Tensor, " cells"]
) -> Float[Tensor, " cells"]:
    r"""Cox log partial likelihood, cell by cell, ties as Breslow's.

    .. math:: e_i \Big( f_i - \log \sum_{j: t_j \ge t_i} e^{f_j} \Big)

    Parameters
    ----------
    risk
        Log hazard ratios f.
    time
        Times of event or censoring.
    event
        1 where the event was seen, 0 where the cell was censored.
    """
    order = torch.argsort(time, descending=True)
    cumulative = torch.logcumsumexp(risk[order], 0)
    # all cells of one time are at risk together: the sum at the last of them
    last = torch.searchsorted(-time[order], -time, right=True) - 1
    return event * (risk - cumulative[last])
