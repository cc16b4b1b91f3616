"""A head says of predicted cells what it says of measured ones: classes, values, hazards."""

import pickle

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.stats import spearmanr

from scvcell import PerturbationKeys, risk
from scvcell.risk import Endpoint, Split, Values
from scvcell.risk.axes import Perturbation
from scvcell.risk.axes._values import scored_values
from scvcell.score import energy_distance, log_cp10k

CELLS, GENES = pd.Index([f"c{i:03d}" for i in range(300)]), pd.Index([f"g{i:02d}" for i in range(30)])


@pytest.fixture(scope="module")
def world():
    """Counts of cells with one programme in ten genes, and the programme."""
    rng = np.random.default_rng(0)
    level = rng.normal(size=300)
    rate = 5 * np.exp(0.5 * level[:, None] * (np.arange(30) < 10))
    return pd.DataFrame(rng.poisson(rate).astype(float), CELLS, GENES), pd.Series(level, CELLS)


@pytest.fixture(scope="module")
def heads(world):
    counts, level = world
    log, rng = np.log1p(counts), np.random.default_rng(1)
    kind = pd.Series(np.where(level > 0, "yes", "no"), CELLS)
    time = pd.Series(rng.exponential(np.exp(-1.5 * level)), CELLS)
    seen = pd.Series(rng.random(300) < 0.8, CELLS)
    kind.iloc[:20] = None
    return {"class": Endpoint(log, kind), "value": Endpoint(log, level), "time": Endpoint(log, time, seen)}


def test_a_head_of_each_kind_finds_what_decides(world, heads):
    counts, level = world
    log = np.log1p(counts.to_numpy())
    for name, least in (("value", 0.9), ("time", 0.8)):
        found = heads[name](log, GENES)
        assert found.shape == (300, 1)
        assert spearmanr(found[:, 0], level).statistic > least
        assert heads[name].classes(found) is None
    sure = np.abs(level) > 0.5
    found = heads["class"](log, GENES)
    assert (heads["class"].classes(found) == np.where(level > 0, "yes", "no"))[sure].mean() > 0.9
    np.testing.assert_allclose(found.sum(1), 1)
    assert heads["class"].metrics == ("accuracy", "macro_f1", "energy_distance")
    assert heads["time"].metrics == heads["value"].metrics == ("pearson", "rmse", "energy_distance")


def test_it_reads_the_features_that_both_have_by_name(world, heads):
    log = np.log1p(world[0].to_numpy())
    order = np.random.default_rng(2).permutation(30)
    other = heads["value"](np.column_stack([log[:, order], log[:, 0]]), GENES[order].append(pd.Index(["else"])))
    np.testing.assert_allclose(other, heads["value"](log, GENES), atol=1e-8)
    some = heads["value"](log[:, :12], GENES[:12])
    assert spearmanr(some[:, 0], world[1]).statistic > 0.85
    again = pickle.loads(pickle.dumps(heads["value"]))
    np.testing.assert_array_equal(again(log, GENES), heads["value"](log, GENES))
    assert again.identity == heads["value"].identity != heads["time"].identity


def test_errors_count_as_far_as_they_change_the_endpoint(world, heads):
    counts, _ = world
    unit = pd.Index(np.repeat(["one", "two"], 150))
    beside, along = counts.copy(), counts.copy()
    beside.iloc[:, 20:] = beside.iloc[::-1, 20:].to_numpy()  # genes that no endpoint depends on
    along.iloc[:, :10] = along.iloc[::-1, :10].to_numpy()
    scores = {}
    for name, told in (("beside", beside), ("along", along), ("true", counts)):
        for readout in heads.values():
            for each in scored_values(unit, counts, Values(told), "values", (), 0.9, [readout]):
                scores[name, readout.identity, each.unit, each.metric] = each.value
    value, kind = heads["value"].identity, heads["class"].identity
    assert scores["true", value, "one", "rmse"] == 0 >= scores["true", value, "one", "energy_distance"]
    assert scores["beside", value, "two", "pearson"] > 0.9 > 0.3 > scores["along", value, "two", "pearson"]
    assert scores["beside", kind, "one", "accuracy"] > 0.85 > 0.7 > scores["along", kind, "one", "accuracy"]
    assert ("true", kind, "one", "pearson") not in scores


def test_cells_after_an_action_are_compared_as_sets(world, heads):
    counts, _ = world
    drug = np.repeat(["no", "a"], 150)
    data = AnnData(counts.to_numpy(np.float32), pd.DataFrame({"drug": drug}, CELLS), pd.DataFrame(index=GENES))
    axis = Perturbation(PerturbationKeys("drug", control="no"), n_partitions=2, metrics=())
    readout = Endpoint(pd.DataFrame(log_cp10k(counts.to_numpy()), CELLS, GENES), world[1])
    data.obs["drug"] = np.where(np.arange(300) % 3 == 0, "b", drug)
    hidden = CELLS[(data.obs["drug"] == "a").to_numpy()]
    (test,) = axis.stress_tests(data, Split(CELLS.difference(hidden), hidden[:0], hidden))
    conditions, of = test.truth()
    answer = axis.replicate(test, 0)
    (found,) = [each for each in axis.scored(test, answer, 0, [readout]) if each.readout == "endpoint"]
    both = [readout(conditions.values[conditions.half(of, 0, second)], GENES) for second in (False, True)]
    assert found.metric == "energy_distance"
    assert found.value == pytest.approx(energy_distance(*both), abs=1e-3)
    nothing = risk.Effects(answer.change)
    assert not any(each.readout == "endpoint" for each in axis.scored(test, nothing, 0, [readout])), "no cells, no row"


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda v, y: Endpoint(), ValueError, r"Endpoint\(values, outcome\)"),
        (lambda v, y: Endpoint(v.to_numpy(), y), TypeError, "values"),
        (lambda v, y: Endpoint(v, y.to_numpy()), TypeError, "outcome"),
        (lambda v, y: Endpoint(v, y[:19]), ValueError, "19 cells of values have an endpoint; at least 20"),
        (lambda v, y: Endpoint(v, 0 * y), ValueError, "All 300 cells have the same endpoint"),
        (lambda v, y: Endpoint(v, y).check(GENES.str.upper()), ValueError, "share fewer than 5 features"),
    ],
)
def test_what_no_head_can_be_learned_from(world, make, error, says):
    counts, level = world
    with pytest.raises(error, match=says):
        make(counts, level)
