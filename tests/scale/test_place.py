"""Networks of places: planted ones are found, the density can be another one, and a seed is one answer."""

from itertools import islice

import numpy as np
import torch

from scvcell.scale import bins, geometric_median, learn_places


def scene(n=600, seed=0):
    """Features that tell the place but for noise; places."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 100, (n, 2))
    features = np.concatenate([np.sin(xy / 30), np.cos(xy / 30), rng.normal(size=(n, 3))], 1)
    return (features + rng.normal(0, 0.05, features.shape)).astype(np.float32), xy


def learn(features, targets, epochs, seed=0, n=2):
    return next(islice(learn_places(features, targets, n, seed), epochs - 1, None))


def test_planted_places_are_found():
    features, xy = scene()
    found = bins(xy[:400], 60)
    targets = found.spread(xy[:400], found.width)
    density = targets.mean(0)
    p = learn(features[:400], targets, 15).posterior(features[400:], density)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    error = np.linalg.norm(geometric_median(p, found)[0] - xy[400:], axis=1)
    alone = np.linalg.norm(np.median(xy[:400], 0) - xy[400:], axis=1)
    assert np.median(error) < 0.4 * np.median(alone)


def test_another_density_is_bayes():
    features, xy = scene(200)
    found = bins(xy, 30)
    model = learn(features, found.spread(xy, found.width), 3, n=1)
    n = len(found.places)
    u, v = np.random.default_rng(0).dirichlet(np.ones(n), 2)
    p, q = model.posterior(features, u), model.posterior(features, v)
    expected = p * v / u
    np.testing.assert_allclose(q, expected / expected.sum(1, keepdims=True), rtol=1e-2, atol=1e-5)


def test_features_that_say_nothing_give_the_density():
    rng = np.random.default_rng(0)
    xy = rng.normal(50, 10, (500, 2))
    found = bins(xy, 30)
    density = found.spread(xy, found.width).mean(0)
    p = learn(np.ones((500, 4), np.float32), found.spread(xy, found.width), 5).posterior(np.ones((3, 4)), density)
    np.testing.assert_allclose(p, np.tile(density, (3, 1)), atol=0.02)


def test_a_seed_is_one_answer_and_other_draws_do_not_matter():
    features, xy = scene(150)
    found = bins(xy, 20)
    targets = found.spread(xy, found.width)
    one = learn(features, targets, 2)
    torch.manual_seed(9)
    before = torch.random.get_rng_state()
    two = learn(features, targets, 2)
    assert torch.equal(torch.random.get_rng_state(), before)
    density = targets.mean(0)
    np.testing.assert_array_equal(one.posterior(features, density), two.posterior(features, density))
    assert (learn(features, targets, 2, seed=1).posterior(features, density) != one.posterior(features, density)).any()


def test_cells_do_not_see_each_other():
    features, xy = scene(120)
    found = bins(xy, 20)
    targets = found.spread(xy, found.width)
    model = learn(features, targets, 2)
    every = model.posterior(features, targets.mean(0))
    np.testing.assert_allclose(model.posterior(features[5:6], targets.mean(0)), every[5:6], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(
        model.posterior(features[::-1].astype(float), targets.mean(0))[::-1], every, rtol=1e-4, atol=1e-7
    )
