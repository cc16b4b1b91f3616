"""Reports of simulated screens: anchors, intervals and groups are what they are said to be, in whatever order."""

import os

import pandas as pd
import pytest
from benchmarks.drugs import KEYS, Again, Knows, MeanOfAll, World

from scvcell import risk
from scvcell.risk import RiskConfig
from scvcell.risk.axes import Context, Perturbation

SEEDS = int(os.environ.get("SCVCELL_RISK_SEEDS", "1"))
"""Simulated worlds of each test; 20 for the figures of benchmarks/notes/risk.md."""
FULL = SEEDS >= 20
DRUGS = [f"d{k:02d}" for k in range(12)]
QUIET = RiskConfig(n_boot=100)


def evaluate(world, predictors, split=None, axis=Perturbation, **given):
    split = world.split() if split is None else split
    axes = [axis(KEYS, n_partitions=2)]
    standard = {"split": split, "axes": axes, "baselines": (), "config": QUIET}
    return risk.evaluate(predictors, world.data, **standard | given)


@pytest.mark.parametrize("axis", ["perturbation", "context"])
def test_the_mean_effect_is_0_and_another_sample_is_1(axis):
    """A third of the drugs do nothing, and nothing is clipped. Sums go over worlds as they go over units."""
    tables = []
    n, donors = (60, 3) if FULL else (40, 2)
    for seed in range(SEEDS):
        world = World(seed, n=n, genes=30, donors=donors)
        split, kind = world.split(), Perturbation
        if axis == "context":
            hidden = [f"donor{k}" for k in range(donors - 1)]
            split, kind = world.split(DRUGS, hidden, "another context"), Context
        again = Again(World(seed, n=n // 2, genes=30, donors=donors))
        known = [Knows(world, "oracle"), Knows(world, "reverse", -1.0)]
        found = evaluate(world, [MeanOfAll(), again, *known], split, kind)
        nothing = found.rows["unit"].str.match("d0[039]")
        assert found.rows[nothing & (found.rows["metric"] == "nmae")]["value"].notna().all()
        assert nothing.any(), "units without an effect count too"
        tables.append(found.summary.query("informative"))
    every = pd.concat(tables)
    above, between = every["value"] - every["baseline"], every["replicate"] - every["baseline"]
    sums = every.assign(above=above, between=between).groupby(["readout", "metric", "predictor"])
    pooled = sums["above"].sum() / sums["between"].sum()
    scaled = sums["scaled"]
    for readout, metric in (("effect", "nmae"), ("effect", "pearson_effect"), ("distribution", "energy_distance")):
        far = abs(pooled[readout, metric, "again"] - 1)
        assert far <= (0.05 if FULL else 0.2), metric
        if readout == "effect":
            mean = scaled.agg(["min", "max"]).loc[readout, metric, "mean of all"]
            assert mean.abs().max() <= 0.02, metric
    assert scaled.min()["effect", "nmae", "oracle"] > 1, "no noise at all is better than a replicate"
    assert scaled.max()["effect", "nmae", "reverse"] < 0


def test_intervals_that_are_halved_are_flagged_and_honest_ones_are_not():
    flagged, blamed, ranked = 0, 0, 0
    for seed in range(SEEDS):
        world = World(seed, n=40, genes=40)
        who = [
            Knows(world, "oracle", sure=1.0),
            Knows(world, "honest", off=0.3, sure=1.0),
            Knows(world, "halved", off=0.3, sure=0.5),
        ]
        table = evaluate(world, who, readouts="effect").calibration
        flags = table.set_index(["predictor", "of"])["flag"]
        flagged += flags["halved", "all"] == "too narrow"
        blamed += bool(flags["honest"][["all", "chosen"]].any() or flags["oracle"][["all", "chosen"]].any())
        crps = table[table["of"] == "all"].set_index("predictor")["crps"]
        ranked += crps["oracle"] < crps["honest"] < crps["halved"]
    assert flagged >= 0.95 * SEEDS
    assert blamed <= 0.05 * SEEDS
    assert ranked == SEEDS


def test_other_orders_of_readouts_and_predictors_give_the_same_report():
    world, key = World(0, n=40, genes=20, drugs=6), ["predictor", "axis", "readout", "metric"]
    drugs = ["d01", "d02", "d03"]
    after = Again(World(1, n=40, genes=20, drugs=6))
    who, seen = [after, Knows(world, "half", 0.5)], ["effect", "distribution"]
    made = {"split": world.split(drugs), "baselines": ["control", "linear"]}
    one = evaluate(world, who, readouts=seen, **made)
    two = evaluate(world, who[::-1], readouts=seen[::-1], **made | {"baselines": ["linear", "control"]})
    assert set(one.summary["readout"]) == {"effect", "distribution"}
    for name, by in (("summary", key), ("total", ["predictor"]), ("calibration", key[:2])):
        tables = [getattr(report, name).sort_values(by, ignore_index=True) for report in (one, two)]
        pd.testing.assert_frame_equal(*tables)


def test_the_donor_of_whom_predictions_are_worse_is_found_and_nobody_else():
    found = clean = 0
    for seed in range(SEEDS):
        world = World(seed, n=20, genes=20, donors=8)
        who = [Knows(world, "fair", 0.5), Knows(world, "unfair", 0.5, worse=3)]
        table = evaluate(world, who, readouts="effect", groups=["donor"]).groups
        table = table[table["metric"] == "nmae"].set_index(["predictor", "group"])
        found += table.loc[("unfair", "donor3"), "lower"] > 0
        clean += not table.loc["fair", "flag"].any()
    assert found >= 0.9 * SEEDS
    assert clean >= 0.9 * SEEDS
