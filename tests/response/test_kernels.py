"""Likeness of conditions against the formula of each pair, in plain loops."""

import math

import numpy as np
import pytest
import torch

from scvcell.response._conditions import Conditions
from scvcell.response._kernels import CONTEXT_LENGTH, START_SHAPE, distinct, kernels, strength_of


def made(n, seed):
    rng = np.random.default_rng(seed)
    exposure = (rng.random((n, 3)) < 0.5).astype(float)
    exposure[0] = [1, 1, 0]
    level = exposure * np.log(rng.uniform(0.1, 1, (n, 3)))
    return Conditions(exposure, level, np.log(rng.uniform(0.1, 1, n)), rng.normal(size=(n, 2)))


@pytest.fixture
def likeness():
    root = np.random.default_rng(2).normal(size=(3, 2))
    root /= np.linalg.norm(root, axis=1, keepdims=True)
    return root @ root.T


def by_hand(a, i, b, j, like, spread):
    """Every kernel of two conditions, sums written out."""

    def strengths(u, row):
        return [
            u.exposure[row, k] * math.exp(0.4 * u.level[row, k] + 0.5 * u.time[row]) for k in range(u.exposure.shape[1])
        ]

    def dose(u, row):
        given = [u.level[row, k] for k in range(3) if u.exposure[row, k]]
        return sum(given) / len(given) if given else 0.0

    s, t = strengths(a, i), strengths(b, j)
    near = math.exp(-0.5 * (dose(a, i) - dose(b, j)) ** 2 - 0.5 * (a.time[i] - b.time[j]) ** 2)
    context = math.exp(-(math.dist(a.place[i], b.place[j]) ** 2) / (CONTEXT_LENGTH * spread))
    shared, target = sum(s) * sum(t), sum(p * q for p, q in zip(s, t, strict=True))
    same = shared * all((a.exposure[i, k] > 0) == (b.exposure[j, k] > 0) for k in range(3))
    return {
        "shared": shared,
        "shared, dose and time": shared * near,
        "shared, saturating": min(sum(s), 1) * min(sum(t), 1) * near,
        "target": target,
        "target in context": target * context,
        "target, dose and time": target * near,
        "like target, dose and time": sum(s[p] * t[q] * like[p, q] for p in range(3) for q in range(3)) * near,
        "combination": same,
        "combination in context": same * context * near,
    }


def test_each_is_its_formula(likeness):
    a, b = made(6, 0), made(5, 1)
    found = kernels(a, b, START_SHAPE, 1.7, likeness)
    for i in range(6):
        for j in range(5):
            expected = by_hand(a, i, b, j, likeness, 1.7)
            assert {name: float(k[i, j]) for name, k in found.items()} == pytest.approx(expected)


def test_each_is_a_covariance(likeness):
    units = made(25, 3)
    for name, k in kernels(units, units, START_SHAPE, 1.0, likeness).items():
        np.testing.assert_allclose(k, k.T, err_msg=name)
        assert torch.linalg.eigvalsh(k).min() > -1e-8, name


def test_strength_grows_with_powers_of_dose_and_time():
    exposure = np.ones((3, 1))
    units = Conditions(exposure, np.log([[1.0], [0.5], [1.0]]), np.log([1.0, 1.0, 0.25]), np.zeros((3, 1)))
    found = strength_of(units, {**START_SHAPE, "dose power": 2.0, "time power": 1.0})
    np.testing.assert_allclose(found[:, 0], [1.0, 0.25, 0.25])


def test_of_kernels_that_are_equal_the_first_is_kept(likeness):
    single = made(6, 4)
    single = Conditions(np.ones((6, 1)), np.zeros((6, 1)), np.zeros(6), single.place)
    found = distinct(kernels(single, single, START_SHAPE, 1.0, np.eye(1)))
    assert list(found) == ["shared", "target in context"]
