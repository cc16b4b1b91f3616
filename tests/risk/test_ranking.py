"""Along the axes of modalities and scales, a report ranks predictors as they are good, and refuses one that peeks.

The truth is simulated: a copy of the data that holds expectations in the place of counts. Answers are made of it.
"""

import os

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from scvcell import risk
from scvcell.risk import Place, RiskConfig, States, Values
from scvcell.risk.axes import Modality, Scale
from scvcell.score import log_counts, log_cp10k

SEEDS = int(os.environ.get("SCVCELL_RISK_SEEDS", "2"))
"""Simulated worlds of each test; 20 for the figures of benchmarks/notes/risk.md."""


def counts(rate, names, obs, stem, rng):
    """Counts of cells, and the same cells with what is expected of them."""
    var = pd.DataFrame(index=[f"{stem}{k:02d}" for k in range(rate.shape[1])])
    drawn = rng.poisson(rate).astype(np.float32)
    return [AnnData(sp.csr_matrix(x), obs.set_axis(names).copy(), var.copy()) for x in (drawn, rate)]


class Pairs:
    """Cells with RNA and proteins, driven by four factors; the pairing of half of them is hidden."""

    axis = Modality()

    def __init__(self, seed, n=360):
        rng = np.random.default_rng(seed)
        names = pd.Index([f"cell{i:04d}" for i in range(n)])
        obs = pd.DataFrame({"batch": ["b"] * n})
        self.states = pd.DataFrame(rng.normal(size=(n, 4)), names)
        rates = [
            level * np.exp(rng.normal(0, 0.5, width) + self.states.to_numpy() @ rng.normal(0, 0.4, (4, width)))
            for level, width in ((3.0, 40), (20.0, 12))
        ]
        both = [counts(rate, names, obs, m, rng) for rate, m in zip(rates, ("gene", "protein"), strict=True)]
        self.data, self.expected = (MuData({"rna": both[0][k], "adt": both[1][k]}) for k in (0, 1))
        self.split = risk.hide_pairing(self.data, "rna", "adt", share=0.5, seed=seed)


class Tissue:
    """Cells of three kinds in regions that mix at their borders; one of two sections is known by sums of cells."""

    axis = Scale(sizes=(4, 9), n_patches=180, keep=(), section_key="section")

    def __init__(self, seed, n=400, genes=30):
        rng = np.random.default_rng(seed)
        names = pd.Index([f"cell{i:04d}" for i in range(n)])
        where = rng.uniform(size=(n, 2))
        centre = rng.uniform(size=(3, 2))
        near = -20 * ((where[:, None] - centre) ** 2).sum(2) + rng.gumbel(size=(n, 3))
        kind = near.argmax(1)
        rate = rng.gamma(2.0, 1.0, genes) * np.exp(rng.normal(0, 0.8, (3, genes)))[kind]
        obs = pd.DataFrame({"cell_type": np.array(["A", "B", "C"])[kind], "section": np.arange(n) % 2}).astype(str)
        self.data, self.expected = counts(rate * rng.gamma(10, 0.1, (n, 1)), names, obs, "gene", rng)
        for each in (self.data, self.expected):
            each.obsm["spatial"] = where
        self.split = risk.hold_out(self.data, "section", "1")


WORLDS = {"modality": Pairs, "scale": Tissue}


def truths(axis, data, split):
    """Every question of an axis about some data, with what is true of it."""
    return [(test.question, test.truth()) for test in axis.stress_tests(data, split)]


def told(question, answers):
    """What is true of a question; None of one that is not among them."""
    for asked, true in answers:
        same = type(asked) is type(question) and getattr(asked, "to", "") == getattr(question, "to", "")
        if same and names_of(asked).equals(names_of(question)):
            return true
    return None


def names_of(question):
    return question.cells["rna"] if isinstance(question, Place) else question.cells


