"""A split is frozen, equal by content, and refuses other data."""

from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest

from scvcell.pp import Split, split
from scvcell.pp.splits._base import describe_data, digest, plain


def names(*cells):
    return pd.Index(list(cells))


@pytest.fixture
def made(screen):
    return split(screen, "donor", test=["d01", "d07"], calibration=0.2)


def test_what_was_made_by_position_has_units_and_reasons():
    found = Split(names("a", "b"), names("c"), names("d"), "another donor", {"splitter": "mine"})
    assert found.unit.to_dict() == dict(zip("abcd", "abcd", strict=True)), "every cell for itself"
    assert found.why.to_dict()["d"] == "another donor"
    assert found.outside.empty
    assert list(found.hidden) == ["c", "d"]
    assert found.how == {"splitter": "mine"}
    with pytest.raises(FrozenInstanceError):
        found.train = names("d")


def test_equal_by_content_whatever_the_order():
    unit = pd.Series(["u", "u", "v"], ["a", "b", "c"])
    one = Split(names("a", "b"), names(), names("c"), "why", unit=unit)
    other = Split(names("b", "a"), names(), names("c"), "why", unit=unit[::-1])
    assert one == other
    assert hash(one) == hash(other)
    assert one.digest == other.digest
    changed = [
        Split(names("a"), names("b"), names("c"), "why", unit=unit),
        Split(names("a", "b"), names(), names("c"), "other", unit=unit),
        Split(names("a", "b"), names(), names("c"), "why", unit=unit.replace("v", "u")),
        Split(names("a", "b"), names(), names("c"), "why", {"seed": 1}, unit=unit),
        Split(names("a", "b"), names(), names("c"), "why", unit=unit, data={"cells": 3, "features": {}}),
    ]
    assert all(one != each for each in changed)
    assert len({one.digest, changed[0].digest}) == 2
    assert one != "why"


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("unit", ["u"], TypeError, "unit must be a Series with the names of cells as its index, not list"),
        ("unit", pd.Series(["u"], ["a"]), ValueError, r"unit lacks 1 cells of the split, e\.g\. 'b'"),
        ("why", pd.Series(["x"] * 3, ["a", "b", "a"]), ValueError, "why names 'a' twice"),
    ],
)
def test_labels_that_do_not_go_with_the_cells(field, value, error, message):
    with pytest.raises(error, match=message):
        Split(names("a"), names(), names("b"), **{field: value})


def test_cells_in_no_part_are_told(screen):
    screen.obs["donor"] = screen.obs["donor"].where(np.arange(len(screen)) >= 5)
    found = split(screen, "donor", test="d01")
    assert len(found.outside) == 5
    assert repr(found).endswith(": another donor; in no part 5: no label in obs['donor'])")
    assert set(found.outside.index) == set(screen.obs_names[:5])
    assert set(found.outside.index) < set(found.hidden)


class TestCheck:
    def test_the_same_data_in_another_order(self, screen, made):
        made.check(screen)
        made.check(screen[::-1, ::-1])

    def test_a_choice_of_features_comes_after_the_split(self, screen, made):
        made.check(screen[:, 1:3])

    def test_other_features(self, screen, made):
        other = screen.copy()
        other.var_names = [f"ENSG{i}" for i in range(other.n_vars)]
        with pytest.raises(ValueError, match="modality 'rna' had 5 features, and has 5 now with other names"):
            made.check(other)

    def test_lacking_cells(self, screen, made):
        lost = made.test[0]
        fewer = screen[screen.obs_names != lost]
        with pytest.raises(ValueError, match=f"test names 1 cells that the data lack, e.g. '{lost}'"):
            made.check(fewer)
        made.check(fewer, hidden=True)
        with pytest.raises(ValueError, match="train names 1 cells that the data lack"):
            made.check(screen[screen.obs_names != made.train[0]], hidden=True)

    def test_more_cells(self, screen, made):
        part = screen[:200].copy()
        half = split(part, "donor", test="d01")
        with pytest.raises(ValueError, match=r"it does not know 142 of these 342 cells, e\.g\."):
            half.check(screen)


def test_saved_and_read(screen, made, tmp_path):
    path = made.save(tmp_path / "split.json")
    again = Split.load(path, screen)
    assert again == made
    assert again.train.equals(made.train)
    with pytest.raises(ValueError, match=r"made for other data|the data lack"):
        Split.load(path, screen[:50])


def test_description_of_data(screen):
    found = describe_data(screen)
    assert found["cells"] == screen.n_obs
    assert found["features"]["rna"][0] == screen.n_vars
    assert found == describe_data(screen[::-1, ::-1])


def test_digest_tells_texts_apart():
    assert digest(["ab", "c"]) != digest(["a", "bc"])
    assert len(digest([])) == 16


def test_plain_values():
    given = {"a": np.float32(0.5), "b": ("x", np.int64(3)), "c": {"only"}, 1: pd.Index(["u"])}
    assert plain(given) == {"a": 0.5, "b": ["x", 3], "c": ["only"], "1": ["u"]}
