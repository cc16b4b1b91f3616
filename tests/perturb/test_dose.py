"""Doses as numbers with units: read, split, rounded, converted."""

import numpy as np
import pandas as pd
import pytest

from scvcell import Action, PerturbationKeys
from scvcell.perturb import _dose, read_design

SEPARATORS = ("+", "_", "|", " & ", ";", " ", "-", "/")


@pytest.mark.parametrize("dose", [10**-0.5, 10**0.5, 1 / 3, 2e-9, 123456.7])
def test_a_dose_is_one_however_it_is_held(dose):
    held = (dose, float(np.float32(dose)), np.float64(dose), str(dose), repr(np.float32(dose).item()), f"{dose:g}")
    assert len({Action({"A": value}) for value in held}) == 1
    obs = pd.DataFrame({"drug": ["ctrl", "A"], "dose": np.array([0, dose], np.float32)})
    design = read_design(PerturbationKeys("drug", "ctrl", dose="dose"), lambda name: obs[name])
    assert design.actions == (Action({"A": dose}),)


@pytest.mark.parametrize("separator", SEPARATORS)
def test_doses_of_a_combination_are_split_apart(separator):
    for parts in (["1e+3 nM", "1e-3 uM"], ["5 ng/ml", "0.1"], ["2", "3.5e6"], ["7 nM"]):
        text = separator.join(parts)
        assert _dose.split_doses(text, separator) == parts


@pytest.mark.parametrize(
    ("value", "unit", "to", "expected"),
    [
        (1, "uM", "nM", 1000),
        (5, "nM", "M", 5e-9),
        (2, "µM", "uM", 2),
        (3, "ug/ml", "ng/mL", 3000),
        (1, "g/l", "mg/ml", 1),
        (7, "MOI", "MOI", 7),
        (0, "fM", "mM", 0),
    ],
)
def test_converted_by_the_prefix_of_the_unit(value, unit, to, expected):
    assert _dose.convert(value, unit, to) == pytest.approx(expected)


@pytest.mark.parametrize(("unit", "to"), [("uM", "ng/ml"), ("MOI", "uM"), ("nM", ""), ("", "g/l")])
def test_kinds_of_units_are_not_mixed(unit, to):
    with pytest.raises(ValueError, match=rf"Doses in '{unit}' cannot be converted to '{to}'"):
        _dose.convert(1.0, unit, to)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10 uM", (10, "uM")), (" .5nM ", (0.5, "nM")), ("1e-3 ng/ml", (1e-3, "ng/ml")), ("3", (3, "")), (2, (2, ""))],
)
def test_what_is_written_is_read_again(text, expected):
    assert _dose.dose("x", text) == expected
    assert _dose.dose("x", _dose.written(*expected)) == expected


@pytest.mark.parametrize("wrong", ["much", None, -1, float("inf"), "-2 uM"])
def test_what_is_no_dose_is_named(wrong):
    with pytest.raises(ValueError, match="x must be a number"):
        _dose.dose("x", wrong)
