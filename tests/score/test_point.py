"""Point scores at their edges; their values are those of plain loops in ``tests/risk/test_parity.py``."""

import numpy as np
import pytest
from scipy.stats import pearsonr

from scvcell import score


def pair(n=60, d=3, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, d))
    return a, a + 0.7 * rng.normal(size=(n, d))


def test_correlation_is_numpys_and_zero_for_constants():
    a, b = pair()
    expected = [np.corrcoef(a[:, j], b[:, j])[0, 1] for j in range(a.shape[1])]
    np.testing.assert_allclose(score.correlation(a, b), expected)
    a[:, 0] = 3.0
    assert score.correlation(a, b)[0] == 0


def test_what_a_constant_column_gives():
    true, predicted = pair()
    true[:, 0] = 2.0
    predicted[:, 1] = 5.0
    r = float(pearsonr(true[:, 2], predicted[:, 2])[0])
    np.testing.assert_allclose(score.correlation(predicted, true), [0, 0, r])
    np.testing.assert_allclose(score.correlation(predicted, true, constant="nan"), [np.nan, np.nan, r])
    np.testing.assert_allclose(score.correlation(predicted, true, constant="truth"), [np.nan, 0, r])
    np.testing.assert_allclose(score.prediction_scores(predicted, true)["pearson"], r / 2)
    assert score.pearson(predicted[:, 1], true[:, 1]) == 0


def test_nothing_and_everything():
    true, _ = pair()
    for name in ("nmae", "nmse"):
        assert getattr(score, name)(0 * true, true) == 1
        assert getattr(score, name)(true, true) == 0
    assert score.r2(np.full(60, true[:, 0].mean()), true[:, 0]) == pytest.approx(0)
    assert score.cosine(0 * true, true).tolist() == [0] * 60


def test_the_mean_over_features_is_never_larger():
    true, predicted = pair()
    predicted[:, 0] += 5
    assert score.rmse(predicted, true, average="features") < score.rmse(predicted, true)


def test_cells_with_all_or_nothing_open_do_not_count():
    there = np.array([[True, False, False], [True, True, True], [False, False, False]])
    scores = np.array([[0.1, 0.2, 0.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    assert score.auroc(scores, there) == 0.5
