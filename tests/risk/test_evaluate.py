"""A report ranks predictors as they are good, and tells what went wrong; predictors here are cheap and known."""

import os

import numpy as np
import pandas as pd
import pytest
from benchmarks.drugs import KEYS, Knows, World

from scvcell import risk
from scvcell.risk import Effects, RiskConfig
from scvcell.risk.axes import Context, Perturbation
from scvcell.score import log_cp10k

QUIET = RiskConfig(n_boot=50)
SEEDS = int(os.environ.get("SCVCELL_RISK_SEEDS", "3"))
"""Simulated worlds of each test; 20 for the figures of benchmarks/notes/risk.md."""


class Peeks:
    """Holds all cells, and tells the effects that were measured, as ten components of all these cells show them."""

    name = "peeks"

    def __init__(self, world):
        self.held = world.data

    def fit(self, data, split, seed):
        self.values = pd.DataFrame(log_cp10k(self.held.X), self.held.obs_names)
        self.maps = np.linalg.svd(self.values - self.values.mean(), full_matrices=False)[2][:10]

    def predict(self, question):
        if not isinstance(question, risk.Effect):
            return None
        obs = self.held.obs
        donor = obs["donor"].isin(obs.loc[question.cells, "donor"])
        treated, control = (self.values[donor & (obs["drug"] == x)].mean() for x in (str(question.action), "no"))
        effect = self.maps.T @ (self.maps @ (treated - control))
        return Effects(pd.DataFrame({"effect": effect}, index=self.held.var_names))


def rank(report, *names):
    return report.total.set_index("predictor")["risk"][list(names)]


@pytest.mark.parametrize("axis", ["perturbation", "context"])
def test_the_better_predictor_has_the_lower_risk_and_one_that_peeks_has_none(axis):
    right = refused = 0
    for seed in range(SEEDS):
        world = World(seed, n=40, genes=30)
        elsewhere = world.split([f"d{k:02d}" for k in range(12)], ["donor0"], "another context")
        split = world.split() if axis == "perturbation" else elsewhere
        kind = Perturbation if axis == "perturbation" else Context
        predictors = [Knows(world, "oracle"), Knows(world, "half", 0.5), Peeks(world)]
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
        red = set(found.leakage.query("verdict == 'red'")["predictor"])
        refused += red == {"peeks"} and np.isnan(rank(found, "peeks").item())
    assert right >= 0.95 * SEEDS
    assert refused == SEEDS


@pytest.fixture(scope="module")
def world():
    return World(0)


AXES = [Perturbation(KEYS, n_partitions=2)]


@pytest.fixture(scope="module")
def report(world):
    predictors = [Knows(world, "oracle", width=0.9), Knows(world, "half", 0.5, width=0.02)]
    return risk.evaluate(predictors, world.data, split=world.split(), axes=AXES, groups=["donor"], config=QUIET)


def test_a_report_has_a_row_of_every_predictor_test_and_metric(report):
    names = {"oracle", "half", "replicate", "mean", "control", "additive", "linear", "arithmetic", "matching_mean"}
    assert set(report.rows["predictor"]) == names == set(report.total["predictor"])
    sizes = report.rows[report.rows["metric"] == "nmae"].groupby("predictor").size()
    assert (sizes == 12).all(), "6 drugs in 2 donors"
    assert set(report.rows.query("predictor == 'oracle'")["metric"]) == {
        *(
            "answered",
            "pearson_effect",
            "nmae",
            "slope",
            "pds",
            "coverage",
            "coverage_strongest",
            "coverage_chosen",
            "relative_width",
        )
    }
    assert set(report.rows["regime"]) == {"new target"}
    assert (report.rows["severity"] == 1).all()
    nominal = report.summary["better"] == "nominal"
    assert report.summary.loc[nominal, "scaled"].isna().all()
    assert not report.summary.loc[nominal, "informative"].any()
    mean = report.total.set_index("predictor").loc["mean", "risk"]
    assert mean == pytest.approx(1)


def test_intervals_that_are_too_narrow_are_seen(report):
    wide = report.summary.set_index(["predictor", "metric"])["value"]
    assert wide["oracle", "coverage"] > 0.9 > wide["half", "coverage"]
    flags = report.calibration.query("of == 'all'").set_index("predictor")["flag"]
    assert flags.to_dict() == {"oracle": "too wide", "half": "too narrow"}


def test_groups_are_compared_by_the_units_within_them(report):
    found = report.groups.query("predictor == 'half' and metric == 'nmae'")
    assert found["group"].tolist() == ["donor0", "donor1"]
    assert (found["n"] == 6).all()
    np.testing.assert_allclose(found["gap"].sum(), 0, atol=1e-12)


