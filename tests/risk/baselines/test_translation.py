"""Simple translations against what they are by hand, and the names under which they were known."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

import scvcell.model
from scvcell.risk.baselines import TRANSLATORS, mean_profile, pca_knn, pca_ridge


def cells(n=120, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 3))
    x = z @ rng.normal(size=(3, 12)) + 0.1 * rng.normal(size=(n, 12))
    y = z @ rng.normal(size=(3, 4)) + 0.1 * rng.normal(size=(n, 4))
    return x[:80], y[:80], x[80:], y[80:]


def test_mean_profile_is_the_mean_for_every_cell():
    x, y, new, _ = cells()
    np.testing.assert_array_equal(mean_profile(x, y, new), np.tile(y.mean(0), (40, 1)))


def test_neighbours_by_hand():
    x, y, new, _ = cells()
    pca = PCA(12, random_state=0).fit(x)
    a, b = pca.transform(x), pca.transform(new)
    near = np.linalg.norm(b[:, None] - a[None], axis=2).argsort(1)[:, :7]
    np.testing.assert_allclose(pca_knn(x, y, new, k=7), y[near].mean(1))


def test_ridge_is_the_best_of_the_ridges():
    x, y, new, truth = cells()
    pca = PCA(12, random_state=0).fit(x)
    each = [Ridge(alpha).fit(pca.transform(x), y).predict(pca.transform(new)) for alpha in np.logspace(0, 4, 9)]
    found = pca_ridge(x, y, new)
    assert any(np.allclose(found, one) for one in each)
    assert ((found - truth) ** 2).mean() < 1.05 * min(((one - truth) ** 2).mean() for one in each)


@pytest.mark.parametrize("name", TRANSLATORS)
def test_every_translator_gives_one_row_per_new_cell(name):
    x, y, new, _ = cells()
    found = TRANSLATORS[name](x, y, new)
    assert found.shape == (40, 4)
    assert np.isfinite(found).all()


def test_old_names_say_where_they_are_now():
    with pytest.warns(FutureWarning, match="scvcell.model.baselines is now scvcell.risk.baselines"):
        old = scvcell.model.baselines
    assert old.TRANSLATORS is TRANSLATORS
    counts = np.array([[1.0, 3.0], [0.0, 0.0]])
    with pytest.warns(FutureWarning, match="scvcell.score.log_cp10k"):
        np.testing.assert_allclose(old.normalise_counts(counts), np.log1p([[2500, 7500], [0, 0]]))
    with pytest.warns(FutureWarning, match="scvcell.score.clr"):
        np.testing.assert_allclose(old.clr(counts).sum(1), 0, atol=1e-12)
    with pytest.warns(FutureWarning, match="scvcell.perturb.BASELINES is now scvcell.risk.baselines.BASELINES"):
        assert scvcell.perturb.BASELINES is scvcell.risk.baselines.BASELINES
    with pytest.warns(FutureWarning, match="scvcell.perturb.Baseline is now"):
        assert scvcell.perturb.Baseline is scvcell.risk.baselines.Baseline
