"""Answers are labelled: order never matters, and what was not said is NaN."""

import numpy as np
import pandas as pd
import pytest

from scvcell.risk import QUANTILES, Values

CELLS, FEATURES = pd.Index(["a", "b", "c"]), pd.Index(["x", "y"])
POINT = pd.DataFrame([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], CELLS, FEATURES)


def test_values_are_found_by_name():
    mixed = POINT.loc[["c", "a"], ["y", "x"]]
    (found,) = Values(mixed).at(CELLS, FEATURES)
    np.testing.assert_array_equal(found, [[1, 2], [np.nan, np.nan], [5, 6]])
    point, lower, upper = Values(POINT, mixed - 1, POINT + 1).at(pd.Index(["c"]), FEATURES)
    np.testing.assert_array_equal(np.concatenate([point, lower, upper]), [[5, 6], [4, 5], [6, 7]])


def test_an_interval_has_two_ends():
    with pytest.raises(ValueError, match="Give both ends of the interval, or none"):
        Values(POINT, lower=POINT)


def test_quantiles_are_found_by_name_and_level():
    told = {level: (POINT + level).loc[["c", "a"], ["y", "x"]] for level in QUANTILES[::-1]}
    found = Values(POINT, quantiles=told).quantiles_at(CELLS, FEATURES)
    expected = POINT.to_numpy() + np.array(QUANTILES)[:, None, None]
    np.testing.assert_allclose(found[:, [0, 2]], expected[:, [0, 2]])
    assert np.isnan(found[:, 1]).all()
    assert Values(POINT).quantiles_at(CELLS, FEATURES) is None
