"""Which action brings cells nearest to others: what nothing does, intervals, order, and refusals."""

import numpy as np
import pytest
import torch

import scvcell
from scvcell import Action
from scvcell.objective import energy_distance


def test_progress_is_the_share_of_the_energy_distance_that_is_gone(dosed, monkeypatch):
    """Where every sample is all of the cells, each draw is the value of all cells."""
    data, model = dosed.data, dosed.model

    class Whole:
        def integers(self, n, size):
            return np.arange(n)

    monkeypatch.setattr("scvcell.tl._rank.np.random.default_rng", lambda seed: Whole())
    table = scvcell.tl.rank_actions(data, model, "action == 'T1'", n_boot=2).set_index("action")
    latent = torch.from_numpy(model.get_latent_representation(data))
    label = data.obs["action"].astype(str).to_numpy()
    here, goal = latent[label == "control"], latent[label == "T1"]
    for action in model.response.actions:
        moved = model.response.states(here, action)
        expected = 1 - float(energy_distance(moved, goal) / energy_distance(here, goal))
        row = table.loc[str(action)]
        assert row["progress"] == pytest.approx(expected, rel=1e-3, abs=1e-4)
        assert row["lower"] == pytest.approx(row["upper"])


def test_doing_nothing_makes_no_progress_and_the_best_comes_first(dosed):
    ask = {"goal": "action == 'T2'", "actions": ["T1", Action(), {"T2": 1}, "T2"], "n_boot": 9}
    table = scvcell.tl.rank_actions(dosed.data, dosed.model, **ask)
    assert table["progress"].is_monotonic_decreasing
    nothing = table.set_index("action").loc["control", ["progress", "lower", "upper"]].to_numpy(float)
    np.testing.assert_allclose(nothing, 0, atol=1e-6)
    assert (table["lower"] <= table["upper"]).all()
    assert set(table["action"]) == {"T1 10 uM", "control", "T2 1 uM", "T2 10 uM"}
    again = scvcell.tl.rank_actions(dosed.data, dosed.model, **ask)
    assert table.equals(again)
    assert not table.equals(scvcell.tl.rank_actions(dosed.data, dosed.model, **ask, seed=1))


def test_too_few_cells_and_draws_are_refused(dosed):
    one = dosed.data.obs_names[dosed.data.obs["action"] == "T1"][:1]
    with pytest.raises(ValueError, match="1 cells of the goal are too few; give at least 2"):
        scvcell.tl.rank_actions(dosed.data, dosed.model, one)
    with pytest.raises(ValueError, match="n_boot must be a whole number >= 1, not 0"):
        scvcell.tl.rank_actions(dosed.data, dosed.model, "action == 'T1'", n_boot=0)