def test_a_report_is_the_same_from_json_and_at_other_weights(report):
    again = risk.RiskReport.from_json(report.to_json())
    assert again.to_json() == report.to_json()
    for name in ("rows", "summary", "total", "curves", "breakdown"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(report, name))
    pd.testing.assert_frame_equal(again.at({"perturbation": 3}).total, report.total)
    with pytest.raises(ValueError, match="lacks the weight of 'perturbation'"):
        report.at({})
    assert "least risk oracle" in repr(report)


def test_other_orders_of_cells_and_features_give_the_same_report(world, report):
    rng = np.random.default_rng(0)
    mixed = world.data[rng.permutation(world.data.n_obs), rng.permutation(world.data.n_vars)].copy()

    class Mixed(Knows):
        def predict(self, question):
            found = super().predict(question).change
            return Effects(found.set_axis(world.data.var_names).sample(frac=1, random_state=0))

    other = risk.evaluate(
        [Mixed(world, "oracle", width=0.9)],
        mixed,
        split=world.split(),
        axes=AXES,
        baselines=["control"],
        groups=["donor"],
        config=QUIET,
    )
    key = ["test", "predictor", "readout", "metric"]
    one, two = (r.rows.set_index(key)["value"].sort_index() for r in (report, other))
    one = one[one.index.get_level_values("predictor").isin({"oracle", "mean", "control", "replicate"})]
    sets = one.index.get_level_values("metric") == "energy_distance"  # of a sample of cells, which their order decides
    np.testing.assert_allclose(one[~sets], two[~sets], atol=1e-9)
    np.testing.assert_allclose(one[sets], two[sets], atol=0.05)


def test_who_fails_is_a_row_and_the_report_goes_on(world):
    class Fails(Knows):
        def predict(self, question):
            if "d01" in str(question.action):
                raise RuntimeError("no answer today")
            return super().predict(question)

    class Breaks(Knows):
        def fit(self, data, split, seed):
            raise MemoryError("too large")

    found = risk.evaluate(
        [Fails(world, "fails"), Breaks(world, "breaks")],
        world.data,
        split=world.split(),
        axes=AXES,
        baselines=(),
        readouts="effect",
        config=QUIET,
    )
    failed = found.rows[found.rows["note"].str.startswith("failed")]
    assert failed.groupby("predictor").size().to_dict() == {"fails": 2, "breaks": 12}
    assert failed["value"].isna().all()
    assert "failed: RuntimeError: no answer today" in set(failed["note"])
    total = found.total.set_index("predictor")
    assert np.isfinite(total.loc["fails", "risk"])
    assert "2 questions failed" in total.loc["fails", "note"]
    assert np.isnan(total.loc["breaks", "risk"])


WRONG = {
    "infinite effects": lambda change: Effects(change * np.inf),
    "without a column 'effect'": lambda change: Effects(change.rename(columns={"effect": "lfc"})),
    "answers twice for the feature": lambda change: Effects(pd.concat([change, change])),
    "negative counts": lambda change: Effects(change, pd.DataFrame(-1.0, range(3), change.index)),
    "no feature of": lambda change: Effects(change.add_prefix("other-", axis=0)),
    "without the other end": lambda change: Effects(change.assign(lower=0)),
    "lower end is above": lambda change: Effects(change.assign(lower=1, upper=0)),
    "answers Effect by DataFrame": lambda change: change,
    "no numbers": lambda change: Effects(change.astype(object).assign(effect="much")),
    "as ndarray": lambda change: Effects(change.to_numpy()),
}


def test_answers_that_cannot_be_read_are_failures_that_say_why(world):
    class All(Knows):
        def __init__(self, *args):
            super().__init__(*args)
            self.count = iter(WRONG.values())

        def predict(self, question):
            return next(self.count, lambda change: None)(super().predict(question).change)

    found = risk.evaluate(
        All(world, "wrong"), world.data, split=world.split(), axes=AXES, baselines=(), readouts="effect", config=QUIET
    ).rows
    notes = found.loc[found["predictor"] == "wrong", "note"].tolist()
    for says, note in zip(WRONG, notes, strict=False):
        assert note.startswith("failed"), says
        assert says in note
    silent = found[(found["predictor"] == "wrong") & (found["note"] == "")]
    assert (silent["value"] == 0).all(), "who says nothing answers nothing"
    assert len(silent) == 2


def test_records_and_other_orders_of_tasks_change_nothing(world, report, tmp_path):
    predictors = [Knows(world, "half", 0.5, width=0.02), Knows(world, "oracle", width=0.9)]
    made = {"split": world.split(), "axes": AXES, "groups": ["donor"]}
    config = RiskConfig(n_boot=50, cache=tmp_path / "records")
    first = risk.evaluate(predictors, world.data, **made, config=config)
    assert first.summary.equals(report.summary)
    assert first.total.equals(report.total)
    again = risk.evaluate(predictors, world.data, **made, config=config)
    assert again.to_json() == first.to_json()
