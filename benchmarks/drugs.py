"""A simulated screen whose effects are known, and predictors that know them: for `acceptance.py` and tests of risk."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from scipy.stats import norm

from scvcell import PerturbationKeys
from scvcell.risk import Effect, Effects, Split
from scvcell.score import log_cp10k

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell.risk import Question

KEYS = PerturbationKeys("drug", control="no", context="donor")
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
MANY = 1500
"""Cells from which true means are taken."""


class World:
    """Cells of donors under drugs, of which a third do nothing, and mean and variance of many cells of each.

    Parameters
    ----------
    seed
        Of the effects; cells depend on it and on `n`, so that two sizes are independent samples.
    n
        Treated cells of each drug in each donor; there are three times as many controls.
    genes, drugs, donors
        How many.
    """

    def __init__(self, seed: int, n: int = 44, genes: int = 40, drugs: int = 12, donors: int = 2) -> None:
        rng = np.random.default_rng(seed)
        base = rng.gamma(2.0, 1.0, genes)
        shared = rng.normal(0, 0.3, genes)
        effect: dict[str, Any] = {
            f"d{k:02d}": (k % 3 > 0) * (shared + rng.normal(0, 0.8, genes)) for k in range(drugs)
        } | {"no": 0}
        shift = rng.normal(0, 0.3, (donors, genes))
        self.n, self.truth, self.variance = n, {}, {}
        rows, obs = [], []
        rng = np.random.default_rng([seed, n])
        for donor in range(donors):
            for drug, change in effect.items():
                rate = base * np.exp(change + shift[donor])
                size = 3 * n if drug == "no" else n
                rows.append(rng.poisson(rate, (size, genes)))
                obs += [(drug, f"donor{donor}")] * size
                many = log_cp10k(rng.poisson(rate, (MANY, genes)))
                self.truth[drug, donor], self.variance[drug, donor] = many.mean(0), many.var(0)
        names = pd.Index([f"cell{i:04d}" for i in range(len(obs))])
        frame = pd.DataFrame(obs, columns=["drug", "donor"], index=names)
        self.data = AnnData(sp.csr_matrix(np.concatenate(rows).astype(np.float32)), frame)

    def split(
        self, drugs: Sequence[str] | None = None, donors: Sequence[str] | None = None, reason: str = "new target"
    ) -> Split:
        """A split that hides cells of some drugs, by default the first six, in some donors, by default all."""
        obs = self.data.obs
        named = [f"d{k:02d}" for k in range(6)] if drugs is None else drugs
        there = obs["drug"].isin(named) & (True if donors is None else obs["donor"].isin(donors))
        hidden = self.data.obs_names[there.to_numpy()]
        return Split(self.data.obs_names.difference(hidden), hidden[:0], hidden, reason)

    def effect(self, drug: str, donor: int) -> np.ndarray:
        """True effect of a drug in a donor."""
        return self.truth[drug, donor] - self.truth["no", donor]  # type: ignore[no-any-return]

    def error(self, drug: str, donor: int) -> np.ndarray:
        """Standard error of the effect as half of the treated cells, and all controls, show it."""
        treated, control = self.variance[drug, donor], self.variance["no", donor]
        return np.sqrt(treated / (self.n // 2) + control / (3 * self.n))  # type: ignore[no-any-return]


@dataclass
class Knows:
    """Answers a share of the true effect, which comes from other cells than those of the data.

    Parameters
    ----------
    world
        Whose truth it knows.
    name
        Name in tables.
    share
        Share of the effect.
    width
        Half of all intervals; none by default.
    off
        Standard deviation of its own errors.
    sure
        How wide intervals and quantiles are beside honest ones; none by default.
    worse
        Donor that gets nothing but the effect's negative.
    """

    world: World
    name: str
    share: float = 1.0
    width: float | None = None
    off: float = 0.0
    sure: float | None = None
    worse: int | None = None

    def __repr__(self) -> str:
        """Its settings; the world has no short name."""
        return f"Knows({self.name}, {self.share}, {self.width}, {self.off}, {self.sure}, {self.worse})"

    def fit(self, data: AnnData, split: Split, seed: int) -> None:
        """Keep what may be seen."""
        self.seen = data

    def predict(self, question: Question) -> Effects | None:
        """The effect, with intervals and quantiles where they are asked for."""
        if not isinstance(question, Effect):
            return None
        drug, donor = str(question.action), int(str(self.seen.obs.loc[question.cells[0], "donor"])[-1])
        draws = np.random.default_rng(zlib.crc32(f"{drug} {donor}".encode())).normal(size=self.seen.n_vars)
        share = -self.share if donor == self.worse else self.share
        point = share * self.world.effect(drug, donor) + self.off * draws
        change = pd.DataFrame({"effect": point}, index=self.seen.var_names)
        half, quantiles = self.width, None
        if self.sure is not None:
            spread = self.sure * np.sqrt(self.off**2 + self.world.error(drug, donor) ** 2)
            half = norm.ppf(0.95) * spread
            quantiles = pd.DataFrame({q: point + norm.ppf(q) * spread for q in LEVELS}, index=change.index)
        if half is not None:
            change["lower"], change["upper"] = change["effect"] - half, change["effect"] + half
        return Effects(change, quantiles=quantiles)


@dataclass
class Again:
    """Another sample of the same size as a replicate: half as many treated cells, against the controls of the data."""

    world: World
    name: str = "again"

    def fit(self, data: AnnData, split: Split, seed: int) -> None:
        """Keep what may be seen."""
        self.seen, self.values = data, log_cp10k(self.world.data.X)

    def predict(self, question: Question) -> Effects | None:
        """What the other sample shows."""
        if not isinstance(question, Effect):
            return None
        obs = self.world.data.obs
        donor = self.seen.obs.loc[question.cells[0], "donor"]
        there = ((obs["drug"] == str(question.action)) & (obs["donor"] == donor)).to_numpy()
        effect = self.values[there].mean(0) - log_cp10k(self.seen[question.cells].X).mean(0)
        after = pd.DataFrame(np.expm1(self.values[there]), columns=self.seen.var_names)
        return Effects(pd.DataFrame({"effect": effect}, index=self.seen.var_names), after)


@dataclass
class MeanOfAll:
    """The mean over training drugs and donors of what each does, written without the package."""

    name: str = "mean of all"

    def fit(self, data: AnnData, split: Split, seed: int) -> None:
        """Take the mean of the cells of each drug in each donor, less that of the donor's controls."""
        counts = np.asarray(data.X.todense())
        values = np.log1p(1e4 * counts / counts.sum(1, keepdims=True))
        drug, donor = (data.obs[key].to_numpy(str) for key in ("drug", "donor"))
        found = []
        for d in sorted(set(donor)):
            for name in sorted(set(drug[donor == d]) - {"no"}):
                found.append(
                    values[(donor == d) & (drug == name)].mean(0) - values[(donor == d) & (drug == "no")].mean(0)
                )
        self.effect = pd.DataFrame({"effect": np.mean(found, 0)}, data.var_names)

    def predict(self, question: Question) -> Effects | None:
        """The same for all."""
        return Effects(self.effect) if isinstance(question, Effect) else None
