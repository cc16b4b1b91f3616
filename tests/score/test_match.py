"""Scores of matching against brute force."""

import numpy as np
import pytest

import scvcell
from scvcell.score import foscttm, match_ranks, match_recall, mixing, trusted, votes


def pair(n=60, d=4, noise=0.7, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, d))
    return a, a + noise * rng.normal(size=(n, d))


def brute_foscttm(a, b):
    out = []
    for i in range(len(a)):
        distance = np.linalg.norm(a[i] - b, axis=1)
        others = np.delete(distance, i)
        out.append(((others < distance[i]).sum() + 0.5 * (others == distance[i]).sum()) / len(others))
    return np.array(out)


@pytest.mark.parametrize("n", [2, 60])
def test_foscttm_is_brute_force(n):
    a, b = pair(n)
    one, other = foscttm(a, b)
    np.testing.assert_allclose(one, brute_foscttm(a, b))
    np.testing.assert_allclose(other, brute_foscttm(b, a))


def test_foscttm_in_blocks(monkeypatch):
    monkeypatch.setattr("scvcell.score._match.CELLS_AT_ONCE", 7)
    a, b = pair()
    np.testing.assert_allclose(foscttm(a, b)[0], brute_foscttm(a, b))


def test_foscttm_of_perfect_random_and_collapsed_latents():
    a, _ = pair(200)
    assert foscttm(a, a)[0].max() == 0
    assert np.mean([foscttm(*(np.random.default_rng(s).normal(size=(2, 100, 3))))[0].mean() for s in range(20)]) == (
        pytest.approx(0.5, abs=0.03)
    )
    collapsed = np.zeros_like(a)
    np.testing.assert_allclose(foscttm(collapsed, collapsed)[0], 0.5)


@pytest.mark.parametrize(("a", "b"), [(np.zeros((3, 2)), np.zeros((4, 2))), (np.zeros((1, 2)), np.zeros((1, 2)))])
def test_foscttm_needs_pairs(a, b):
    with pytest.raises(ValueError, match="one shape with at least 2 cells"):
        foscttm(a, b)


@pytest.mark.parametrize("k", [1, 10, 500])
def test_recall_is_brute_force(k):
    a, b = pair()
    hits = []
    for x, y in ((a, b), (b, a)):
        for i in range(len(x)):
            order = np.argsort(np.linalg.norm(x[i] - y, axis=1))
            hits.append(i in order[:k])
    assert match_recall(a, b, k) == pytest.approx(np.mean(hits))


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_cells_on_one_point_are_tied_in_every_order(kind):
    """Equal values whose sums were rounded in another order are no nearer than each other."""
    rng = np.random.default_rng(3)
    b = rng.normal(size=(60, 12)) * 7.3 + 40
    of = rng.integers(0, 20, size=60)
    a = (b[of] * (1 + rng.choice([-1, 0, 1], size=(60, 12)) * np.finfo(kind).eps)).astype(kind)
    b = b[of].astype(kind)
    for _ in range(5):
        order = rng.permutation(60)
        found = [ranks.found() for ranks in match_ranks(a[order], b[order])]
        same = (of[order][:, None] == of[order][None]).sum(1)
        for each in found:
            np.testing.assert_array_equal(each, 1 / same)


def test_mixing_is_one_for_one_cloud_and_zero_for_two():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(400, 3)), rng.normal(size=(200, 3))
    assert mixing(a, b) == pytest.approx(1, abs=0.05)
    assert mixing(a, b + 100) == 0


def test_mixing_is_brute_force():
    a, b = pair(30)
    both = np.concatenate([a, b])
    shares = []
    for i, x in enumerate(both):
        distance = np.linalg.norm(x - both, axis=1)
        distance[i] = np.inf
        near = np.argsort(distance)[:5]
        shares.append(((near < 30) != (i < 30)).mean() / (30 / 59))
    assert mixing(a, b, k=5) == pytest.approx(np.mean(shares))


def test_trusted_matches_are_near_and_of_one_type_by_hand():
    reference = np.array([[0.0], [0.1], [0.2], [0.3], [0.4], [5.0], [5.1], [5.2], [5.3], [5.4]])
    labels = np.array(["a", "a", "a", "a", "a", "b", "c", "d", "b", "c"])
    query = np.array([[0.2], [2.7], [9.0], [5.2]])  # amid one type, between, far away, amid many types
    assert trusted(query, reference, labels, k=4).tolist() == [True, False, False, False]
    labels[5:8] = "b"
    assert trusted(query, reference, labels, k=4).tolist() == [True, False, False, True]


def test_how_near_is_near_is_told_by_cells_that_find_their_own_label():
    rng = np.random.default_rng(0)
    reference = np.concatenate([rng.normal(size=(60, 2)), [[9.0, 9.0], [-9.0, 9.0]]])
    labels = np.array(["a"] * 60 + ["rare"] * 2)
    query = np.concatenate([rng.normal(size=(40, 2)), [[5.0, 5.0], [6.0, 6.0]]])
    found = trusted(query, reference, labels)
    assert found[:40].mean() > 0.8
    assert not found[40:].any(), "as near as the rare cells, which find others only"


def test_cells_unusually_far_for_the_query_are_not_trusted():
    reference = np.concatenate([np.linspace(0, 10, 101), [15.0, 20.0, 25.0, 30.0, 35.0, 40.0]])[:, None]
    labels = np.full(len(reference), "a")
    query = np.concatenate([np.linspace(2, 8, 30), [12.0]])[:, None]
    assert votes(query[-1:], reference, labels).near(votes(None, reference, labels).reach(labels)).all()
    assert trusted(query, reference, labels).tolist() == [True] * 30 + [False]
    assert trusted(query[-1:], reference, labels).all(), "alone it has nothing to be compared with"
    nothing = votes(query[:0], reference, labels)
    assert len(nothing.label) == len(nothing.near(1.0)) == 0


def test_trusted_is_the_rule_of_label_transfer(small):
    mdata = small.mdata.copy()
    view = small.model.view(mdata)
    alone = view.present("rna") & ~view.present("adt")
    scvcell.tl.transfer_labels(mdata, small.model, key="celltype", reference=alone)
    latent = small.model.posterior(view).mean.numpy()
    ours = trusted(latent[~alone], latent[alone], mdata.obs["celltype"].to_numpy(dtype=str)[alone])
    np.testing.assert_array_equal(mdata.obs["celltype_transferred_trusted"].to_numpy()[~alone], ours)
    assert 0 < ours.mean() < 1
