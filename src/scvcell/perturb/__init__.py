"""Delta: how actions (drugs, knock-outs, ligands; doses, times, combinations, schedules) move the state."""

from scvcell._moved import moved
from scvcell.perturb._action import Action, Pulse
from scvcell.perturb._anchor import Anchor, Units, prior_weights, stack_weights
from scvcell.perturb._base import PERTURBATIONS, Perturbation
from scvcell.perturb._design import Design, PerturbationKeys, as_action
from scvcell.perturb._flow import AffineFlow
from scvcell.perturb._read import label_cells, read_design
from scvcell.perturb._shift import SHIFTS, hidden, shifts

__all__ = [
    "PERTURBATIONS",
    "SHIFTS",
    "Action",
    "AffineFlow",
    "Anchor",
    "Design",
    "Perturbation",
    "PerturbationKeys",
    "Pulse",
    "Units",
    "as_action",
    "hidden",
    "label_cells",
    "prior_weights",
    "read_design",
    "shifts",
    "stack_weights",
]

__getattr__ = moved(
    __name__,
    {"BASELINES": "scvcell.risk.baselines:BASELINES", "Baseline": "scvcell.risk.baselines:Baseline"},
)
