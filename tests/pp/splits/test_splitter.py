"""The contract of splitters: every one of them, and one of another package."""

import numpy as np
import pandas as pd
import pytest

from scvcell import pp
from scvcell.pp.splits import SPLITTERS, Items, Left, Splitter

NAMES = list(SPLITTERS)
CLASSES = {"A": "one", "B": "one", "C": "two", "D": "three", "E": "two", "F": "four"}


def options(name, keys):
    """What a splitter needs."""
    given = {"perturbation": keys, "classes": CLASSES}
    return {key: given[key] for key in SPLITTERS[name].needs}


def made(screen, keys, name, **more):
    return pp.split(screen, "donor" if name == "group" else name, **options(name, keys), **more)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_cells_does_not_matter(screen, keys, name):
    found = made(screen, keys, name, calibration=0.2, seed=1)
    other = screen[np.random.default_rng(0).permutation(screen.n_obs)].copy()
    assert made(other, keys, name, calibration=0.2, seed=1) == found
    assert found.how["splitter"] == name


@pytest.mark.parametrize("name", NAMES)
def test_each_cell_is_in_one_part_or_the_split_says_why_not(screen, keys, name):
    before = screen.copy()
    found = made(screen, keys, name, calibration=0.2, seed=2)
    inside = found.train.append([found.calibration, found.test])
    assert inside.is_unique
    assert set(inside) | set(found.outside.index) == set(screen.obs_names)
    assert list(found.why.index) == list(screen.obs_names)
    assert set(found.unit.index) == set(inside)
    assert found.unit.notna().all()
    assert found.reason
    pd.testing.assert_frame_equal(screen.obs, before.obs)


@pytest.mark.parametrize("name", [name for name in NAMES if SPLITTERS[name].exchangeable == "action x context"])
def test_no_unit_of_treated_cells_is_in_two_parts(screen, keys, name):
    found = made(screen, keys, name)
    treated = found.unit[(screen.obs["drug"] != "control").loc[found.unit.index]]
    assert not set(treated[treated.index.isin(found.train)]) & set(treated[treated.index.isin(found.test)])


@pytest.mark.parametrize("name", NAMES)
def test_splitters_document_themselves(name):
    kind = SPLITTERS[name]
    assert kind.__doc__
    assert kind.new
    assert kind.exchangeable
    assert kind.cannot
    assert set(kind.needs) <= set(kind.takes)
    assert name == "group" or f'``"{name}"``' in pp.split.__doc__


def test_a_splitter_of_another_package(screen, monkeypatch):
    class Half(Splitter):
        """Half of the alphabet."""

        new, exchangeable, cannot = "names", "the cell", "anything"

        def __init__(self, asked):
            self.last = asked.seen.obs_names.str[-1].to_numpy(dtype=object)
            names = sorted(set(self.last))
            code = np.array([names.index(each) for each in self.last])
            self.reason, self.strata, self.unit, self.unknown = "other digit", [Items.of(code, names)], self.last, {}

        def leave_out(self, items, among):
            return Left(np.isin(self.last.astype(str), items))

    monkeypatch.setattr(SPLITTERS, "_items", dict(SPLITTERS._items))
    SPLITTERS.register("last digit")(Half)
    found = pp.split(screen, "last_digit", test=["3", "4"])
    assert set(found.test) == {name for name in screen.obs_names if name[-1] in "34"}
    assert len(pp.split(screen, "last digit", n_folds=5)) == 5
