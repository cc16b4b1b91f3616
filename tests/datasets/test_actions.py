import mudata
import numpy as np
import pytest
from scipy.linalg import expm

from scvcell import Action, PerturbationKeys
from scvcell.datasets import simulate_actions
from scvcell.perturb import read_design


def test_states_move_by_the_known_generators():
    mdata = simulate_actions(200, state_dependence=0.0, seed=1)
    moved = mdata.obsm["z"] - mdata.obsm["z0"]
    label = mdata.obs["action"].astype(str).to_numpy()
    assert np.abs(moved[label == "control"]).max() == 0
    shift = mdata.uns["simulation"]["generators"][:, :-1, -1]
    np.testing.assert_allclose(moved[label == "T2"][0], shift[1], atol=1e-5)
    np.testing.assert_allclose(moved[label == "T1+T2"][0], shift[0] + shift[1], atol=1e-5)


def test_doses_saturate_and_are_read():
    mdata = simulate_actions(300, doses=(0.1, 1.0), pairs=False, n_targets=1, state_dependence=0.0)
    moved = np.linalg.norm(mdata.obsm["z"] - mdata.obsm["z0"], axis=1)
    dose = mdata.obs["dose"].astype(str)
    assert moved[dose == "0.1 uM"].mean() / moved[dose == "1 uM"].mean() == pytest.approx(1.2 * 0.1 / 0.3, abs=1e-5)
    keys = PerturbationKeys("action", control="control", dose="dose")
    design = read_design(keys, lambda name: mdata.obs[name])
    assert {action.doses["T1"] for action in design.actions} == {0.1, 1.0}
    assert design.units == {"T1": "uM"}


def test_responses_of_every_cell_are_known_and_seeds_repeat():
    one, two = (simulate_actions(100, seed=3) for _ in range(2))
    assert abs(one["rna"].X - two["rna"].X).max() == 0
    control = (one.obs["action"] == "control").to_numpy()
    np.testing.assert_array_equal(one["rna"].layers["before"][control], one["rna"].layers["rate"][control])
    assert np.abs(one["rna"].layers["before"][~control] - one["rna"].layers["rate"][~control]).max() > 0


def test_cells_escape_and_differ_in_strength():
    mdata = simulate_actions(400, escape=0.5, spread=0.5, n_targets=1, pairs=False, state_dependence=0.0, seed=2)
    moved = np.linalg.norm(mdata.obsm["z"] - mdata.obsm["z0"], axis=1)
    strength = mdata.obs["strength"].to_numpy()
    np.testing.assert_allclose(moved, strength * moved[strength > 0][0] / strength[strength > 0][0], atol=1e-5)
    treated = (mdata.obs["action"] != "control").to_numpy()
    assert (strength[~treated] == 0).all()
    assert (strength[treated] > 0).mean() == pytest.approx(0.5, abs=0.1)
    assert np.log(strength[strength > 0]).std() == pytest.approx(0.5, abs=0.1)
    for bad in ({"escape": 1.5}, {"spread": -1.0}):
        with pytest.raises(ValueError, match="escape is a share"):
            simulate_actions(**bad)


def test_confounding_changes_who_is_treated_and_nothing_else():
    plain, leaning = (simulate_actions(400, confounding=odds, seed=2) for odds in (0.0, 3.0))
    np.testing.assert_array_equal(plain.obsm["z0"], leaning.obsm["z0"])
    assert plain.obs["action"].value_counts().to_dict() == leaning.obs["action"].value_counts().to_dict()

    def apart(mdata):
        control = (mdata.obs["action"] == "control").to_numpy()
        return np.linalg.norm(mdata.obsm["z0"][control].mean(0) - mdata.obsm["z0"][~control].mean(0))

    assert apart(leaning) > 4 * apart(plain)


@pytest.mark.parametrize("bad", [{"n_targets": 1}, {"doses": (0.0,)}, {"doses": ()}, {"n_cells": 0}])
def test_refused(bad):
    with pytest.raises(ValueError, match="Give at least"):
        simulate_actions(**bad)


def test_one_target_after_the_other_is_the_product_of_both_steps(tmp_path):
    mdata = simulate_actions(400, n_targets=2, pairs=False, orders=True, state_dependence=0.5, seed=2)
    first, second = (expm(g) for g in mdata.uns["simulation"]["generators"])
    z0 = np.column_stack([mdata.obsm["z0"], np.ones(mdata.n_obs)])
    for label, step in (("T1 then T2", second @ first), ("T2 then T1", first @ second)):
        here = (mdata.obs["action"] == label).to_numpy()
        assert here.sum() > 20
        np.testing.assert_allclose(mdata.obsm["z"][here], (z0[here] @ step.T)[:, :-1], atol=1e-4)
    keys = PerturbationKeys("action", control="control", schedule="schedule")
    mdata.write(tmp_path / "orders.h5mu")
    written = mudata.read_h5mu(tmp_path / "orders.h5mu")
    actions = read_design(keys, lambda name: written.obs[name]).actions
    assert Action.schedule([("T1", 1.0, 0, 1), ("T2", 1.0, 1, 2)]) in actions
    assert Action("T1") in actions
    same = simulate_actions(400, n_targets=2, pairs=False, state_dependence=0.5, seed=2)
    assert "schedule" not in same.obs
