"""What actions would do to the cells of a fitted state, and how sure that is."""

from scvcell.response._anchor import STEPS, Anchor, prior_weights, stack_weights
from scvcell.response._bulk import FEWEST, Bulk, evenly
from scvcell.response._conditions import Units
from scvcell.response._contrast import Unit, conditions
from scvcell.response._controls import (
    Controls,
    as_target,
    asked,
    asked_each,
    compared,
    design_of,
    learned,
    show_action,
    treated,
)
from scvcell.response._counterfactual import counterfactual, move, moved_values
from scvcell.response._flow_fit import RIDGE, exposures, make_flow, train_flow
from scvcell.response._intervals import Effect
from scvcell.response._learn import Response
from scvcell.response._novelty import SHIFTS, hidden, shifts

__all__ = [
    "FEWEST",
    "RIDGE",
    "SHIFTS",
    "STEPS",
    "Anchor",
    "Bulk",
    "Controls",
    "Effect",
    "Response",
    "Unit",
    "Units",
    "as_target",
    "asked",
    "asked_each",
    "compared",
    "conditions",
    "counterfactual",
    "design_of",
    "evenly",
    "exposures",
    "hidden",
    "learned",
    "make_flow",
    "move",
    "moved_values",
    "prior_weights",
    "shifts",
    "show_action",
    "stack_weights",
    "train_flow",
    "treated",
]
