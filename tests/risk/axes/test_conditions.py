"""Measured effects by condition: halves are disjoint, depend on names alone, and are not made of few cells."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scvcell import PerturbationKeys
from scvcell.risk import Split
from scvcell.risk.axes._conditions import Conditions
from scvcell.score import log_cp10k

KEYS = PerturbationKeys("drug", control="no", context="donor")


@pytest.fixture(scope="module")
def data():
    drug = np.repeat(["no", "a", "b", "no", "a"], [10, 50, 30, 10, 8])
    donor = np.repeat(["d0", "d1"], [90, 18])
    obs = pd.DataFrame({"drug": drug, "donor": donor}, index=[f"c{i:03d}" for i in range(108)])
    return AnnData(np.random.default_rng(0).poisson(3.0, (108, 9)).astype(np.float32), obs)


def conditions(data, hidden="ab", **more):
    test = data.obs_names[data.obs["drug"].isin(list(hidden)).to_numpy()]
    return Conditions(data, Split(data.obs_names.difference(test), test[:0], test), KEYS, **more)


def test_every_action_in_every_context_with_its_controls(data):
    found = conditions(data)
    assert [each.unit for each in found.every] == ["a in d0", "a in d1", "b in d0"]
    assert [len(each.treated) for each in found.every] == [50, 8, 30]
    assert [len(each.controls) for each in found.every] == [10, 10, 10]
    assert found.treated_contexts == set()
    assert conditions(data, "b").treated_contexts == {0, 1}


def test_halves_are_disjoint_and_depend_on_names_alone(data):
    found = conditions(data)
    first = found.every[0]
    for part in range(3):
        one, other = (found.half(first, part, second) for second in (False, True))
        assert sorted([*one, *other]) == sorted(first.treated)
        assert len(one) == len(other) == 25
    assert set(found.half(first, 0, True)) != set(found.half(first, 1, True))
    mixed = data[np.random.default_rng(1).permutation(108)].copy()
    again = conditions(mixed)
    same = next(each for each in again.every if each.unit == first.unit)
    names = [set(d.obs_names[c.half(u, 0, True)]) for d, c, u in ((data, found, first), (mixed, again, same))]
    assert names[0] == names[1]


def test_effects_are_differences_of_means_of_a_half(data):
    found = conditions(data)
    large, few, small = found.every
    values = log_cp10k(data.X)
    rows = found.half(large, 2, True)
    np.testing.assert_allclose(found.effect(large, 2), values[rows].mean(0) - values[large.controls].mean(0), atol=1e-5)
    whole = values[few.treated].mean(0) - values[few.controls].mean(0)
    assert (found.parts(large), found.parts(small), found.parts(few)) == (5, 0, 0)
    np.testing.assert_allclose(found.effect(few), whole, atol=1e-5)
    np.testing.assert_allclose(found.rivals(large, 1), [found.effect(large, 1), found.effect(small, 1)])
    assert conditions(data, n_parts=0).parts(large) == 0
