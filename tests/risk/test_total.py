"""R is the weighted mean of what is lacking; its weights are checked; the best predictor depends on them."""

import numpy as np
import pandas as pd
import pytest

from scvcell.risk._anchor import Bootstrap, Part
from scvcell.risk._columns import COLUMNS
from scvcell.risk._total import best_share, check_alpha, refused, total

RNG = np.random.default_rng(0)


def parts(**risk):
    """Of each predictor the risk along two axes, with 100 draws."""
    return {
        (axis, name): Part(value, value + RNG.normal(0, 0.1, 100), 20)
        for name, values in risk.items()
        for axis, value in zip(("context", "perturbation"), values, strict=False)
    }


HALF = {"context": 0.5, "perturbation": 0.5}


def test_r_is_the_weighted_mean():
    found = total(parts(a=(0.2, 0.4), b=(0.6, 0.1)), ["a", "b"], {"context": 0.25, "perturbation": 0.75}, Bootstrap())
    told = found.set_index("predictor")
    assert told.loc["a", "risk"] == pytest.approx(0.35)
    assert told.loc["b", "risk"] == pytest.approx(0.225)
    assert found["predictor"].tolist() == ["b", "a"], "the least risk first"
    assert (told["lower"] < told["risk"]).all()
    assert (told["risk"] < told["upper"]).all()


def test_who_leaks_or_is_silent_has_no_r_and_does_not_compete():
    made = parts(a=(0.2, 0.4), leak=(0.0, 0.0)) | {("context", "part"): Part(0.1, np.zeros(100), 20)}
    leakage = pd.DataFrame([["leak", "barcode", 1.0, 0.0, "red", "seen"]], columns=COLUMNS["leakage"])
    names = ["a", "leak", "part", "replicate"]
    notes = refused(leakage, names)
    assert set(notes) == {"leak"}
    told = total(made, names, HALF, Bootstrap(), notes).set_index("predictor")
    assert told["risk"].notna().tolist() == [True, False, False, False]
    assert told.loc["leak", "note"] == "not told: leakage (barcode)"
    assert told.loc["part", "note"] == "no answer along perturbation"
    assert told.loc["a", "best_share"] == 1
    whole = refused(leakage.assign(predictor=""), names)
    assert set(whole) == {"a", "leak", "part"}, "a leak of the split concerns all but the anchor"


def test_the_weight_of_an_axis_that_tells_nothing_is_shared():
    found = total({("context", "a"): Part(0.3, np.full(100, 0.3), 5)}, ["a"], HALF, Bootstrap()).iloc[0]
    assert found["risk"] == pytest.approx(0.3)
    assert found["note"] == "t over 5 units; no readout of perturbation can tell predictors apart"


def test_the_share_of_weights_with_which_a_predictor_is_best():
    rivals = np.array([True, True, False])
    shares = best_share(np.array([[0.0, 1.0], [0.5, 0.0], [-1.0, -1]]), rivals)
    # the first is best where alpha_2 < (1 - alpha_2) / 2, that is where it is below a third
    np.testing.assert_allclose(shares[:2], [1 / 3, 2 / 3], atol=0.03)
    assert np.isnan(shares[2])
    np.testing.assert_allclose(best_share(np.array([[0.1], [0.1]]), np.array([True, True])), 0.5)


@pytest.mark.parametrize(
    ("alpha", "error", "says"),
    [
        ({"context": -1, "perturbation": 1}, ValueError, "must be a number from 0 on, not -1"),
        ({"context": float("nan"), "perturbation": 1}, ValueError, "from 0 on, not nan"),
        ({"context": float("inf"), "perturbation": 1}, ValueError, "from 0 on, not inf"),
        ({"context": 0, "perturbation": 0}, ValueError, "0 for all axes"),
        ({"contxt": 1, "perturbation": 1}, ValueError, "Did you mean 'context'"),
        ({"context": 1}, ValueError, "lacks the weight of 'perturbation'"),
        ({"context": "much", "perturbation": 1}, TypeError, "must be a number"),
        ([1, 2], TypeError, "maps the name of each axis"),
    ],
)
def test_weights_that_are_none(alpha, error, says):
    with pytest.raises(error, match=says):
        check_alpha(alpha, list(HALF))


def test_weights_add_up_to_one():
    assert check_alpha({"context": 3, "perturbation": 1}, list(HALF)) == {"context": 0.75, "perturbation": 0.25}
    assert check_alpha(None, list(HALF)) == HALF
    assert check_alpha({"context": 0, "perturbation": np.float32(2)}, list(HALF)) == {"context": 0, "perturbation": 1}
