"""Treated cells and their controls, against plain loops over actions and contexts."""

import numpy as np
import pytest

from scvcell import Action
from scvcell.perturb import Design
from scvcell.response import FEWEST_CELLS, Contrast, contrasts
from scvcell.response._contrast import teaches

ACTIONS = (Action("A"), Action("B"), Action("A+B"))


@pytest.fixture
def design():
    rng = np.random.default_rng(0)
    code, context = rng.integers(-2, 3, 120), rng.integers(-1, 3, 120)
    code[(context == 2) & (code == -1)] = 0
    return Design(ACTIONS, code, ("x", "y", "no control"), context, {})


def test_every_condition_with_controls_is_found(design):
    allowed = np.random.default_rng(1).random(120) < 0.7
    found = contrasts(design, allowed)
    expected = {}
    for k in range(3):
        controls = [i for i in range(120) if allowed[i] and design.context[i] == k and design.code[i] == -1]
        for number, action in enumerate(ACTIONS):
            treated = [i for i in range(120) if allowed[i] and design.context[i] == k and design.code[i] == number]
            if treated and controls:
                expected[action, k] = (treated, controls)
    assert {(u.action, u.context): (u.treated.tolist(), u.controls.tolist()) for u in found} == expected
    assert {k for _, k in expected} == {0, 1}


def test_the_order_of_cells_does_not_matter(design):
    order = np.random.default_rng(2).permutation(120)
    shuffled = Design(ACTIONS, design.code[order], design.contexts, design.context[order], {})
    every = np.ones(120, bool)
    one, other = contrasts(design, every), contrasts(shuffled, every)
    for a, b in zip(one, other, strict=True):
        assert (a.action, a.context) == (b.action, b.context)
        assert set(order[b.treated]) == set(a.treated)
        assert set(order[b.controls]) == set(a.controls)


def test_without_treated_cells_or_controls_nothing_can_be_learned(design):
    for allowed in (design.treated, design.control, np.zeros(120, bool)):
        with pytest.raises(ValueError, match="No context has both treated and control cells"):
            contrasts(design, allowed)


@pytest.mark.parametrize(("n", "m", "enough"), [(10, 10, True), (9, 50, False), (50, 9, False)])
def test_a_flow_learns_from_cells_enough_and_no_schedule(n, m, enough):
    assert FEWEST_CELLS == 10
    unit = Contrast(Action("A"), 0, np.arange(n), np.arange(m))
    assert unit.enough == teaches(unit) == enough
    late = Contrast(Action.schedule([("A", None, 1, 2)]), 0, np.arange(n), np.arange(m))
    assert late.enough == enough
    assert not teaches(late)
