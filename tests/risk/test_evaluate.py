"""A report ranks predictors as they are good, and tells what went wrong; predictors here are cheap and known."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from scvcell import PerturbationKeys, risk
from scvcell.risk import Effects, RiskConfig, Split
from scvcell.risk.axes import Context, Perturbation
from scvcell.score import log_cp10k

KEYS = PerturbationKeys("drug", control="no", context="donor")
QUIET = RiskConfig(n_boot=50)


class World:
    """Cells of two donors under 12 drugs, of which a third do nothing, and the mean of many cells of each."""

    def __init__(self, seed, n=44, genes=40, drugs=12, donors=2):
        rng = np.random.default_rng(seed)
        base = rng.gamma(2.0, 1.0, genes)
        shared = rng.normal(0, 0.3, genes)
        effect = {f"d{k:02d}": (k % 3 > 0) * (shared + rng.normal(0, 0.8, genes)) for k in range(drugs)} | {"no": 0}
        shift = rng.normal(0, 0.3, (donors, genes))
        rows, obs, self.truth = [], [], {}
        for donor in range(donors):
            for drug, change in effect.items():
                rate = base * np.exp(change + shift[donor])
                size = 3 * n if drug == "no" else n
                rows.append(rng.poisson(rate, (size, genes)))
                obs += [(drug, f"donor{donor}")] * size
                self.truth[drug, donor] = log_cp10k(rng.poisson(rate, (1500, genes))).mean(0)
        names = pd.Index([f"cell{i:04d}" for i in range(len(obs))])
        frame = pd.DataFrame(obs, columns=["drug", "donor"], index=names)
        self.data = AnnData(sp.csr_matrix(np.concatenate(rows).astype(np.float32)), frame)

    def split(self, drugs=("d00", "d01", "d02", "d03", "d04", "d05"), donors=("donor0", "donor1")):
        obs = self.data.obs
        hidden = self.data.obs_names[(obs["drug"].isin(drugs) & obs["donor"].isin(donors)).to_numpy()]
        return Split(self.data.obs_names.difference(hidden), hidden[:0], hidden, "other drugs")


class Knows:
    """Answers a share of the true effect, which comes from other cells than those of the data."""

    def __init__(self, world, name, share=1.0, noise=0.0, width=None):
        self.world, self.name, self.share, self.noise, self.width = world, name, share, noise, width

    def fit(self, data, split, seed):
        self.seen = data

    def predict(self, question):
        donor = int(self.seen.obs.loc[question.cells[0], "donor"][-1])
        truth = self.world.truth[str(question.action), donor] - self.world.truth["no", donor]
        change = pd.DataFrame({"effect": self.share * truth}, index=self.seen.var_names)
        if self.width is not None:
            change["lower"], change["upper"] = change["effect"] - self.width, change["effect"] + self.width
        return Effects(change)


def rank(report, *names):
    return report.total.set_index("predictor")["risk"][list(names)]


@pytest.mark.parametrize("axis", ["perturbation", "context"])
def test_the_better_predictor_has_the_lower_risk(axis):
    right = 0
    for seed in range(20):
        world = World(seed, n=40, genes=30)
        split = (
            world.split() if axis == "perturbation" else world.split(tuple(f"d{k:02d}" for k in range(12)), ("donor0",))
        )
        kind = Perturbation if axis == "perturbation" else Context
        predictors = [Knows(world, "oracle"), Knows(world, "half", 0.5)]
        found = risk.evaluate(
            predictors,
            world.data,
            split=split,
            axes=[kind(KEYS, n_partitions=2)],
            baselines=(),
            readouts="effect",
            config=QUIET,
        )
        oracle, half, mean = rank(found, "oracle", "half", "mean")
        right += oracle < half < mean
        assert mean == pytest.approx(1, abs=1e-9), "the baseline lacks all that a replicate has"
    assert right >= 19


def test_an_independent_replicate_scores_one():
    scaled = []
    for seed in range(20):
        world = World(seed, n=40, genes=30)
        again = World(seed, n=20, genes=30)

        class Again(Knows):
            def predict(self, question, again=again):
                obs, values = again.data.obs, log_cp10k(again.data.X)
                donor = self.seen.obs.loc[question.cells[0], "donor"]
                treated = values[((obs["drug"] == str(question.action)) & (obs["donor"] == donor)).to_numpy()].mean(0)
                base = log_cp10k(self.seen[question.cells].X).mean(0)
                return Effects(pd.DataFrame({"effect": treated - base}, index=self.seen.var_names))

        found = risk.evaluate(
            Again(world, "again"),
            world.data,
            split=world.split(),
            axes=[Perturbation(KEYS, n_partitions=2)],
            baselines=(),
            readouts="effect",
            config=QUIET,
        ).summary
        scaled.append(found[(found["predictor"] == "again") & (found["metric"] == "nmae")]["scaled"].iloc[0])
    assert np.mean(scaled) == pytest.approx(1, abs=0.05)
