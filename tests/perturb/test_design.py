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


def test_schedules():
    plan = [("A", 1.0, 0, 6), ("B", 1.0, 6, 12)]
    frame = pd.DataFrame({"drug": ["DMSO", "AB"]})
    frame["plan"] = pd.Series([None, plan], dtype=object)
    design = read(frame, schedule="plan")
    assert design.actions == (Action.schedule(plan),)
    frame["plan"] = [None, json.dumps(plan)]
    assert read(frame, schedule="plan").actions == design.actions


@pytest.mark.parametrize("plan", ["A then B", "[]", '[["A", 1.0]]', [1, 2], "7"])
def test_a_schedule_that_cannot_be_read(plan):
    frame = pd.DataFrame({"drug": ["DMSO", "AB"]})
    frame["plan"] = pd.Series([None, plan], dtype=object)
    with pytest.raises(ValueError, match=r"obs\['plan'\] holds .* list of \(target, dose, start, stop\)"):
        read(frame, schedule="plan")


@pytest.mark.parametrize(
    ("frame", "keys", "message"),
    [
        ({"drug": ["dmso", "A"]}, {}, "No cell has the control label 'DMSO'.*Did you mean 'dmso'"),
        ({"drug": ["DMSO", "DMSO"]}, {}, "Every cell is a control"),
        ({"drug": ["DMSO", "A+"]}, {}, "splits at '\\+'.*empty or named twice"),
        ({"drug": ["DMSO", "A+A"]}, {}, "named twice"),
        ({"drug": ["DMSO", "A"], "d": [0, -1]}, {"dose": "d"}, "doses from 0 on"),
        ({"drug": ["DMSO", "A"], "d": ["0", "much"]}, {"dose": "d"}, "doses from 0 on"),
        ({"drug": ["DMSO", "A"], "d": [0, None]}, {"dose": "d"}, "no dose for cells treated with"),
        ({"drug": ["DMSO", "A", "A"], "d": ["0", "1 uM", "2"]}, {"dose": "d"}, "in no unit|in uM and in no unit"),
        ({"drug": ["DMSO", "A+B"], "d": ["0", "1+2+3"]}, {"dose": "d"}, "3 doses, for the 2 targets"),
        ({"drug": ["DMSO", "A"], "d": [0, 0]}, {"dose": "d"}, "Every dose is 0"),
        ({"drug": ["DMSO", "A"], "t": [0, "late"]}, {"time": "t"}, "must hold times as numbers"),
        ({"drug": ["DMSO", "A"], "c": ["x", "y"]}, {"context": "c"}, "no control to compare them with, e.g. 'y'"),
        ({"drug": ["DMSO", "A"], "c": ["x", None]}, {"context": "c"}, r"No treated cell has a context: .* obs\['c'\]"),
    ],
)
def test_refused(frame, keys, message):
    with pytest.raises(ValueError, match=message):
        read(frame, **keys)


def test_order_of_cells_does_not_matter():
    frame = pd.DataFrame({"drug": ["A", "DMSO", "B", "A"]})
    order = np.array([2, 0, 3, 1])
    first, second = read(frame), read(frame.iloc[order].reset_index(drop=True))
    names = [[d.actions[c] if c >= 0 else None for c in d.code] for d in (first, second)]
    assert [names[0][i] for i in order] == names[1]


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
