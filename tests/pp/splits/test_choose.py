"""What is asked about: named, a share, folds, or somebody else's choice."""

import numpy as np
import pandas as pd
import pytest

from scvcell.pp import split


def test_cells_that_somebody_assigned(screen):
    part = pd.Series(np.array(["train", "test", "calibration", None], object)[np.arange(342) % 4], screen.obs_names)
    found = split(screen, assign=part)
    for name in ("train", "test", "calibration"):
        assert set(getattr(found, name)) == set(screen.obs_names[(part == name).to_numpy()])
    assert (found.outside == "not assigned").all()
    assert len(found.outside) == part.isna().sum()
    screen.obs["part"] = part
    assert split(screen, assign="part") == found
    assert split(screen, assign=part.dropna().sample(frac=1, random_state=0)) == found, "by name"
    assert split(screen, assign=dict(part)) == found


def test_items_that_somebody_assigned(screen, keys):
    found = split(screen, "donor", assign={"d00": "test", "d01": "calibration", "d02": "train", "d03": "train"})
    assert set(screen.obs.loc[found.train, "donor"]) == {"d02", "d03"}
    assert set(screen.obs.loc[found.test, "donor"]) == {"d00"}
    assert set(screen.obs.loc[found.calibration, "donor"]) == {"d01"}
    target = split(screen, "target", perturbation=keys, assign={"A": "test", **dict.fromkeys("BCDEF", "train")})
    assert target.test.equals(split(screen, "target", perturbation=keys, test="A").test)


def test_folds_that_somebody_assigned(screen):
    fold = pd.Series(np.arange(342) % 11, screen.obs_names)
    found = split(screen, assign=fold)
    assert [each.how["fold"] for each in found] == [str(i) for i in range(11)]
    for number, each in enumerate(found):
        assert set(each.test) == set(screen.obs_names[(fold == number).to_numpy()])
        assert len(each.train) == 342 - len(each.test)


@pytest.mark.parametrize(
    ("assign", "error", "message"),
    [
        ({"d00": "test", "d01": "trn"}, ValueError, "assign= has 'trn'; .*Did you mean 'train'"),
        ({"d00": "test", "d01": "train", "d02": "val"}, ValueError, "assign= has 'val'; .*Did you mean 'calibration'"),
        ({"d00": "test"}, ValueError, "must give items to 'train' and to 'test'; it has test only"),
        ({"d00": "1"}, ValueError, "assign= has 1 values"),
        ({}, ValueError, "assign= has 0 values"),
        ({"d0": "test", "d01": "train"}, ValueError, r"obs\['donor'\] has no 'd0'"),
        (["d00"], TypeError, "assign= takes a mapping, a Series or an obs column, not list"),
        ("dnoor", KeyError, "No obs column 'dnoor'. Did you mean 'donor'"),
    ],
)
def test_errors_of_assignments(screen, assign, error, message):
    with pytest.raises(error, match=message):
        split(screen, "donor", assign=assign)


def test_folds_ask_about_each_item_once(screen):
    folds = split(screen, "donor", n_folds=4)
    assert sorted(np.concatenate([fold.test for fold in folds])) == sorted(screen.obs_names)
    sizes = [len(fold.test) for fold in folds]
    assert np.ptp(sizes) < 40
    assert [fold.how["fold"] for fold in folds] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_folds": 13}, ValueError, r"n_folds=13 is more than there is to leave out: 12 \(d00, d01"),
        ({"n_folds": 1}, ValueError, "n_folds"),
        ({"n_folds": 2.5}, TypeError, "n_folds"),
        ({"test": 1.5}, ValueError, "a share of all items must lie between 0 and 1"),
        ({"test": []}, ValueError, "test= names nothing to leave out"),
        ({"test": 0.2, "n_folds": 3}, ValueError, "Give one of test=, n_folds= and assign="),
    ],
)
def test_errors(screen, options, error, message):
    with pytest.raises(error, match=message):
        split(screen, "donor", **options)
