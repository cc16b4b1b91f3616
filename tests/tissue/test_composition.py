"""Lift of spots: made-up mixtures are found within their intervals."""

import numpy as np
import pytest
import scipy.sparse as sp

from scvcell.scale import _amortise, mix
from scvcell.tissue import Reference, _composition, lift

KINDS, FEATURES, N_CELLS = 3, 60, 6.0


@pytest.fixture(scope="module", autouse=True)
def fewer_steps():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_amortise, "N_STEPS", 120)
        patch.setattr(_composition, "N_CHECKED", 200)
        yield


def poisson_cells(rng, n, rates, theta=None):
    kind = np.arange(n) % KINDS
    mu = rates[kind] * (1 if theta is None else rng.gamma(theta, 1 / theta, (n, FEATURES)))
    return sp.csr_matrix(rng.poisson(mu).astype(float)), kind


@pytest.fixture(scope="module")
def scene():
    """Cells of 3 kinds in two groups that differ a little, and 150 mixtures of other cells of a third one."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(2.0, 0.5, (KINDS, FEATURES)) * np.where(np.equal.outer(range(KINDS), np.arange(60) % KINDS), 3, 1)
    parts = [poisson_cells(rng, 90, rates * np.exp(rng.normal(0, 0.1, rates.shape))) for _ in range(3)]
    counts, kind = sp.vstack([part[0] for part in parts[:2]], "csr"), np.concatenate([part[1] for part in parts[:2]])
    spots = mix(*parts[2], KINDS, N_CELLS, 150, rng)
    reference = Reference(sp.csr_matrix(counts), kind, ["a", "b", "c"])
    return spots, reference, np.repeat([0, 1], 90)


@pytest.fixture(scope="module")
def lifted(scene):
    spots, reference, group = scene
    return lift(spots.counts, reference, group, N_CELLS, 0.9, 0)


def off(found, true):
    return np.sqrt(((found - true) ** 2).mean())


def test_rates_and_dispersion_of_a_reference():
    rng = np.random.default_rng(0)
    rates, theta = rng.gamma(5.0, 2.0, (KINDS, FEATURES)), np.geomspace(1, 20, FEATURES)
    counts, kind = poisson_cells(rng, 3000, rates, theta)
    reference = Reference(counts, kind, ["a", "b", "c", "without cells"])
    found = reference.rates()
    dense = counts.toarray()
    np.testing.assert_allclose(found[:3], [dense[kind == k].mean(0) for k in range(3)])
    assert (found[3] == 0).all()
    assert np.abs(np.log(reference.theta(found) / theta)).mean() < 0.2
    some = reference.of(np.array([5, 0]))
    np.testing.assert_array_equal(some.counts.toarray(), dense[[5, 0]])
    assert (some.kind.tolist(), len(some.kinds)) == ([2, 0], 4)
    assert repr(some) == "Reference of 2 cells of 4 kinds, 60 features."


def test_mixtures_are_found(scene, lifted):
    spots, _, _ = scene
    np.testing.assert_allclose(lifted.share.sum(1), 1)
    own = off(lifted.share, spots.shares)
    assert own < 0.1
    assert own < 0.4 * off(spots.shares.mean(0), spots.shares)
    cells = lifted.cells.sum(1)
    depth = np.asarray(spots.counts.sum(1)).ravel()
    assert np.corrcoef(cells, depth)[0, 1] > 0.95
    assert abs(cells.mean() / N_CELLS - 1) < 0.15


def test_intervals_cover(scene, lifted):
    spots, _, _ = scene
    inside = (lifted.lower <= spots.shares) & (spots.shares <= lifted.upper)
    assert inside.mean() >= 0.8
    assert inside[spots.shares > 0].mean() >= 0.8, "not only of kinds that are not there"
    assert (lifted.upper - lifted.lower).mean() < 0.45, "not because they are wide"
    assert ((lifted.lower <= lifted.share) & (lifted.share <= lifted.upper)).all()
    assert lifted.left_out["rmse"] < 0.5 * lifted.left_out["mean_composition"]
    assert lifted.smooth == 0, "without places"


def test_a_higher_level_is_a_wider_interval(scene, lifted):
    spots, reference, group = scene
    narrow = lift(spots.counts[:5], reference, group, N_CELLS, 0.5, 0)
    np.testing.assert_allclose(narrow.share, lifted.share[:5], atol=0.05)
    assert ((narrow.upper - narrow.lower) < (lifted.upper - lifted.lower)[:5]).mean() > 0.8


@pytest.mark.parametrize("group", ["one", "one large"])
def test_one_group_says_nothing_of_how_far_off_it_is(scene, lifted, group):
    spots, reference, _ = scene
    code = np.zeros(180, np.int64)
    code[: 0 if group == "one" else 10] = 1
    found = lift(spots.counts, reference, code, N_CELLS, 0.9, 0)
    assert np.isnan(found.lower).all()
    assert np.isnan(found.upper).all()
    assert found.left_out is None
    np.testing.assert_array_equal(found.share, lifted.share)


def test_a_seed_is_one_answer(scene, lifted):
    spots, reference, group = scene
    again = lift(spots.counts, reference, group, N_CELLS, 0.9, 0)
    for key in ("share", "lower", "upper", "cells", "rates", "theta", "factor"):
        np.testing.assert_array_equal(getattr(again, key), getattr(lifted, key), err_msg=key)
