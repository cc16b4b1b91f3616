"""What is learned of actions from cells whose states and values are given; no model is fitted."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

from scvcell import Action, PerturbationKeys
from scvcell._containers import view
from scvcell.response import Response, _learn

KEYS = PerturbationKeys("drug", "none", context="line")
FEATURES = 6


@pytest.fixture
def screen(readout):
    """Two lines, two drugs and both together, 8 cells each: too few for a flow; and one operator that takes none."""
    rng = np.random.default_rng(0)
    drug = np.tile(np.repeat(["none", "A", "B", "A+B"], 8), 2)
    line = np.repeat(["x", "y"], 32)
    effect = {"none": np.zeros(FEATURES), "A": rng.normal(size=FEATURES), "B": rng.normal(size=FEATURES)}
    effect["A+B"] = effect["A"] + effect["B"]
    values = np.array([effect[d] for d in drug]) + 0.1 * rng.normal(size=(64, FEATURES))
    obs = pd.DataFrame({"drug": drug, "line": line}, index=[f"c{i}" for i in range(64)])
    latent = torch.from_numpy(rng.normal(size=(64, 4)).astype(np.float32))

    def model_of(values, test=(), **columns):
        data = view(AnnData(values.astype(np.float32), obs=obs.assign(**columns)))
        made = readout("profile", values.astype(np.float32))
        deaf = SimpleNamespace(responds=False)
        return SimpleNamespace(
            view=lambda: data,
            split_={"train": np.delete(data.obs_names, list(test)), "validation": []},
            posterior=lambda _: SimpleNamespace(mean=latent),
            n_latent=4,
            assays=["profile", "peaks"],
            operator=lambda name: made.operator if name == "profile" else deaf,
            readout=lambda _, name: made,
            progress=False,
            network=SimpleNamespace(device=torch.device("cpu")),
        )

    return model_of, values, drug, line, effect


def test_every_condition_is_measured_in_every_assay_that_takes_effects(screen):
    model_of, values, drug, line, _ = screen
    found = Response.learn(model_of(values), KEYS, calibrate=False)
    assert found.actions == (Action("A"), Action("B"), Action("A+B"))
    assert list(found.anchors) == ["profile"]
    assert not found.flow.moves
    assert found.cells["profile"].tolist() == [8.0] * 6
    anchor = found.anchors["profile"]
    expected = [
        values[(drug == d) & (line == k)].mean(0) - values[(drug == "none") & (line == k)].mean(0)
        for k in ("x", "y")
        for d in ("A", "B", "A+B")
    ]
    np.testing.assert_allclose(anchor.y, expected, atol=1e-5)
    assert found.calibration == {}
    assert found.columns == ("drug", "line")


def test_the_anchor_learns_what_the_flow_leaves(screen, monkeypatch):
    model_of, values, drug, line, _ = screen
    model = model_of(values)
    shift = torch.tensor([1.0, -1.0, 0.5, 2.0])

    def moved(flow, *_):
        with torch.no_grad():
            flow.offset[0] = shift

    still = Response.learn(model, KEYS, calibrate=False)
    monkeypatch.setattr(_learn, "train_flow", moved)
    found = Response.learn(model, KEYS, calibrate=False)
    seen = model.readout(None, "profile")
    for row, (where, action) in enumerate((k, d) for k in ("x", "y") for d in ("A", "B", "A+B")):
        controls = np.flatnonzero((drug == "none") & (line == where))
        z = model.posterior(None).mean[controls]
        with torch.no_grad():
            before, after = (seen.operator.predict(state, seen.at(controls)) for state in (z, z + shift))
        by_flow = (after - before).mean(0).numpy() if "A" in action else 0
        left = still.anchors["profile"].y[row] - by_flow
        np.testing.assert_allclose(found.anchors["profile"].y[row], left, atol=1e-5)


def test_parts_tell_of_a_combination_that_was_left_out(screen):
    model_of, values, drug, _, effect = screen
    found = Response.learn(model_of(values, test=np.flatnonzero(drug == "A+B")), KEYS, calibrate=False)
    assert found.actions == (Action("A"), Action("B"))
    mean, _ = found.residual("profile", Action("A+B"), np.zeros(4))
    assert np.square(mean - effect["A+B"]).mean() < 0.1 * np.square(effect["A+B"]).mean()


def test_held_out_cells_tell_nothing(screen):
    model_of, values, drug, _, _ = screen
    test = np.arange(0, 64, 8)
    wrong = values.copy()
    wrong[test] = 1e3
    other = drug.copy()
    other[test] = "A"
    one = Response.learn(model_of(values, test), KEYS)
    for model in (model_of(wrong, test), model_of(values, test, drug=other)):
        two = Response.learn(model, KEYS)
        np.testing.assert_array_equal(two.anchors["profile"].y, one.anchors["profile"].y)
        np.testing.assert_array_equal(two.calibration["profile"], one.calibration["profile"])


def test_intervals_are_calibrated_where_conditions_can_be_left_out(screen, caplog):
    model_of, values, drug, line, _ = screen
    calibrated = Response.learn(model_of(values), KEYS)
    rows = calibrated.calibration["profile"]
    assert sorted(set(rows[rows[:, 4] == 0, 3])) == [0, 1, 2, 3, 4, 5]
    assert "6 of 6 conditions have fewer than 10 treated or control cells" in caplog.text
    caplog.clear()
    singles = np.flatnonzero((drug == "A+B") | (line == "y"))
    found = Response.learn(model_of(values, test=singles), KEYS)
    assert len(found.calibration["profile"]) == 0
    assert "Too few conditions could be left out to calibrate effects on 'profile'" in caplog.text
    assert "2 measured actions (A, B)" in caplog.text


def test_what_is_kept_says_the_same(screen):
    model_of, values, *_ = screen
    found = Response.learn(model_of(values), KEYS)
    again = Response.restore(*found.dump(), 4)
    assert type(again) is Response
    for action in found.actions:
        np.testing.assert_allclose(
            again.residual("profile", action, np.ones(4)), found.residual("profile", action, np.ones(4))
        )
    np.testing.assert_array_equal(again.calibration["profile"], found.calibration["profile"])
    assert any("Energy statistics" in source for source in found.references)
