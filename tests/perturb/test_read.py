"""Columns of obs read as actions, and actions written as columns that are read as what was done."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest

from scvcell import Action, PerturbationKeys
from scvcell.perturb import as_action, label_cells, read_design

SEPARATORS = ("+", "_", "|", " & ", ";", " ", "-", "/")
UNITS = {"": ("", ""), "molar": ("nM", "uM"), "mass": ("ng/ml", "ug/ml")}
DOSES = (10**-0.5, 1e-7, 0.1, 3, 12.5, 1e6)


def data(rng, separator, controls, unit, typed):
    """Controls and treated cells at doses of either unit, with times and schedules."""
    names = ["A", "b1", "A", f"b1{separator}A"]
    first, other = UNITS[unit]
    doses = ["0", "1", "2", f"1{separator}2"]
    if unit:
        doses = [f"0 {first}", f"10 {first}", f"10 {other}", f"1 {first}{separator}2 {other}"]
    obs = pd.DataFrame(
        {
            "drug": [controls[i % len(controls)] for i in range(6)] + names,
            "dose": [doses[0]] * 6 + doses[:1] + doses[1:],
            "hours": [6, 24] * 5,
            "plan": [None] * 10,
            "type": ["x", "y"] * 5,
        },
        index=[f"c{i}" for i in range(10)],
    )
    obs.loc["c6", ["drug", "hours", "plan"]] = ["late", 24, '[["A", 1, 0, 6], ["b1", 2, 6, 12]]']
    if not unit and typed == "numbers":
        obs["dose"] = [0.0] * 6 + [1.0, 1.0, 2.0, 3.0]
    obs = obs.sample(frac=1, random_state=int(rng.integers(99)))
    return obs.astype({"drug": "category", "dose": "category", "plan": "category"}) if typed == "category" else obs


def actions(rng, unit):
    """Single targets, a pair, a new pair and schedules, at doses in either unit, to six digits."""
    for number, time in itertools.product((1, 2), (6, 24, 36.5)):
        given = rng.choice(["A", "b1", "Z"] if number == 1 else ["A", "b1"], number, replace=False)
        doses = [f"{rng.choice(DOSES):g} {rng.choice(UNITS[unit])}" for _ in given]
        yield Action(dict(zip(given, doses, strict=True)), time)
        yield Action.schedule([(t, d, 6 * i, 6 * i + 6) for i, (t, d) in enumerate(zip(given, doses, strict=True))])
        yield Action.schedule([(given[0], doses[0], 2, 3)], time=48)


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("unit", list(UNITS))
def test_labels_that_are_written_are_read(separator, unit):
    number = SEPARATORS.index(separator) + list(UNITS).index(unit)
    rng = np.random.default_rng(number)
    typed = ("text", "category", "numbers")[number % 3]
    controls = (("DMSO",), ("non-targeting", "no drug"))[number % 2]
    keys = PerturbationKeys("drug", controls, "dose", "hours", separator, "plan", "type")
    obs = data(rng, separator, controls, unit, typed)
    design = read_design(keys, lambda name: obs[name])
    units = design.units | ({"Z": UNITS[unit][0]} if unit else {})
    start = obs[design.control]
    for action in (*actions(rng, unit), Action()):
        action = action.in_units(units)
        after = label_cells(start, keys, action)
        assert after["type"].equals(start["type"])
        both = pd.concat([obs, after.set_index(after.index + "-new")])
        told = read_design(keys, lambda name, both=both: both[name])
        new = told.code[len(obs) :]
        found = {told.actions[code] if code >= 0 else Action() for code in new}
        assert found == {action.in_units(told.units)}
        assert {told.actions[code] if code >= 0 else code for code in told.code[: len(obs)]} == {
            design.actions[code] if code >= 0 else code for code in design.code
        }


@pytest.mark.parametrize("has", list(itertools.product((False, True), repeat=3)))
def test_only_columns_of_the_fit_are_written(has):
    names = dict(zip(("dose", "time", "schedule"), ("d", "t", "plan"), strict=True))
    keys = PerturbationKeys("drug", "ctrl", **{k: v for (k, v), given in zip(names.items(), has, strict=True) if given})
    after = label_cells(pd.DataFrame({"n": [1, 2]}), keys, Action({"A": 2.0}, 3))
    expected = {"n": 1, "drug": "A"} | ({"d": 2.0} if has[0] else {}) | ({"t": 3.0} if has[1] else {})
    assert after.iloc[0].to_dict() == expected


@pytest.mark.parametrize("separator", SEPARATORS)
def test_text_reads_as_the_label_of_a_cell_does(separator):
    labels = ["ctrl", "NT", "A", " b 1 ", f"A{separator}C", f"C{separator}A", f"ctrl{separator}A", f"A{separator}NT"]
    labels = [label for label in labels if separator.strip() or " b" not in label]
    obs = pd.DataFrame({"drug": labels})
    keys = PerturbationKeys("drug", ("ctrl", "NT"), separator=separator)
    design = read_design(keys, lambda name: obs[name])
    for label, code in zip(labels, design.code, strict=True):
        assert as_action(label, keys) == (design.actions[code] if code >= 0 else Action())
    assert as_action(["C", "A"], keys) == as_action({"A": None, "C": None, "ctrl": None}, keys)


def test_units_of_a_target_are_those_asked_for():
    obs = pd.DataFrame({"drug": ["ctrl", "A", "A", "A"], "dose": ["0", "0", "10 nM", "10 uM"]})
    keys = PerturbationKeys("drug", "ctrl", dose="dose")
    assert read_design(keys, lambda name: obs[name]).actions == (Action({"A": "10 nM"}), Action({"A": "10000 nM"}))
    asked = read_design(keys, lambda name: obs[name], units={"A": "uM"})
    assert asked.actions == (Action({"A": "0.01 uM"}), Action({"A": "10 uM"}))
    obs["dose"] = ["0", "0", "10", "20"]
    with pytest.raises(ValueError, match="doses of 'A' in uM and in no unit"):
        read_design(keys, lambda name: obs[name], units={"A": "uM"})


def test_the_unit_of_a_target_does_not_depend_on_the_order_of_cells():
    obs = pd.DataFrame(
        {"drug": ["ctrl", "A", "A", "A", "B", "B"], "dose": ["0", "1 uM", "9 nM", "1 uM", "2 uM", "2 nM"]}
    )
    keys = PerturbationKeys("drug", "ctrl", dose="dose")
    for seed in range(5):
        some = obs.sample(frac=1, random_state=seed)
        design = read_design(keys, some.__getitem__)
        assert design.units == {"A": "uM", "B": "nM"}
        assert set(design.actions) == {
            *(Action({"A": dose}) for dose in ("1 uM", "0.009 uM")),
            *(Action({"B": dose}) for dose in ("2 nM", "2000 nM")),
        }


def test_blank_and_missing_labels_are_neither_treated_nor_controls():
    for blank in (None, np.nan, pd.NA, "", "  "):
        obs = pd.DataFrame({"drug": pd.Series(["ctrl", "A", blank], dtype=object)})
        for kind in (object, "category", "string"):
            design = read_design(PerturbationKeys("drug", "ctrl"), obs.astype({"drug": kind}).__getitem__)
            assert design.code.tolist() == [-1, 0, -2]


def test_labels_that_tell_of_no_treatment_are_named():
    obs = pd.DataFrame({"drug": ["ctrl", "A", "A", "unassigned", "nan", "nan", "A+Unknown"]})
    design = read_design(PerturbationKeys("drug", "ctrl"), lambda name: obs[name])
    assert design.doubtful == {"Unknown": 1, "nan": 2, "unassigned": 1}
    assert not design.control[3:].any()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("NT", r"Did you mean 'non-targeting'\? It holds .* 'non-targeting' \(3\), .* and 35 more"),
        ("Ctrl", r"label 'Ctrl' in obs\['drug'\]\. Did you mean 'non-targeting'\?"),
        ("G10x", r"Did you mean 'G10"),
    ],
)
def test_an_unknown_control_label_names_likely_ones(given, message):
    labels = [f"G{i}" for i in range(42)] + ["non-targeting"] * 3 + ["G7"] * 9
    obs = pd.DataFrame({"drug": labels})
    with pytest.raises(ValueError, match=message):
        read_design(PerturbationKeys("drug", given), lambda name: obs[name])


TYPES = ("int64", "float64", "Int64", "Int8", "object", "str", "string", "category", "ordered", "Int64 category")


@pytest.mark.parametrize("held", TYPES)
@pytest.mark.parametrize("seen", [True, False])
def test_what_is_written_is_of_the_type_of_the_column(held, seen):
    column = pd.Series([0, 0, 1]).astype("str" if held in ("str", "string") else "int64")
    kinds = {"ordered": pd.CategoricalDtype([1, 0], True), "Int64 category": "category"}
    column = (column.astype("Int64") if held == "Int64 category" else column).astype(kinds.get(held, held))
    keys = PerturbationKeys("drug", 0, dose="dose")
    obs = pd.DataFrame({"drug": column, "dose": pd.array([0, 0, 2], dtype="Int64")})
    if not seen:
        obs = obs.iloc[:2]
    action = Action({"1": 2})
    after = label_cells(obs.iloc[:2], keys, action, {"drug": column.iloc[2], "dose": 2} if seen else None)
    new = held == "object" and not seen
    assert (after["drug"] == ("1" if held in ("str", "string") or new else 1)).all()
    assert new or after["drug"].dtype == column.dtype
    assert after["dose"].dtype == "Int64"
    both = label_cells(obs, keys, Action({"1": 0.5, "2": 2}))
    assert set(both["drug"].astype(str)) == {"1+2"}
    for each in (after, both):
        told = read_design(keys, pd.concat([obs.astype({"drug": object}), each]).astype({"drug": object}).get)
        assert told.code[-1] >= 0


@pytest.mark.parametrize("context", [("T cell", "day 1", "T", "cell day 1"), ("a", "b c", "a b", "c")])
def test_contexts_are_compared_by_every_column(context):
    a, b, c, d = context
    obs = pd.DataFrame({"drug": ["ctrl", "A"] * 2, "kind": [a, a, c, c], "day": [b, b, d, d]})
    design = read_design(PerturbationKeys("drug", "ctrl", context=("kind", "day")), obs.get)
    assert design.context[0] == design.context[1] != design.context[2] == design.context[3]
    assert len(set(design.contexts)) == 2


def read(frame, **keys):
    obs = pd.DataFrame(frame)
    return read_design(PerturbationKeys("drug", **{"control": "DMSO"} | keys), lambda name: obs[name])


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
