"""What is kept of an operator on states, through JSON and a file of arrays, says the same when it is read."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from scvcell import Action, PerturbationKeys
from scvcell.perturb import AffineFlow
from scvcell.prior import TargetKernel
from scvcell.response import Anchor
from scvcell.response._conditions import describe
from scvcell.response._delta import Delta
from scvcell.response._store import dump, restore

ACTIONS = (Action({"A": "10 uM"}, 24), Action({"A": "2 uM", "B": None}, 6), Action.schedule([("B", None, 0, 3)]))


@pytest.fixture
def delta():
    """An operator with everything that one can have, on two assays."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    flow = AffineFlow(3, ("A", "B"), {"A": 10.0}, 24.0, rank=2)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.normal_()
        flow.center.normal_()
    keys = PerturbationKeys("drug", ("none", "DMSO"), dose="dose", time="hours", context=("line", "donor"))
    table = pd.DataFrame(rng.normal(size=(3, 2)), ["A", "B", "new"])
    found = Delta(keys, flow, ACTIONS, {"A": "uM"}, TargetKernel(table, ridge=0.3))
    units = describe(flow, ACTIONS, rng.normal(size=(3, 3)))
    for name, features in (("rna", 5), ("flow/adt", 4)):
        y = rng.normal(size=(3, features))
        found.anchors[name] = Anchor.fit(units, y, np.full(y.shape, 0.1))
        found.spread[name] = rng.random(features)
    found.anchors["rna"].stack = {"later": [0.1, 0.2, 0.3, 0.4]}
    found.calibration["rna"] = rng.random((60, 5))
    found.cells["rna"] = np.array([20.0, 11.0, 4.0])
    return found


def through_files(plain, arrays, folder):
    path = folder / "response.npz"
    np.savez(path, **arrays)
    with np.load(path) as held:
        return json.loads(json.dumps(plain)), dict(held)


def assert_same(one, other):
    z = torch.randn(4, 3)
    for action in (*one.actions, Action("A+B"), Action("new")):
        torch.testing.assert_close(other.states(z, action), one.states(z, action), rtol=0, atol=0)
    assert other.keys == one.keys
    assert other.actions == one.actions
    assert other.dose_units == one.dose_units
    assert list(other.anchors) == list(one.anchors)
    for name, anchor in one.anchors.items():
        place = np.zeros(3)
        for action in one.actions:
            for a, b in zip(other.residual(name, action, place), one.residual(name, action, place), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12)
        assert other.anchors[name].stack == anchor.stack
        np.testing.assert_array_equal(other.spread[name], one.spread[name])
    assert set(other.calibration) == set(one.calibration)
    for held, own in ((other.calibration, one.calibration), (other.cells, one.cells)):
        for name in own:
            np.testing.assert_array_equal(held[name], own[name])


def test_it_is_the_same_after_files(delta, tmp_path):
    again = restore(Delta, *through_files(*dump(delta), tmp_path), 3)
    assert_same(delta, again)
    assert set(again.cells) == {"rna"}


def test_files_of_earlier_versions_are_read(delta, tmp_path):
    """Arrays of the flow stood under ``flow/``; there were no numbers of cells and no way of being new."""
    for held in (delta.anchors, delta.spread):
        held["adt"] = held.pop("flow/adt")
    plain, arrays = through_files(*dump(delta), tmp_path)
    old = {name.replace("//flow/", "flow/"): value for name, value in arrays.items() if name != "rna/cells"}
    assert "flow/shift" in old
    again = restore(Delta, plain, old, 3)
    delta.cells = {}
    assert_same(delta, again)


def test_without_side_information_doses_or_calibration(delta, tmp_path):
    bare = Delta(PerturbationKeys("drug", "none"), AffineFlow(3, ("A",)), (Action("A"),), {})
    plain, arrays = through_files(*dump(bare), tmp_path)
    again = restore(Delta, plain, arrays, 3)
    assert again.kernel is None
    assert (again.flow.largest, again.flow.span) == ({}, None)
    assert (again.anchors, again.calibration, again.cells) == ({}, {}, {})
    z = torch.randn(2, 3)
    torch.testing.assert_close(again.states(z, Action("A")), bare.states(z, Action("A")))
