"""A target that is left out is seen nowhere."""

import numpy as np

from scvcell.pp import split


def test_no_action_with_the_target_is_seen(screen, keys):
    found = split(screen, "target", perturbation=keys, test=["A", "F"], calibration=0.3)
    drug = screen.obs["drug"].str.split("+")
    has = drug.map(lambda parts: bool({"A", "F"} & set(parts)))
    assert set(found.test) == set(screen.obs_names[has])
    assert found.reason == "new target"
    assert len(found.calibration)
    aside = found.how["calibration_items"]
    assert not any(set(aside) & set(parts) for parts in drug[found.train]), "intervals are set by new targets, too"
    assert set(screen.obs_names[screen.obs["drug"] == "control"]) <= set(found.train)


def test_folds_ask_about_every_target(screen, keys):
    folds = split(screen, "target", perturbation=keys, n_folds=3)
    assert sorted(np.concatenate([fold.how["test"] for fold in folds])) == list("ABCDEF")
    assert split(screen, "new target", perturbation=keys, n_folds=3)[0].test.equals(folds[0].test)
