"""Conditions, controls and contexts of cells; keys as plain values."""

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from scvcell import Action, PerturbationKeys
from scvcell.perturb import read_design


def read(frame, **keys):
    obs = pd.DataFrame(frame)
    return read_design(PerturbationKeys("drug", **{"control": "DMSO"} | keys), lambda name: obs[name])


def test_conditions_and_controls():
    design = read({"drug": ["DMSO", "A", "A+B", "A", "B + A", None]})
    assert design.control.tolist() == [True, False, False, False, False, False]
    assert design.actions == (Action("A"), Action("A+B"))
    assert design.code.tolist() == [-1, 0, 1, 0, 1, -2]
    assert design.targets == ("A", "B")


def test_a_part_named_as_control_is_left_out():
    assert read({"drug": ["DMSO", "A+DMSO"]}).actions == (Action("A"),)


def test_doses_with_units_times_and_several_controls():
    frame = {
        "drug": ["DMSO", "none", "A", "A", "A+B"],
        "dose": [0, None, "100 nM", "1 uM", "100 nM+5 ng/ml"],
        "hours": [6, 6, 6, 24, 24],
    }
    design = read(frame, control=("DMSO", "none"), dose="dose", time="hours")
    assert design.units == {"A": "nM", "B": "ng/ml"}
    both = Action({"A": "100 nM", "B": "5 ng/ml"}, 24)
    assert design.actions == (Action({"A": "100 nM"}, 6), Action({"A": "1000 nM"}, 24), both)
    assert design.control.sum() == 2


def test_dose_zero_is_control():
    design = read({"drug": ["DMSO", "A", "A"], "dose": [0, 0, 1.0]}, dose="dose")
    assert design.code.tolist() == [-1, -1, 0]


def test_contexts_join_columns():
    frame = {"drug": ["DMSO", "A", "DMSO", "A"], "line": ["x", "x", "y", None], "donor": [1, 1, 1, 1]}
    design = read(frame, context=("line", "donor"))
    assert design.contexts == ("x 1", "y 1")
    assert design.context.tolist() == [0, 0, 1, -1]


@pytest.mark.parametrize(
    "control", [0, np.int64(0), [0], np.array([0]), pd.Series([0.0]), pd.Categorical(["0"]), {"0"}]
)
def test_keys_are_plain_values_however_they_are_given(control):
    keys = PerturbationKeys("drug", control, context=["line", "donor"])
    assert keys.controls == ("0",)
    plain = json.loads(json.dumps(asdict(keys)))
    again = PerturbationKeys(**{name: tuple(v) if isinstance(v, list) else v for name, v in plain.items()})
    assert again == keys
    assert hash(again) == hash(keys)