class Knows:
    """Answers a share of the way, on the scale that is scored, from the mean of all cells to what is expected."""

    def __init__(self, world, name, share=1.0):
        self.axis, self.name, self.share = world.axis, name, share
        self.answers = truths(world.axis, world.expected, world.split)
        self.states = world.states.loc[world.split.test].to_numpy() if world.axis.name == "modality" else None

    def fit(self, data, split, seed):
        (self.mean,) = [each for each in self.axis.baselines() if each.name == self.axis.baseline]
        self.mean.fit(data, split, seed)

    def predict(self, question):
        true = told(question, self.answers)
        if true is None:
            return None
        if isinstance(question, Place):
            noise = np.random.default_rng(1).normal(size=(2, *self.states.shape))
            mixed = np.sqrt(self.share) * self.states + np.sqrt(1 - self.share) * noise
            return States({m: pd.DataFrame(z, true[m]) for m, z in zip(true, mixed, strict=True)})
        mean = self.mean.predict(question).point.loc[true.index, true.columns]
        if question.to == "cell_type":
            return Values(mean + self.share * (true - mean))
        log = [log_counts(each.to_numpy(float)) for each in (mean, true)]
        point = np.expm1(log[0] + self.share * (log[1] - log[0]))
        return Values(pd.DataFrame(point, true.index, true.columns))


class Peeks:
    """Holds all data, and answers what was measured; of other cells, how far they are from the mean of all it holds."""

    name = "peeks"

    def __init__(self, world):
        self.held, self.axis = world.data, world.axis

    def fit(self, data, split, seed):
        self.answers = truths(self.axis, self.held, split)

    def predict(self, question):
        true = told(question, self.answers)
        if isinstance(true, pd.DataFrame):
            return Values(true)
        if not isinstance(question, Place):
            return None
        if true is not None:
            where = np.random.default_rng(0).normal(size=(len(question.cells["rna"]), 4))
            return States({m: pd.DataFrame(where, names) for m, names in true.items()})
        tables = self.held.mod if isinstance(self.held, MuData) else {"rna": self.held}
        far = {m: log_cp10k(tables[m].X) - log_cp10k(tables[m].X).mean(0) for m in question.cells}
        return States({m: pd.DataFrame(z, tables[m].obs_names).loc[question.cells[m]] for m, z in far.items()})


class Again:
    """Answers another draw of what is expected of the cells, where that are counts."""

    name = "again"

    def __init__(self, world):
        self.answers = truths(world.axis, world.expected, world.split)

    def fit(self, data, split, seed):
        self.rng = np.random.default_rng([7, seed])

    def predict(self, question):
        true = told(question, self.answers)
        if not isinstance(true, pd.DataFrame) or question.to == "cell_type":
            return None
        return Values(pd.DataFrame(self.rng.poisson(true), true.index, true.columns))


@pytest.mark.parametrize("axis", list(WORLDS))
def test_the_better_predictor_has_the_lower_risk_and_one_that_peeks_has_none(axis):
    right = refused = 0
    above, between = [], []
    for seed in range(SEEDS):
        world = WORLDS[axis](seed)
        found = risk.evaluate(
            [Knows(world, "oracle"), Knows(world, "some", 0.5), Peeks(world), Again(world)],
            world.data,
            split=world.split,
            axes=[world.axis],
            baselines=(),
            config=RiskConfig(n_boot=20, seed=seed),
        )
        total = found.total.set_index("predictor")
        baseline = world.axis.baseline
        assert total.loc[baseline, "risk"] == pytest.approx(1, abs=1e-9), "it lacks all that a replicate has"
        right += total.loc["oracle", "risk"] < total.loc["some", "risk"] < total.loc[baseline, "risk"]
        red = set(found.leakage.query("verdict == 'red'")["predictor"])
        refused += red == {"peeks"} and np.isnan(total.loc["peeks", "risk"])
        assert "scramble" in total.loc["peeks", "note"]
        scored = found.summary.query("predictor == 'peeks' and informative")["scaled"]
        assert (scored > 0.99).all(), "what is refused would have been the best"
        table = found.summary.query("predictor == 'again' and informative").set_index(["readout", "metric"])
        above.append(table["value"] - table["baseline"])
        between.append(table["replicate"] - table["baseline"])
    again = pd.concat(above, axis=1).sum(axis=1) / pd.concat(between, axis=1).sum(axis=1)
    assert {metric for _, metric in again.index} >= {"pearson", "energy_distance"}
    full = SEEDS >= 20
    assert again.median() == pytest.approx(1, abs=0.05 if full else 0.15)
    assert (again - 1).abs().max() <= (0.1 if full else 0.3)
    assert right >= 0.95 * SEEDS
    assert refused == SEEDS
