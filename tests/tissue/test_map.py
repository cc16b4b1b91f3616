"""Sections that are learned: places are found, regions hold what they say, and what says nothing is told."""

import numpy as np
import pytest

from scvcell.tissue import _map, learn_frame
from scvcell.tissue._map import _folds, _lower, _quantile, locate


@pytest.fixture(scope="module", autouse=True)
def fewer():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_map, "BINS", (60, 30))
        patch.setattr(_map, "EPOCHS", (4, 8))
        patch.setattr(_map, "N_NETWORKS", 2)
        yield


@pytest.fixture(scope="module")
def learned(fewer):
    """`scene`, and the frame that its 300 located cells teach; read only."""
    features, xy = scene()
    return features, xy, learn_frame(features[:300], xy[:300], 0.9, 0)


def scene(n=450, seed=0, dimensions=2):
    """Noisy features of places, places; the last third is not located."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 1000, (n, dimensions))
    waves = [f(xy / s) for f in (np.sin, np.cos) for s in (150, 400)]
    features = np.concatenate([*waves, rng.normal(size=(n, 4))], 1)
    return (features + rng.normal(0, 0.4, features.shape)).astype(np.float32), xy


@pytest.mark.parametrize("dimensions", [2, 3])
def test_planted_places_are_found_and_regions_hold(dimensions):
    features, xy = scene(600, dimensions=dimensions)
    frame = learn_frame(features[:400], xy[:400], 0.9, 0)
    found = frame.locate(features[400:])
    error = np.linalg.norm(found.point - xy[400:], axis=1)
    alone = np.linalg.norm(np.median(xy[:400], 0) - xy[400:], axis=1)
    assert np.median(error) < (0.5 if dimensions == 2 else 0.75) * np.median(alone)
    assert 0 < frame.lower < frame.gain
    assert np.median(error) < 1.3 * frame.error
    assert 0.83 <= (error <= frame.factor * found.distance).mean() <= 0.97
    p, at = found.position.toarray(), frame.bins.nearest(xy[400:])
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-4)
    rank = (p > p[np.arange(len(p)), at][:, None]).sum(1)
    assert 0.83 <= (rank < np.round(found.share * p.shape[1])).mean() <= 0.98
    assert found.share.mean() < (0.6 if dimensions == 2 else 0.8)
    assert "gain" in repr(frame)


def test_a_wider_level_is_a_wider_region(learned):
    features, xy, wide = learned
    narrow = learn_frame(features[:300], xy[:300], 0.5, 0)
    assert narrow.level < wide.level
    assert narrow.factor < wide.factor
    less, more = (frame.locate(features[300:]).share for frame in (narrow, wide))
    assert (less <= more).all()
    assert (less < more).mean() > 0.95, "one bin may hold both"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shuffled_places_teach_nothing(seed):
    features, xy = scene(seed=seed)
    frame = learn_frame(features, np.random.default_rng(seed).permutation(xy), 0.9, seed)
    assert frame.lower <= 0
    assert frame.locate(features).share.mean() > 0.7


def test_the_order_of_located_cells_and_the_unit_do_not_matter(learned):
    features, xy, one = learned
    order = np.random.default_rng(0).permutation(300)
    other = learn_frame(features[order], xy[order], 0.9, 0)
    np.testing.assert_array_equal(other.locate(features[300:]).point, one.locate(features[300:]).point)
    assert (other.level, other.factor, other.gain) == (one.level, one.factor, one.gain)
    scaled = learn_frame(features[:300], xy[:300] * 1e-3 + 5, 0.9, 0)
    np.testing.assert_allclose(
        (scaled.locate(features[300:]).point - 5) * 1e3, one.locate(features[300:]).point, atol=2
    )
    np.testing.assert_allclose(scaled.level, one.level, atol=0.01)


def test_cells_do_not_see_each_other(learned, monkeypatch):
    features, _, frame = learned
    every = frame.locate(features[300:])
    one = frame.locate(features[310:311])
    np.testing.assert_allclose(one.point[0], every.point[10], atol=0.1)
    np.testing.assert_allclose(one.position.toarray()[0], every.position.toarray()[10], atol=1e-5)
    monkeypatch.setattr(_map, "CELLS_PER_BLOCK", 13)
    np.testing.assert_allclose(frame.locate(features[300:]).point, every.point, atol=0.1)
    np.testing.assert_array_equal(frame.inside(features[300:]), frame.inside(features[300:]))
    empty = frame.locate(features[:0])
    assert empty.point.shape == (0, 2)
    assert empty.position.shape[0] == 0


def test_only_the_most_probable_places_are_kept(learned, monkeypatch):
    features, _, frame = learned
    every = frame.locate(features[300:])
    monkeypatch.setattr(_map, "MAX_ENTRIES", 5)
    few = frame.locate(features[300:])
    assert (np.diff(few.position.indptr) == 5).all()
    np.testing.assert_array_equal(few.point, every.point)
    np.testing.assert_allclose(
        np.sort(few.position.toarray(), 1)[:, -5:], np.sort(every.position.toarray(), 1)[:, -5:], atol=1e-7
    )
    assert few.position.has_sorted_indices


def test_cells_unlike_the_located_ones_are_outside(learned):
    features, _, frame = learned
    assert frame.inside(features[300:]).mean() > 0.9
    assert not frame.inside(features[300:] + 8).any()


def test_few_cells_and_too_few():
    features, xy = scene(60)
    frame = learn_frame(features[:30], xy[:30], 0.9, 0)
    assert np.isfinite(frame.locate(features[30:]).point).all()
    with pytest.raises(ValueError, match="29 located cells are too few"):
        learn_frame(features[:29], xy[:29], 0.9, 0)


def test_cells_at_one_place():
    features, _ = scene(60)
    frame = learn_frame(features, np.full((60, 2), 3.0), 0.9, 0)
    np.testing.assert_allclose(frame.locate(features).point, 3)
    assert frame.lower <= 0, "there is nothing to learn"


def test_of_several_sections_in_one_frame_whole_ones_are_left_out():
    """Features shift from section to section: what blocks of known sections need does not hold another one."""
    features, xy = scene(600, seed=3)
    rng = np.random.default_rng(3)
    section = np.repeat(np.arange(4), 150)
    features += 0.6 * rng.normal(size=(4, features.shape[1]))[section].astype(np.float32)
    known = section < 3
    held, frames = [], []
    for group in (None, section[known]):
        frame = learn_frame(features[known], xy[known], 0.9, 0, group)
        found = frame.locate(features[~known])
        p, at = found.position.toarray(), frame.bins.nearest(xy[~known])
        rank = (p > p[np.arange(len(p)), at][:, None]).sum(1)
        held.append((rank < np.round(found.share * p.shape[1])).mean())
        frames.append(frame)
    assert held[1] > held[0] + 0.05
    assert held[1] > 0.8
    assert frames[1].error > frames[0].error
    order = rng.permutation(known.sum())
    other = learn_frame(features[known][order], xy[known][order], 0.9, 0, section[known][order])
    np.testing.assert_allclose(other.locate(features[~known]).point, found.point, atol=1e-3)


def test_groups_are_left_out_whole_and_dealt_to_few_parts():
    xy = np.random.default_rng(0).uniform(0, 1000, (700, 2))
    group = np.arange(700) % 7
    fold, block = _folds(xy, 100, np.random.default_rng(0), group)
    assert len(np.unique(fold)) == 5
    assert all(len(np.unique(fold[group == g])) == 1 for g in range(7))
    assert all(len(np.unique(group[block == b])) == 1 for b in np.unique(block))


def test_left_out_blocks_are_as_wide_as_gaps():
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 1000, (2000, 2))
    board = xy[np.floor(xy / 200).astype(int).sum(1) % 2 == 0]
    size = {}
    for name, cells in (("even", xy), ("board", board)):
        fold, block = _folds(cells, 100, np.random.default_rng(0), np.zeros(len(cells), int))
        assert all((fold[block == b] == fold[block == b][0]).all() for b in np.unique(block)), "blocks stay together"
        assert (np.bincount(fold) > 0.2 * len(cells)).all()
        size[name] = np.median([np.ptp(cells[block == b], 0).max() for b in np.unique(block)])
    assert size["board"] > 1.4 * size["even"]


def test_quantile_and_lower_bound_by_hand():
    assert _quantile(np.arange(1.0, 11), 0.5) == 6
    assert _quantile(np.arange(1.0, 11), 0.99) == 10
    gain, block = np.repeat([1.0, -1.0], 50), np.repeat([0, 1], 50)
    assert _lower(gain, block, np.random.default_rng(0)) == -1, "two blocks may both be the bad one"
    assert _lower(np.ones(9), np.arange(9), np.random.default_rng(0)) == 1


def test_locate_takes_any_posterior(learned):
    found = learned[2].bins
    p = np.random.default_rng(0).dirichlet(np.full(len(found.places), 0.1), 5).astype(np.float32)
    told = locate(lambda cells: p[cells], 5, found, 0.9)
    np.testing.assert_allclose(told.position.toarray(), p)
