"""Units of cells, scores of each, and what a second measurement would say."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import poisson

from scvcell.risk import QUANTILES, Labels, Values
from scvcell.risk.axes._values import blocks, groups, members, scored_values, translators, twin

CELLS = pd.Index([f"c{i:03d}" for i in range(100)])


def test_blocks_are_alike_in_size_and_depend_on_names():
    of = blocks(CELLS, 20, 0)
    assert of.value_counts().tolist() == [34, 33, 33], "at least 30 cells each"
    order = np.random.default_rng(0).permutation(100)
    assert blocks(CELLS[order], 20, 0).equals(of[order])
    assert set(blocks(CELLS[:10], 20, 0)) == {"block 1"}
    assert sum(map(len, members(of, CELLS).values())) == 100


def test_units_may_be_those_of_a_column():
    column = pd.Series([1.0, None, 2.0], index=CELLS[:3])
    assert groups(column, CELLS[[2, 1, 0]]).tolist() == ["2", "not known", "1"]


def test_scores_are_those_of_the_cells_of_a_unit():
    rng = np.random.default_rng(0)
    truth = pd.DataFrame(rng.poisson(5.0, (100, 4)).astype(float), CELLS, list("wxyz"))
    point = truth + rng.poisson(1.0, truth.shape)
    unit = pd.Index(np.where(np.arange(100) < 60, "one", "two"))
    found = scored_values(unit, truth, Values(point.iloc[::-1]), "values", ("rmse",), 0.9)
    of = {(each.unit, each.metric): each for each in found}
    error = np.log1p(point.to_numpy()) - np.log1p(truth.to_numpy())
    for name, rows in (("one", slice(60)), ("two", slice(60, 100))):
        expected = np.sqrt((error[rows] ** 2).mean())
        assert of[name, "rmse"].value == pytest.approx(expected, rel=0.02)
        assert of[name, "answered"].value == 1
    profiles = pd.DataFrame(np.eye(2).repeat(2, 1), ["a", "b"], truth.columns)
    seen = scored_values(unit, truth, Values(truth), "values", ("rmse",), 0.9, [Labels(profiles)])
    assert {each.value for each in seen if each.readout == "labels"} == {1.0}


def test_a_second_measurement_differs_as_two_counts_do():
    rng = np.random.default_rng(0)
    expected = np.repeat([1.0, 4, 20], 4000)
    truth, other = (pd.DataFrame(rng.poisson(expected)[:, None].astype(float)) for _ in range(2))
    drawn = twin(truth, [1, 0]).point
    for level in (1.0, 4, 20):
        at = expected == level
        honest, made = ((x - truth).to_numpy()[at] for x in (other, drawn))
        assert made.mean() == pytest.approx(0, abs=0.15)
        assert made.var() == pytest.approx(honest.var(), rel=0.1)
    assert twin(truth, [1, 0]).point.equals(drawn)


def test_every_simple_translation_is_at_hand():
    assert {each.name for each in translators()} == {"mean profile", "PCA + kNN", "PCA + ridge"}


def test_quantiles_are_scored_unit_by_unit_on_the_scale_of_the_values():
    rng = np.random.default_rng(0)
    truth = pd.DataFrame(rng.poisson(30.0, (100, 3)).astype(float), CELLS, list("xyz"))
    told = {level: pd.DataFrame(poisson.ppf(level, 30.0), CELLS[::-1], truth.columns) for level in QUANTILES}
    told[0.95].iloc[0] = np.nan
    unit = pd.Index(np.where(np.arange(100) < 60, "one", "two"))
    metrics = ("crps_quantiles", "pit_quantiles")
    found = {
        (each.unit, each.metric): each.value
        for each in scored_values(unit, truth, Values(truth, quantiles=told), "values", metrics, 0.9)
    }
    true, levels = np.log1p(truth.to_numpy()), np.array(QUANTILES)[:, None, None]
    for name, rows in (("one", slice(60)), ("two", slice(60, 99))):
        off = np.log1p(poisson.ppf(levels, 30.0)) - true[rows]
        assert found[name, "crps_quantiles"] == pytest.approx(2 * np.mean(((off >= 0) - levels) * off))
        assert found[name, "pit_quantiles"] < 0.06
    assert len(found) == 6, "the share that was answered stands beside them"


def test_an_answer_that_lacks_features_is_refused_and_not_taken_for_silence():
    truth = pd.DataFrame(1.0, CELLS, list("xyz"))
    unit = pd.Index(["one"] * 100)
    with pytest.raises(
        ValueError, match=r"lacks 1 of the 3 features, e.g. 'z'; it has e.g. \['y', 'x'\]. Answer for all"
    ):
        scored_values(unit, truth, Values(truth[["y", "x"]]), "values", ("rmse",), 0.9)
    few = scored_values(unit, truth, Values(truth.iloc[:40, ::-1]), "values", ("rmse",), 0.9)
    assert next(each.value for each in few if each.metric == "answered") == 0.4


def test_negative_counts_are_refused_but_for_logs_that_were_undone():
    truth = pd.DataFrame(np.random.default_rng(0).poisson(3.0, (100, 3)).astype(float), CELLS, list("xyz"))
    unit = pd.Index(["one"] * 100)
    scored = {}
    for least in (-1.5, -0.5, 0.0):
        point = truth.copy()
        point.iloc[0, 0] = least
        if least < -1:
            with pytest.raises(ValueError, match=r"values down to -1\.5, where none that was measured is below 0"):
                scored_values(unit, truth, Values(point), "values", ("rmse",), 0.9)
        else:
            scored[least] = scored_values(unit, truth, Values(point), "values", ("rmse",), 0.9)
    assert scored[-0.5] == scored[0.0]
    centred = truth - 4
    assert scored_values(unit, centred, Values(centred), "values", ("rmse",), 0.9, scale=np.asarray)[1].value == 0
