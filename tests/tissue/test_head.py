"""The head: honest on left-out groups, worth nothing where there is nothing, and what is far is told."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from scvcell.tissue import Classes, Values, answer, class_sets, quantile
from scvcell.tissue._head import folds, thinned


def problem(n=240, groups=8, seed=0):
    rng = np.random.default_rng(seed)
    group, code = np.arange(n) % groups, rng.integers(3, size=n).astype(float)
    x = np.eye(3)[code.astype(int)] * 2 + rng.normal(size=(n, 3))
    return x, code, group


def test_what_can_be_told_is_told():
    x, code, group = problem()
    known = np.arange(200)
    asked = Classes(np.where(np.arange(240) < 200, code, np.nan), ["a", "b", "c"])
    found = answer(asked, x, [group], known, 0)
    assert (found.value.argmax(1)[200:] == code[200:]).mean() > 0.7
    assert 0.3 < found.lower <= found.skill <= found.upper < 0.9
    sets = class_sets(found, code[:200].astype(int), 0.9)
    assert 0.8 <= sets[np.arange(200, 240), code[200:].astype(int)].mean() <= 1
    assert sets[:200][np.arange(200), code[:200].astype(int)].mean() >= 0.9
    assert sets.sum(1).mean() < 2.5


def test_known_units_are_predicted_by_heads_that_did_not_see_their_group():
    """Features that name the group tell the outcomes of a group to whoever saw it, and nothing to others."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(20), 10)
    code = rng.permutation(np.arange(20) % 2)[group].astype(float)
    found = answer(Classes(code, ["a", "b"]), 3 * np.eye(20)[group], [group], np.arange(200), 0)
    assert roc_auc_score(code, found.value[:, 1]) < 0.7
    assert found.lower <= 0


def test_nothing_is_found_where_there_is_nothing():
    auc = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        code = rng.permutation(np.arange(40) % 2).astype(float)
        found = answer(Classes(code, ["a", "b"]), rng.normal(size=(40, 20)), [np.arange(40)], np.arange(40), 0)
        auc.append(roc_auc_score(code, found.value[:, 1]))
    assert 0.35 < np.mean(auc) < 0.6


@pytest.mark.parametrize("groups", [1, 2])
def test_few_groups_are_split_by_units_where_they_must_be(groups):
    x, code, group = problem(60, groups)
    for asked in (Classes(code, ["a", "b", "c"]), Values(x[:, 0] + 0.1 * x[:, 1])):
        found = answer(asked, x, [group], np.arange(60), 0)
        assert np.isfinite(found.value).all()
        assert found.skill > 0.2


def test_what_is_far_is_told():
    x, code, group = problem()
    x[230:] += 20
    found = answer(
        Classes(np.where(np.arange(240) < 220, code, np.nan), ["a", "b", "c"]), x, [group], np.arange(220), 0
    )
    assert found.near[:230].mean() > 0.95
    assert not found.near[230:].any()


def test_values():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 4))
    value = np.where(np.arange(100) < 80, x[:, 0] + 0.3 * rng.normal(size=100), np.nan)
    found = answer(Values(value), x, [np.arange(100) // 5], np.arange(80), 0)
    assert found.lower > 0.5
    assert np.corrcoef(found.value[80:, 0], x[80:, 0])[0, 1] > 0.95


def test_folds_keep_groups_whole_and_deal_outcomes_evenly():
    code = np.repeat([0.0, 1.0], 50)
    group = np.arange(100) // 5
    parts = folds(Classes(code, ["a", "b"]), [np.zeros(100, int), group], np.arange(100))
    assert len(parts) == 5
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(100))
    for part in parts:
        assert code[part].mean() == 0.5
        assert (np.unique(group[part], return_counts=True)[1] == 5).all()
    coarse = folds(Classes(code, ["a", "b"]), [np.arange(100) % 2, group], np.arange(100))
    assert [set(part % 2) for part in coarse] == [{0}, {1}]


def test_quantiles():
    assert quantile(np.arange(9.0), 0.9) == 8
    assert quantile(np.arange(8.0), 0.9) == np.inf
    assert quantile(np.arange(99.0)[::-1], 0.5) == 49
    np.testing.assert_array_equal(thinned(np.arange(7)), np.arange(7))
    some = thinned(np.arange(50_000))
    assert len(some) == 20_000
    assert (some[0], some[-1]) == (0, 49_999)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_sets_hold_the_best_class(scale):
    x, code, group = problem()
    found = answer(Classes(code, ["a", "b", "c"]), scale * x, [group], np.arange(240), 0)
    sets = class_sets(found, code.astype(int), 0.05)
    assert (sets.sum(1) >= 1).all()
