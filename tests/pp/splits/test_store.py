"""A split on disk is what was saved, or is refused."""

import json

import pytest

from scvcell.errors import Damaged
from scvcell.pp import Split, split


@pytest.fixture
def saved(screen, keys, tmp_path):
    made = split(screen, "combo seen 1", perturbation=keys, test="A", calibration=0.3)
    assert len(made.outside)
    return made, made.save(tmp_path / "split.json")


def test_all_of_it_comes_back(saved):
    made, path = saved
    again = Split.load(path)
    assert again == made
    for part in ("train", "calibration", "test"):
        assert getattr(again, part).equals(getattr(made, part))
    assert again.outside.equals(made.outside)
    assert not [file.name for file in path.parent.iterdir() if file != path], "nothing else is left"


def test_units_that_are_cells_take_no_room(screen, tmp_path):
    made = split(screen, "cell", test=0.3)
    path = made.save(tmp_path / "cells.json")
    assert json.loads(path.read_text())["unit"] is None
    assert Split.load(path) == made


def test_another_one_takes_its_place(saved, screen):
    _, path = saved
    other = split(screen, "donor", test="d03")
    other.save(path)
    assert Split.load(path) == other


def test_what_is_no_split_is_refused(saved, tmp_path):
    _, path = saved
    with pytest.raises(FileNotFoundError, match=r"There is no file .*nothing.json"):
        Split.load(tmp_path / "nothing.json")
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        Split.load(path).save(tmp_path / "nowhere" / "split.json")
    text = path.read_text()
    for changed, error, message in [
        ("[1, 2]", ValueError, "is no split that scvcell saved"),
        (text[: len(text) // 2], Damaged, "is not what was saved"),
        (text.replace('"format": 1', '"format": 9'), ValueError, "in a newer layout"),
    ]:
        path.write_text(changed)
        with pytest.raises(error, match=message):
            Split.load(path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda found: found.update(part=found["part"].replace("2", "0", 1)),
        lambda found: found.update(part=found["part"][:-1]),
        lambda found: found["why"]["code"].append(0),
        lambda found: found.pop("names"),
        lambda found: found["unit"]["labels"].clear(),
    ],
)
def test_what_was_changed_is_refused(saved, edit):
    _, path = saved
    found = json.loads(path.read_text())
    edit(found)
    path.write_text(json.dumps(found))
    with pytest.raises(Damaged, match=r"is not what was saved. Make the split again"):
        Split.load(path)
