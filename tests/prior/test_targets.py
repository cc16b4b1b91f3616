import numpy as np
import pandas as pd
import pytest

from scvcell.prior import TargetKernel

TABLE = pd.DataFrame([[0.0, 1, 0], [0, 1, 0.1], [5, 0, 3], [0, 1, 0.05]], index=["A", "B", "C", "new"])


def test_like_targets_weigh_most():
    weights = TargetKernel(TABLE).weights("new", ["A", "B", "C"])
    assert weights[0] > 0.3
    assert weights[1] > 0.3
    assert abs(weights[2]) < 0.2


def test_known_targets_that_the_table_lacks_get_no_weight():
    weights = TargetKernel(TABLE).weights("new", ["A", "X"])
    assert weights.shape == (2,)
    assert weights[1] == 0


def test_likeness_is_high_for_what_is_like_known_targets():
    kernel = TargetKernel(TABLE)
    assert kernel.likeness("new", ["A", "B"]) > 0.7
    assert kernel.likeness("new", ["C"]) < 0.1
    assert kernel.likeness("other", ["A"]) == 0


def test_nothing_to_say():
    kernel = TargetKernel(TABLE)
    assert kernel.weights("other", ["A"]) is None
    assert kernel.weights("new", ["X"]) is None


def test_a_little_ridge_reproduces_a_known_target():
    np.testing.assert_allclose(TargetKernel(TABLE, ridge=1e-8).weights("A", ["A", "C"]), [1, 0], atol=1e-3)


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ([[1.0]], TypeError, "must be a DataFrame"),
        (pd.DataFrame([[1.0], [2.0]], index=["A", "A"]), ValueError, "two rows for 'A'"),
        (pd.DataFrame([["x"]], index=["A"]), ValueError, "finite numbers only"),
        (pd.DataFrame([[np.nan]], index=["A"]), ValueError, "finite numbers only"),
        (pd.DataFrame(index=["A"]), ValueError, "finite numbers only"),
    ],
)
def test_refused(table, error, message):
    with pytest.raises(error, match=message):
        TargetKernel(table)
