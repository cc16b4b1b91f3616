"""Answers are labelled: order never matters, and what was not said is NaN."""

import numpy as np
import pandas as pd
import pytest

from scvcell.risk import Values

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
