"""Units are actions in contexts; cells of which it is not known what was done are in no part."""

import numpy as np
import pytest

from scvcell import Action
from scvcell.perturb import read_design
from scvcell.pp import split
from scvcell.pp.splits._actions import conditions, set_of


def test_units(screen, keys):
    found = split(screen, "target", perturbation=keys, test="A")
    obs = screen.obs.loc[found.unit.index]
    whole = obs.groupby(["drug", "dose", "hours", "line"]).ngroup()
    treated = (obs["drug"] != "control").to_numpy()
    assert found.unit[treated].nunique() == whole[treated].nunique()
    pairs = {*zip(found.unit[treated], whole[treated], strict=True)}
    assert len(pairs) == whole[treated].nunique(), "one unit is one action in one context"
    assert set(found.unit[~treated]) == {"control in x", "control in y", "control in z"}


def test_unknown_cells_are_in_no_part(screen, keys, caplog):
    screen.obs.iloc[:4, screen.obs.columns.get_loc("drug")] = None
    screen.obs.iloc[10:13, screen.obs.columns.get_loc("line")] = None
    found = split(screen, "target", perturbation=keys, test="A")
    assert found.outside.value_counts().to_dict() == {"no label in obs['drug']": 4, "no label in obs['line']": 3}
    assert "4 of 342 cells are in no part: no label in obs['drug']" in caplog.text


def test_conditions_are_actions_in_contexts(screen, keys):
    design = read_design(keys, lambda name: screen.obs[name])
    found, cells = conditions(design)
    assert sorted(np.concatenate(cells)) == sorted(np.flatnonzero(design.treated))
    assert len(found) == len(cells) == 3 * (5 * 9 + 6)
    assert found.level.max() == 0, "the largest dose is the unit"


def test_names_of_sets():
    assert set_of(Action({"B": 1.0, "A": 2.0}, time=3)) == "A+B"


def test_what_is_no_columns(screen):
    with pytest.raises(TypeError, match=r"perturbation must be a PerturbationKeys, not str. For example"):
        split(screen, "target", perturbation="drug")
    with pytest.raises(ValueError, match="by='higher dose' needs perturbation="):
        split(screen, "higher dose")
