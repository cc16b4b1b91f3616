"""What actions would do to the cells of a fitted state, and how sure that is."""

from scvcell.response._anchor import Anchor, prior_weights, stack_weights
from scvcell.response._bulk import FEWEST_CELLS, Bulk, evenly
from scvcell.response._conditions import Conditions, of_actions
from scvcell.response._contrast import Contrast, contrasts
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
from scvcell.response._counterfactual import counterfactual, counterfactuals, move, moved_values
from scvcell.response._flow_fit import FLOW_RIDGE, FLOW_STEPS, exposures, make_flow, some_cells, train_flow
from scvcell.response._intervals import Effect
from scvcell.response._learn import Response
from scvcell.response._novelty import COMBINATION, NOVELTIES, TARGET, hidden, novelty

__all__ = [
    "COMBINATION",
    "FEWEST_CELLS",
    "FLOW_RIDGE",
    "FLOW_STEPS",
    "NOVELTIES",
    "TARGET",
    "Anchor",
    "Bulk",
    "Conditions",
    "Contrast",
    "Controls",
    "Effect",
    "Response",
    "as_target",
    "asked",
    "asked_each",
    "compared",
    "contrasts",
    "counterfactual",
    "counterfactuals",
    "design_of",
    "evenly",
    "exposures",
    "hidden",
    "learned",
    "make_flow",
    "move",
    "moved_values",
    "novelty",
    "of_actions",
    "prior_weights",
    "show_action",
    "some_cells",
    "stack_weights",
    "train_flow",
    "treated",
]
