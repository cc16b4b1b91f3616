"""Imputation on a fitted state: weights, depths and platform factors; the verb's test asks for the whole."""

import numpy as np
import pytest

from scvcell.tissue import impute
from scvcell.tissue._impute import _weights


@pytest.fixture(scope="module")
def parts(imputed):
    seen = imputed.model.view(imputed.mdata)
    return seen.subset(np.flatnonzero(seen.present("panel") & ~seen.present("rest"))).only(["panel"])


@pytest.fixture(scope="module")
def found(imputed, parts):
    return impute(imputed.model, parts, "rest", "panel", ["panel"], 0.9)


def test_twice_the_depth_is_twice_the_counts_at_one_rate(imputed, parts, found):
    deep = np.asarray(parts.modalities["panel"].X.sum(1)).ravel()[parts.rows["panel"]]
    total, free = found.point.sum(1), found.rate.sum(1)
    assert np.corrcoef(np.log(deep), np.log(total))[0, 1] > 0.8
    assert abs(np.corrcoef(np.log(deep), np.log(free))[0, 1]) < 0.5


def test_platform_factors_are_found(imputed, found):
    scene = imputed
    panel = scene.tissue.var_names
    expected = np.zeros(len(panel))
    for kind in range(3):
        rates = scene.reference[scene.ours == kind, panel].X.toarray()
        cells = scene.tissue[scene.kind == kind].X.toarray()
        expected += rates.sum(0) / rates.sum() * cells.sum()
    observed = scene.tissue[scene.kind < 3].X.toarray().sum(0)
    assert np.corrcoef(found.check.log_factor, np.log(observed / expected))[0, 1] > 0.8
    assert found.agrees()


def test_weights_follow_cells_that_the_fit_has_not_seen_half_way():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(200, 5))
    members = {"good": truth + rng.normal(0, 0.2, truth.shape), "bad": rng.normal(size=truth.shape)}
    fresh = np.arange(200) < 60
    got = _weights(members, truth, fresh)
    assert got["good"] > 0.7
    assert sum(got.values()) == pytest.approx(1)
    assert got["bad"] >= 0.25 - 1e-9
    assert _weights(members, truth, np.arange(200) < 5) == {"good": 0.5, "bad": 0.5}
    assert _weights(members, np.zeros_like(truth), fresh) == {"good": 0.5, "bad": 0.5}


def test_intervals_and_trust_are_of_each_cell_and_feature(found, parts):
    shape = (parts.n_obs, 30)
    assert found.point.shape == found.rate.shape == found.lower.shape == found.upper.shape == shape
    assert found.trusted.shape == shape[:1]
    assert found.skill.shape == found.feature_trusted().shape == shape[1:]
    assert np.isnan(found.skill[-1])
    assert (found.lower >= 0).all()
    assert found.left_out_cells == 360
