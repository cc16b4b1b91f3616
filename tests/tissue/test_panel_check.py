"""Check by the panel: platform factors, skill and unexplained cells are those that were planted."""

import numpy as np
import pytest

from scvcell.tissue._panel_check import check_panel, depth_of

FEATURES, KINDS = 40, 3


def scene(seed=0, *, n=400, factor=1.0, new=0, kinds=KINDS):
    """Counts and states of a reference, and of a tissue of which the first `new` cells are of another kind."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(2, 0.6, FEATURES) * np.where(np.equal.outer(np.arange(4), np.arange(FEATURES) % 4), 5, 1)
    parts = []
    for tissue in (False, True):
        kind = rng.integers(kinds, size=n)
        kind[: new if tissue else 0] = 3
        rate = rates[kind] * rng.gamma(8, 1 / 8, (n, 1)) * (factor if tissue else 1)
        state = np.eye(4)[kind] * 4 + rng.normal(0, 0.5, (n, 4))
        parts.append((rng.poisson(rate).astype(float), state))
    return parts


def run(parts, factor=None, seed=0):
    scale = float(np.median(depth_of(parts[0][0])))
    factor = np.ones(FEATURES) if factor is None else factor
    return check_panel(*parts, factor, scale, np.random.default_rng(seed))


def test_like_cells_are_told_alike_and_covered():
    found = run(scene())
    assert found.reference_skill.mean() > 0.3
    assert found.skill.mean() == pytest.approx(found.reference_skill.mean(), abs=0.05)
    assert found.coverage(0.9) == pytest.approx(0.92, abs=0.03)
    assert np.abs(found.log_factor).mean() < 0.1
    assert (found.unexplained <= 1).mean() > 0.97


def test_factors_of_the_platform_are_found_and_cost_coverage():
    factor = np.exp(np.random.default_rng(3).normal(0, 0.8, FEATURES))
    parts = scene(factor=factor)
    found = run(parts, factor)
    assert np.corrcoef(found.log_factor, np.log(factor))[0, 1] > 0.95
    assert found.log_factor.std() == pytest.approx(np.log(factor).std(), rel=0.25)
    assert found.coverage(0.9) < run(scene()).coverage(0.9) - 0.03
    assert found.skill.mean() > 0.2
    assert found.coverage(0.98) > found.coverage(0.9)


def test_cells_that_the_reference_lacks_are_unexplained():
    parts = scene(new=60)
    found = run(parts)
    assert (found.unexplained[:60] > 1).mean() > 0.9
    assert (found.unexplained[60:] > 1).mean() < 0.1
    assert not found.explained(parts[1][1][:5] + 0.01).any()
    assert found.explained(parts[1][1][60:160]).mean() > 0.9


def test_a_reference_of_one_kind_has_no_skill():
    found = run(scene(kinds=1))
    assert np.abs(found.skill).mean() < 0.1
    assert np.abs(found.skill.mean()) < 0.06


def test_it_is_the_same_again():
    one, two = run(scene()), run(scene())
    np.testing.assert_array_equal(one.unexplained, two.unexplained)
