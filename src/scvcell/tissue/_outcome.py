"""Heads of the kind of `scvcell.measure.Endpoint`, small and penalised: of classes, of values, of times to an event."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from scvcell.measure import cox

if TYPE_CHECKING:
    from collections.abc import Callable

    from scvcell._types import Array, Mask, Rows

    type Predictor = Callable[[Array], Array]

LEAST_PROBABILITY = 1e-3
"""Probability below which a class that turns out true costs no more."""
MAX_STEPS = 1000
"""Steps of an optimiser at most."""


class Outcome(ABC):
    """What is to be predicted of units.

    Attributes
    ----------
    value
        Code of the class, value or time, NaN where it is not known, ``(units,)``.
    """

    value: Array

    @abstractmethod
    def fit(self, x: Array, rows: Rows, strength: float) -> Predictor:
        r"""A penalised linear head, fitted on some units.

        .. math:: \min_w\; c \sum_i \ell_i(w) + \tfrac{1}{2} \lVert w \rVert^2

        Parameters
        ----------
        x
            Features of all units, ``(units, features)``.
        rows
            Units to fit on.
        strength
            Weight c of the data against the penalty.

        Returns
        -------
        Function of features that gives ``(units, outputs)``.
        """

    @abstractmethod
    def without(self, rows: Rows) -> Array:
        """What some units let expect of any other one, ``(outputs,)``."""

    @abstractmethod
    def loss(self, predicted: Array, rows: Rows) -> Array:
        """Loss of predictions of some units, ``(rows,)``."""


@dataclass(frozen=True, eq=False)
class Classes(Outcome):
    """A class: logistic regression.

    Attributes
    ----------
    value
        Code of the class, NaN where it is not known, ``(units,)``.
    names
        Names of the classes.
    """

    value: Array
    names: list[str]

    def fit(self, x: Array, rows: Rows, strength: float) -> Predictor:
        """As `Outcome.fit`; probabilities of all classes, 0 of those that no unit has."""
        code = self.value[rows].astype(int)
        there = np.unique(code)
        if len(there) == 1:
            return lambda asked: np.tile(np.eye(len(self.names))[there[0]], (len(asked), 1))
        model = LogisticRegression(C=strength, max_iter=MAX_STEPS).fit(x[rows], code)

        def predict(asked: Array) -> Array:
            out = np.zeros((len(asked), len(self.names)))
            out[:, there] = model.predict_proba(asked)
            return out

        return predict

    def without(self, rows: Rows) -> Array:
        """Shares of the classes."""
        return np.bincount(self.value[rows].astype(int), minlength=len(self.names)) / len(rows)

    def loss(self, predicted: Array, rows: Rows) -> Array:
        """Minus the log of the probability of the class."""
        true = predicted[np.arange(len(rows)), self.value[rows].astype(int)]
        return -np.log(np.maximum(true, LEAST_PROBABILITY))


@dataclass(frozen=True, eq=False)
class Values(Outcome):
    """A number: ridge regression.

    Attributes
    ----------
    value
        The number, NaN where it is not known, ``(units,)``.
    """

    value: Array

    def fit(self, x: Array, rows: Rows, strength: float) -> Predictor:
        """As `Outcome.fit`, of values in their standard deviations."""
        centre, sd = self.value[rows].mean(), max(float(self.value[rows].std()), 1e-12)
        model = Ridge(alpha=1 / strength).fit(x[rows], (self.value[rows] - centre) / sd)
        return lambda asked: (centre + sd * model.predict(asked))[:, None]

    def without(self, rows: Rows) -> Array:
        """The mean."""
        return self.value[rows].mean(keepdims=True)

    def loss(self, predicted: Array, rows: Rows) -> Array:
        """Squared error."""
        return (predicted[:, 0] - self.value[rows]) ** 2


@dataclass(frozen=True, eq=False)
class Times(Outcome):
    """Time to an event, or to where a unit was last seen: Cox regression.

    Attributes
    ----------
    value
        The time, NaN where it is not known, ``(units,)``.
    event
        Whether the event was seen, ``(units,)``.
    """

    value: Array
    event: Mask

    def fit(self, x: Array, rows: Rows, strength: float) -> Predictor:
        """As `Outcome.fit`; log hazard ratios."""
        seen = torch.from_numpy(x[rows].astype(float))
        time, event = self._of(rows)
        weight = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
        step = torch.optim.LBFGS([weight], max_iter=MAX_STEPS, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            step.zero_grad()
            loss = 0.5 * (weight**2).sum() - strength * cox(seen @ weight, time, event).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        step.step(closure)  # type: ignore[no-untyped-call]
        centre, found = x[rows].mean(0), weight.detach().numpy()
        return lambda asked: ((asked - centre) @ found)[:, None]

    def without(self, rows: Rows) -> Array:
        """No difference in hazard."""
        return np.zeros(1)

    def loss(self, predicted: Array, rows: Rows) -> Array:
        """Minus the log partial likelihood of the units among each other."""
        time, event = self._of(rows)
        return -cox(torch.from_numpy(predicted[:, 0].astype(float)), time, event).numpy()

    def _of(self, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.value[rows].astype(float)), torch.from_numpy(self.event[rows].astype(float))

    def by(self, risk: Array, rows: Rows, until: float) -> Predictor:
        r"""Probability of the event by a time, given log hazard ratios, with Breslow's baseline hazard.

        .. math:: 1 - \exp\Big(-e^{f} \sum_{t_i \le t} \frac{e_i}{\sum_{j: t_j \ge t_i} e^{f_j}}\Big)

        Parameters
        ----------
        risk, rows
            Log hazard ratios f of the units, ``(rows,)``, and these units.
        until
            The time t.
        """
        time, hazard = self.value[rows], np.exp(risk)
        early = self.event[rows] & (time <= until)
        base = sum(1 / hazard[time >= t].sum() for t in time[early])
        return lambda asked: -np.expm1(-base * np.exp(asked))
