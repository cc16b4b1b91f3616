"""Actions as sets of doses over time: equal, shown, added, kept, converted."""

import pytest

from scvcell import Action, PerturbationKeys
from scvcell.perturb import as_action


def test_names_doses_and_times_are_kept():
    action = Action({"trametinib": 0.1, "vemurafenib": 1.0}, time=24)
    assert action.targets == ("trametinib", "vemurafenib")
    assert action.doses == {"trametinib": 0.1, "vemurafenib": 1.0}
    assert str(action) == "trametinib 0.1 + vemurafenib 1, until 24"
    assert Action("STAT1+IRF1") == Action(["STAT1", "IRF1"]) == as_action("STAT1+IRF1")
    assert {Action("A"): 1}[Action("A")] == 1


def test_targets_that_are_given_together_are_a_set():
    assert Action("A+B") == Action(["B", "A"]) == Action(" B + A ") == Action("B") + Action("A")
    assert len({Action({"A": 1, "B": 2}, 3), Action({"B": 2.0, "A": "1"}, 3.0)}) == 1
    assert Action.schedule([("B", 1, 0, 6), ("A", 1, 6, 12)]) != Action.schedule([("A", 1, 0, 6), ("B", 1, 6, 12)])


def test_units_are_shown_and_kept():
    action = Action({"A": "10 uM", "B": 2}, time=6)
    assert str(action) == "A 10 uM + B 2, until 6"
    assert action.doses == {"A": 10, "B": 2}
    assert Action.from_dict(action.as_dict()) == action
    assert action.alone("B") == Action({"B": 2}, 6)
    assert Action({"A": "10 uM"}) != Action({"A": "10 nM"})


def test_actions_of_models_saved_before_there_were_units():
    saved = {"pulses": [["B", 0.31622776601684, 0.0, None], ["A", None, 0.0, None]], "time": 24.0}
    action = Action.from_dict(saved).in_units({"B": "uM"})
    assert action == Action({"A": None, "B": f"{10**-0.5} uM"}, 24)


def test_what_is_not_given_is_the_largest_in_training():
    action = Action({"A": None, "B": "1 nM", "new": None}).filled({"A": 3.0, "B": 9.0}, {"A": "uM", "B": "nM"}, 24)
    assert action == Action({"A": "3 uM", "B": "1 nM", "new": None}, 24)
    assert Action().filled({}, {}, 24) == Action()
    assert Action("A", time=6).filled({}, {}, 24) == Action("A", time=6)


def test_no_dose_is_no_action():
    assert Action({"A": 0.0}) == Action() == Action("")
    assert str(Action()) == "control"


def test_actions_add():
    assert Action("A") + Action("B") == Action("A+B")
    with pytest.raises(ValueError, match="Both actions give 'A'"):
        Action("A") + Action({"A": 2.0})


def test_plain_values_and_back():
    action = Action.schedule([("A", 1.0, 0, 6), ("B", None, 6, 12)])
    assert Action.from_dict(action.as_dict()) == action
    assert action.scheduled
    assert not Action("A").scheduled


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Action(["A", "A"]), "names a target twice"),
        (lambda: Action("A++B"), "must be a name"),
        (lambda: Action({"A": -1}), "The dose of 'A' must be a number from 0 on"),
        (lambda: Action({"A": float("nan")}), "from 0 on"),
        (lambda: Action({"A": "much"}), "must be a number, not 'much'"),
        (lambda: Action("A", time="24h"), "time must be a number"),
        (lambda: Action("A", time=-1), "time must be a number from 0 on"),
        (lambda: Action.schedule([]), "at least one"),
        (lambda: Action.schedule([("A", 1, 6, 2)]), "must stop later"),
        (lambda: Action.schedule([("A", 1, 0, 6), ("A", 2, 4, 8)]), "must not overlap"),
        (lambda: Action.schedule([("A", 1, 0, 6)], time=4), "before the end of the schedule"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_doses_are_converted_to_the_unit_of_the_fit():
    units = {"A": "uM", "B": "ng/ml", "C": ""}
    for given in ("10 nM", "10nM", "0.01 µM", "0.01 μM", "1e-8 M", "10000 pM", 0.01, "0.01", "+1e-2 uM"):
        assert as_action({"A": given}, None, units) == Action({"A": "0.01 uM"})
    assert str(as_action({"A": 10, "B": "2 ug/mL"}, None, units)) == "A 10 uM + B 2000 ng/ml"
    assert as_action({"C": "5"}, None, units) == Action({"C": 5})
    assert as_action({"A": "0 nM"}, None, units) == Action()
    assert as_action(Action.schedule([("A", "10 nM", 0, 6)]), None, units).doses == {"A": 0.01}
    with pytest.raises(ValueError, match=r"'1 mg/ml', others in 'uM'"):
        as_action({"A": "1 mg/ml"}, None, units)
    for unknown in ("C", "D"):
        with pytest.raises(ValueError, match=r"'1 nM', but the fit knows no unit of its doses\. Give a number"):
            as_action({unknown: "1 nM"}, None, units)


@pytest.mark.parametrize("wrong", [None, 5, 2.5, True])
def test_what_is_no_action_is_refused(wrong):
    keys = PerturbationKeys("drug", "ctrl")
    for make in (Action, lambda value: as_action(value, keys)):
        with pytest.raises(TypeError, match=r"text such as 'A\+B', a list of targets, a mapping .* not "):
            make(wrong)
