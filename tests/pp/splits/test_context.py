"""Contexts, pairs of action and context, and both unseen."""

from dataclasses import replace

import pytest

from scvcell.pp import split


def test_controls_of_the_context_are_seen(screen, keys):
    found = split(screen, "context", perturbation=keys, test="y")
    obs = screen.obs
    treated = obs["drug"] != "control"
    assert set(found.test) == set(screen.obs_names[(obs["line"] == "y") & treated])
    assert set(found.train) == set(screen.obs_names) - set(found.test)


def test_each_of_a_pair_is_seen_with_others(screen, keys):
    found = split(screen, "pair", perturbation=keys, test=["A in x", "A in y"])
    obs = screen.obs
    assert set(found.test) == set(screen.obs_names[(obs["drug"] == "A") & obs["line"].isin(["x", "y"])])
    every = split(screen, "pair", perturbation=keys, test=["A in x", "A in y", "A in z", "B in x"])
    assert set(obs.loc[every.test, "drug"]) == {"B"}
    assert set(every.outside) == {"its targets are seen in no other context"}


def test_neither_is_seen(screen, keys):
    found = split(screen, "double-cold", perturbation=keys, test=["A", "B", "z"])
    obs, asked = screen.obs, {"A", "B"}
    has = obs["drug"].map(lambda name: bool(asked & set(name.split("+"))))
    control, here = obs["drug"] == "control", obs["line"] == "z"
    assert set(found.test) == set(screen.obs_names[here & (has | control)])
    assert set(found.train) == set(screen.obs_names[~here & ~has])
    assert len(found.outside) == (has & ~here).sum() + (here & ~has & ~control).sum()
    folds = split(screen, "double-cold", perturbation=keys, n_folds=3)
    assert all(set(fold.how["test"]) & set("xyz") and set(fold.how["test"]) & set("ABCDEF") for fold in folds)
    with pytest.raises(ValueError, match=r"test= must also name one of x, y, z, as it leaves out both"):
        split(screen, "double-cold", perturbation=keys, test=["A"])


def test_errors(screen, keys):
    with pytest.raises(ValueError, match="by='context' needs at least two contexts, and there is 1"):
        split(screen, "context", perturbation=replace(keys, context=()))
    screen.obs["line"] = screen.obs["line"].replace("x", "A")
    with pytest.raises(ValueError, match="'A' is a target and a context; rename one"):
        split(screen, "double-cold", perturbation=keys)
    apart = screen[(screen.obs["drug"] == "control") | ((screen.obs["drug"] == "B") == (screen.obs["line"] == "y"))]
    apart = apart[(apart.obs["line"] != "z") & apart.obs["drug"].isin(["control", "B", "C"])]
    with pytest.raises(ValueError, match="No targets are given in more than one context"):
        split(apart, "pair", perturbation=keys)
