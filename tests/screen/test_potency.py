"""Targets at several doses, found among conditions."""

import numpy as np

from scvcell import Action
from scvcell.response import Contrast
from scvcell.screen._potency import curves_of


def unit(action, context=0, n=20, start=0):
    return Contrast(action, context, np.arange(start, start + n), np.arange(900, 920))


def test_doses_are_in_order_after_their_controls_whatever_the_order_of_conditions():
    doses = [3.0, 0.1, 1.0, 30.0]
    units = [unit(Action({"A": dose}), start=int(100 * dose)) for dose in doses]
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        (curve,) = curves_of([units[i] for i in order])
        assert (curve.target, curve.context, curve.time) == ("A", 0, None)
        assert curve.doses.tolist() == [0.1, 1.0, 3.0, 30.0]
        assert [int(cells[0]) for cells in curve.cells] == [900, 10, 100, 300, 3000]


def test_each_target_context_and_time_is_a_curve_of_its_own():
    units = [
        unit(Action({target: dose}, time), context)
        for target in ("B", "A")
        for context in (1, 0)
        for time in (24.0, 6.0)
        for dose in (1.0, 2.0, 3.0)
    ]
    found = [(curve.target, curve.context, curve.time) for curve in curves_of(units)]
    assert len(found) == len(set(found)) == 8
    assert [target for target, *_ in found] == ["A"] * 4 + ["B"] * 4


def test_what_makes_no_curve():
    three = [unit(Action({"A": dose})) for dose in (1.0, 2.0, 3.0)]
    assert len(curves_of(three)) == 1
    assert curves_of(three[:2]) == []
    few = Contrast(Action({"A": 3.0}), 0, np.arange(9), np.arange(900, 920))
    assert curves_of([*three[:2], few]) == []
    together = [unit(Action({"A": dose, "B": 1.0})) for dose in (1.0, 2.0, 3.0)]
    scheduled = [unit(Action.schedule([("A", dose, 0, 6)])) for dose in (1.0, 2.0, 3.0)]
    unknown = [unit(Action("A", time)) for time in (1, 2, 3)]
    assert curves_of([*together, *scheduled, *unknown]) == []
