"""Combinations of which all parts are seen, one, or none."""

import pytest

from scvcell.pp import split


@pytest.fixture
def seen_of(screen):
    """Targets that are seen in training."""
    return lambda found: {t for name in screen.obs.loc[found.train, "drug"] for t in name.split("+")} - {"control"}


def drugs(screen, cells):
    return set(screen.obs.loc[cells, "drug"])


def test_every_part_is_seen(screen, keys, seen_of):
    found = split(screen, "combo seen 2", perturbation=keys, test=["B+A", "D+E"])
    assert drugs(screen, found.test) == {"A+B", "D+E"}
    assert set("ABDE") <= seen_of(found)
    assert found.outside.empty
    assert found.reason == "new combination"
    with pytest.raises(ValueError, match=r"has no 'B\+F'"):
        split(screen, "combo seen 2", perturbation=keys, test="B+F")  # F is seen nowhere else


def test_a_part_that_is_seen_in_another_one_that_is_asked_about(screen, keys, seen_of):
    lone = screen[screen.obs["drug"] != "A"]
    found = split(lone, "combo seen 2", perturbation=keys, test=["A+B", "A+D", "D+E"])
    assert drugs(screen, found.test) == {"D+E"}
    assert "A" not in seen_of(found)
    assert set(found.outside) == {"a part of the combination is seen nowhere else"}
    with pytest.raises(ValueError, match=r"nothing is left to ask about. Of .*12 cells: a part of the combination is"):
        split(lone, "combo seen 2", perturbation=keys, test=["A+B", "A+D"])


def test_one_part_is_seen(screen, keys, seen_of):
    found = split(screen, "combo seen 1", perturbation=keys, test=["A", "E"])
    assert drugs(screen, found.test) == {"A+B", "A+D", "D+E", "C+E"}
    assert seen_of(found) == set("BCDF")
    assert drugs(screen, found.outside.index) == {"A", "E"}
    both = split(screen, "combo seen 1", perturbation=keys, test=["A", "B"])
    assert drugs(screen, both.test) == {"A+D", "B+C"}, "of A+B no part is seen, and F is seen nowhere"


def test_no_part_is_seen(screen, keys, seen_of):
    found = split(screen, "combo seen 0", perturbation=keys, test="A+B")
    assert drugs(screen, found.test) == {"A+B"}
    assert seen_of(found) == set("CDE")
    assert drugs(screen, found.outside.index) == {"A", "B", "B+C", "A+D", "B+F"}


def test_whole_actions(screen, keys):
    found = split(screen, "action", perturbation=keys, test="A 10, until 24")
    obs = screen.obs.loc[found.test]
    assert (obs["drug"].unique(), obs["dose"].unique(), obs["hours"].unique()) == (["A"], ["10"], [24])
    assert len(found.train) == screen.n_obs - len(found.test)


def test_data_without_combinations(screen, keys):
    singles = screen[~screen.obs["drug"].str.contains("+", regex=False)]
    with pytest.raises(ValueError, match="No cell has a combination of targets"):
        split(singles, "combo seen 2", perturbation=keys)
    only = screen[screen.obs["drug"].isin(["control", "A+B"])]
    with pytest.raises(ValueError, match="Every combination has a part that is seen nowhere else"):
        split(only, "combo seen 2", perturbation=keys)
