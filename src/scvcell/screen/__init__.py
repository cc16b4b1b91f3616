"""What a screen's own cells say, without predicting."""

from scvcell.screen._impact import N_JACKKNIFE, measure_effect
from scvcell.screen._matching import Match, balance_of, effects_on_cells, matched_values
from scvcell.screen._order import (
    OPERATORS,
    Arm,
    additive_null,
    against_action,
    both_orders,
    by_cells,
    joint_size,
    pools_of,
    refit,
    resampled,
    singles,
)
from scvcell.screen._origin import Origin, fit_origin
from scvcell.screen._pooling import by_pools, measured_pools
from scvcell.screen._potency import MIN_DOSES, Curve, curves_of
from scvcell.screen._rehearsal import draws_of, rehearse
from scvcell.screen._strength import strengths
from scvcell.screen._transport import potential

__all__ = [
    "MIN_DOSES",
    "N_JACKKNIFE",
    "OPERATORS",
    "Arm",
    "Curve",
    "Match",
    "Origin",
    "additive_null",
    "against_action",
    "balance_of",
    "both_orders",
    "by_cells",
    "by_pools",
    "curves_of",
    "draws_of",
    "effects_on_cells",
    "fit_origin",
    "joint_size",
    "matched_values",
    "measure_effect",
    "measured_pools",
    "pools_of",
    "potential",
    "refit",
    "rehearse",
    "resampled",
    "singles",
    "strengths",
]
