"""Groups are left out whole, whatever their labels are."""

import numpy as np
import pandas as pd
import pytest

from scvcell.pp import split

KINDS = {
    "text": lambda code: np.array([f"donor {i}" for i in code], object),
    "category": lambda code: pd.Categorical([f"donor {i}" for i in code], [f"donor {i}" for i in range(20)]),
    "whole numbers": lambda code: code.astype(np.int32),
    "numbers": lambda code: code.astype(np.float32),
    "truth values": lambda code: code % 2 == 0,
    "string dtype": lambda code: pd.array([f"donor {i}" for i in code], "string"),
}


@pytest.mark.parametrize("seed", range(50))
def test_no_donor_is_in_two_parts(screen, seed):
    found = split(screen, "donor", test=0.3, calibration=0.2, seed=seed)
    donor = screen.obs["donor"]
    groups = [set(donor[part]) for part in (found.train, found.calibration, found.test)]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 12
    assert [len(each) for each in groups] == [6, 2, 4]
    assert found.outside.empty
    assert found.unit.equals(donor.loc[found.unit.index].astype(object).rename("unit"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", [False, True])
def test_labels_of_any_kind(screen, kind, missing, caplog):
    code = np.random.default_rng(1).integers(0, 5, screen.n_obs)
    column = pd.Series(KINDS[kind](code), screen.obs_names)
    if missing:
        column = column.astype(object).where(np.arange(len(column)) >= 7)
        if kind == "category":
            column = column.astype("category")
    screen.obs["who"] = column
    name = {"truth values": "True", "numbers": "3", "whole numbers": "3"}.get(kind, "donor 3")
    found = split(screen, "who", test=name)
    mine = code % 2 == 0 if kind == "truth values" else code == 3
    known = np.arange(len(code)) >= 7 if missing else np.ones(len(code), bool)
    assert set(found.test) == set(screen.obs_names[mine & known])
    assert set(found.train) == set(screen.obs_names[~mine & known])
    assert len(found.outside) == (~known).sum()
    assert ("7 of 342 cells are in no part: no label in obs['who']" in caplog.text) is missing
    folds = split(screen, "who", n_folds=2)
    assert sorted(np.concatenate([fold.test for fold in folds])) == sorted(screen.obs_names[known])


def test_numbers_may_be_given_as_they_are(screen):
    screen.obs["day"] = np.arange(screen.n_obs) % 4
    assert split(screen, "day", test=[1, 2.0]) == split(screen, "day", test=["1", "2"])
    assert split(screen, "day", test=1).how["test"] == ["1"], "a label goes before a share"


def test_errors(screen):
    with pytest.raises(ValueError, match=r"obs\['donor'\] has no 'D01'\. Did you mean 'd01'\? It has d00, d01"):
        split(screen, "donor", test="D01")
    with pytest.raises(ValueError, match="train has no cells: nothing is left to learn from"):
        split(screen, "donor", test=sorted(set(screen.obs["donor"])))
    screen.obs["none"] = None
    with pytest.raises(ValueError, match=r"No cell has a label in obs\['none'\]"):
        split(screen, "none")
    screen.obs["one"] = "same"
    with pytest.raises(ValueError, match="There is only 'same' to leave out"):
        split(screen, "one")
