import pytest

from scvcell import Action
from scvcell.perturb import as_action


def test_names_doses_and_times_are_kept():
    action = Action({"trametinib": 0.1, "vemurafenib": 1.0}, time=24)
    assert action.targets == ("trametinib", "vemurafenib")
    assert action.doses == {"trametinib": 0.1, "vemurafenib": 1.0}
    assert str(action) == "trametinib 0.1 + vemurafenib 1, until 24"
    assert Action("STAT1+IRF1") == Action(["STAT1", "IRF1"]) == as_action("STAT1+IRF1")
    assert {Action("A"): 1}[Action("A")] == 1


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
