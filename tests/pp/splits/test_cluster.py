"""Alike items stay together."""

import numpy as np
import pandas as pd
import pytest

from scvcell.pp import split
from scvcell.pp.splits import _cluster
from scvcell.pp.splits._cluster import Likeness

ITEMS = [f"t{i:02d}" for i in range(40)]


def families(n=8, noise=0.2, seed=0):
    """Features of forty items that come in families."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(n, 20))
    family = np.arange(40) % n
    return pd.DataFrame(centre[family] + noise * rng.normal(size=(40, 20)), ITEMS), family


def test_clusters_are_the_families():
    table, family = families(n=12)
    found = Likeness(ITEMS, table.sample(frac=1, random_state=1)).clusters(0.2, 0)
    assert len(set(zip(found, family, strict=True))) == 12, "no family is in two clusters"
    assert len(set(found)) == _cluster.FEWEST_CLUSTERS
    assert np.bincount(found).max() <= 8


def test_no_cluster_is_larger_than_the_share():
    table, _ = families(noise=3.0)
    for share in (0.5, 0.2, 0.1, 0.01):
        found = Likeness(ITEMS, table).clusters(share, 0)
        assert np.bincount(found).max() <= max(share * 40, 1)


def test_square_table_and_features_agree():
    table, _ = families()
    like = Likeness(ITEMS, table)
    every = np.arange(40)
    square = pd.DataFrame(like.between(every, every), ITEMS, ITEMS).sample(frac=1, random_state=0)
    again = Likeness(ITEMS, square)
    np.testing.assert_allclose(again.between(every[:5], every[9:]), like.between(every[:5], every[9:]))
    centred = table - table.mean()
    np.testing.assert_allclose(
        like.between(every[:1], every[1:2])[0, 0],
        np.dot(*[row / np.linalg.norm(row) for row in centred.to_numpy()[:2]]),
    )
    nearest = like.nearest(np.array([3, 4]), np.array([0, 1, 2]))
    np.testing.assert_allclose(nearest, like.between(np.array([3, 4]), np.array([0, 1, 2])).max(1))


def test_fingerprints_are_compared_by_tanimoto():
    table = pd.DataFrame([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]], ["a", "b", "c"])
    found = Likeness(["a", "b", "c"], table).between(np.arange(3), np.arange(3))
    np.testing.assert_allclose(found, [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]])


def test_many_items_go_by_means(monkeypatch):
    monkeypatch.setattr(_cluster, "MOST_LINKED", 30)
    table, family = families(n=5)
    found = Likeness(ITEMS, table).clusters(0.5, 0)
    assert len(found) == 40
    assert all(len(set(family[found == c])) == 1 for c in set(found)), "clusters are parts of families"
    every = np.arange(40)
    square = Likeness(ITEMS, pd.DataFrame(Likeness(ITEMS, table).between(every, every), ITEMS, ITEMS))
    with pytest.raises(ValueError, match="of more than 30 items must be a table of features"):
        square.clusters(0.5, 0)


def screen_of(screen, n=40):
    """The screen with forty targets."""
    rng = np.random.default_rng(0)
    screen.obs["drug"] = [f"t{i:02d}" if i < n else "control" for i in rng.integers(0, n + 5, screen.n_obs)]
    return screen


@pytest.mark.parametrize("seed", range(3))
def test_alike_targets_are_left_out_together(screen, keys, seed):
    table, family = families(n=12)
    screen = screen_of(screen)
    plain = split(screen, "target", perturbation=keys.__class__("drug", control="control"), seed=seed)
    found = split(screen, "target", perturbation=keys.__class__("drug", control="control"), similarity=table, seed=seed)
    asked = {ITEMS.index(name) for name in found.how["test"]}
    assert not set(family[list(asked)]) & set(family[[i for i in range(40) if i not in asked]])
    assert found.how["largest_similarity"] < 0.8
    names = [ITEMS.index(name) for name in plain.how["test"]]
    rest = np.setdiff1d(np.arange(40), names)
    assert Likeness(ITEMS, table).nearest(np.array(names), rest).max() > 0.9, "without it, they are not"
    folds = split(
        screen, "target", perturbation=keys.__class__("drug", control="control"), similarity=table, n_folds=4, seed=seed
    )
    assert all(fold.how["largest_similarity"] < 0.8 for fold in folds)


def test_profiles_of_cells_and_of_groups(screen):
    centre = np.random.default_rng(0).normal(size=(12, 4)) * 5
    number = screen.obs["donor"].str[1:].astype(int).to_numpy()
    screen.obsm["X_pca"] = centre[number] + np.random.default_rng(1).normal(size=(screen.n_obs, 4)) * 0.1
    found = split(screen, "cell", test=0.3, similarity="X_pca")
    donors = screen.obs["donor"]
    assert len(set(donors[found.test]) & set(donors[found.train])) <= 2, "clusters of cells are donors here"
    groups = split(screen, "donor", test=0.3, similarity="X_pca")
    assert groups.how["mean_similarity"] <= groups.how["largest_similarity"] < 1
    mapped = split(screen, "donor", test=0.3, similarity=pd.DataFrame(centre, [f"d{i:02d}" for i in range(12)]))
    assert abs(mapped.how["largest_similarity"] - groups.how["largest_similarity"]) < 0.05


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (lambda t: t.to_numpy(), TypeError, r"similarity= takes a DataFrame .*, not ndarray"),
        (lambda t: t.drop("d01").rename({"d00": "D01"}), ValueError, r"no row for 2 items, e\.g\. 'd00'"),
        (lambda t: t.where(t > 0), ValueError, "missing or not finite"),
        (lambda t: pd.concat([t, t]), ValueError, "two rows of 'd00'"),
        (lambda t: "X_none", KeyError, "No obsm key 'X_none' for similarity"),
        (lambda t: (t @ t.T).assign(d00=9.0), ValueError, "is square, so it must be symmetric"),
    ],
)
def test_errors(screen, given, error, message):
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(12, 4)), sorted(set(screen.obs["donor"])))
    with pytest.raises(error, match=message):
        split(screen, "donor", similarity=given(table))
