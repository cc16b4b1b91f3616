"""The field against ridge regression, a Gaussian process, and steps of Runge and Kutta in plain loops."""

import numpy as np
import pytest

from scvcell.drift._field import PRIOR_WEIGHT, Field


def turn(z):
    """Velocity around the origin."""
    return np.stack([-z[:, 1], z[:, 0]], 1)


@pytest.fixture
def cloud():
    return np.random.default_rng(0).normal(size=(80, 2))


@pytest.fixture
def field(cloud):
    rng = np.random.default_rng(1)
    evidence = [(cloud, turn(cloud) + 0.3 * rng.normal(size=cloud.shape)) for _ in range(4)]
    return Field.fit(cloud, evidence, 0, "day", "day")


def kernel(a, b, width):
    return np.exp(-np.square(a[:, None] - b[None]).sum(2) / 2 / width**2)


def test_weights_are_ridge_regression(cloud):
    velocity = turn(cloud)
    found = Field.fit(cloud, [(cloud, velocity)], 0, "day", "day")
    apart = np.linalg.norm(found.landmarks[:, None] - found.landmarks[None], axis=2)
    assert found.width == pytest.approx(0.5 * np.median(apart[apart > 0]))
    prior = kernel(found.landmarks, found.landmarks, found.width) + 1e-6 * np.eye(80)
    root = np.sqrt(PRIOR_WEIGHT) * np.linalg.cholesky(prior).T
    design = np.concatenate([kernel(cloud, found.landmarks, found.width), root])
    weights = np.linalg.lstsq(design, np.concatenate([velocity, np.zeros((80, 2))]), rcond=None)[0]
    asked = np.random.default_rng(2).normal(size=(20, 2))
    expected = kernel(asked, found.landmarks, found.width) @ weights
    np.testing.assert_allclose(found.velocity(asked), expected, atol=1e-5)
    near = np.linalg.norm(cloud, axis=1) < 1.5
    assert np.abs(found.velocity(cloud) - velocity)[near].mean() < 0.2


def test_support_is_the_share_of_variance_that_a_gaussian_process_explains(cloud, field):
    asked = np.concatenate([cloud[:10], cloud[:10] + 1, [[50.0, 50.0]]])
    among = kernel(cloud, cloud, field.width) + np.eye(80) * PRIOR_WEIGHT
    cross = kernel(asked, cloud, field.width)
    expected = (cross * np.linalg.solve(among, cross.T).T).sum(1)
    np.testing.assert_allclose(field.support(asked), expected, atol=1e-3)
    assert field.support(asked)[-1] == 0
    assert not field.velocity(asked)[-1].any()


def test_flow_is_many_small_steps(cloud, field):
    z = cloud[:6]
    end, members, support = field.flow(z, 1.5)
    for member, found in ((None, end), (2, members[2])):
        state = z.copy()

        def velocity(x, member=member):
            return field.velocity(x) if member is None else field.members(x)[member]

        for _ in range(150):
            a = velocity(state)
            b = velocity(state + 0.005 * a)
            c = velocity(state + 0.005 * b)
            d = velocity(state + 0.01 * c)
            state = state + 0.01 / 6 * (a + 2 * b + 2 * c + d)
        np.testing.assert_allclose(found, state, atol=1e-3)
    looks = [field.support(field.flow(z, t)[0]) for t in np.linspace(0, 1.5, 5)]
    np.testing.assert_allclose(support, np.min(looks, 0), atol=1e-3)


def test_times_add_up_and_no_time_changes_nothing(cloud, field, monkeypatch):
    once, _, _ = field.flow(cloud, 1.5)
    np.testing.assert_allclose(field.flow(field.flow(cloud, 0.9)[0], 0.6)[0], once, atol=1e-3)
    np.testing.assert_array_equal(field.flow(cloud, 0)[0], cloud)
    monkeypatch.setattr("scvcell.drift._field.CELLS_PER_BLOCK", 7)
    np.testing.assert_allclose(field.flow(cloud, 1.5)[0], once, atol=1e-3)


def test_confidence_is_the_mean_cosine_and_of_kinetics_no_more_than_what_was_told(cloud, field):
    z = cloud[:5]
    expected = []
    for cell in z:
        each = field.members(cell[None])[:, 0]
        mean = each.mean(0)
        expected.append(np.mean([m @ mean / np.linalg.norm(m) / np.linalg.norm(mean) for m in each]))
    np.testing.assert_allclose(field.confidence(z), expected)
    evidence = [(cloud, turn(cloud))] * 2
    assert not Field.fit(cloud, evidence, 0, "life", "").confidence(z).any()
    sure = Field.fit(cloud, evidence, 0, "life", "", told=np.ones(80))
    half = Field.fit(cloud, evidence, 0, "life", "", told=np.where(cloud[:, 0] > 0, 1.0, 0.0))
    middle = np.linalg.norm(cloud, axis=1) < 1
    right = cloud[:, 0] > 0.7
    assert sure.trusted(cloud[middle]).all()
    assert half.trusted(cloud[middle & right]).all()
    assert not half.trusted(cloud[middle & (cloud[:, 0] < -0.7)]).any()
    none = Field.fit(cloud, evidence, 0, "life", "", told=np.zeros(80))
    assert not none.trusted(cloud).any()


def test_plain_arrays_make_the_same_field_and_its_name_is_short(cloud, field):
    again = Field.from_arrays(field.as_arrays())
    np.testing.assert_array_equal(again.flow(cloud[:3], 1.0)[1], field.flow(cloud[:3], 1.0)[1])
    assert (again.unit, again.time_key, again.clone_key) == ("day", "day", "")
    assert repr(again) == "Field from cells at several 'day': 80 landmarks, time in day."
