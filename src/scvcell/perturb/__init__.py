"""Delta: how actions (drugs, knock-outs, ligands; doses, times, combinations, schedules) move the state."""

from scvcell._moved import moved
from scvcell.perturb._action import Action, Pulse
from scvcell.perturb._base import PERTURBATIONS, Perturbation
from scvcell.perturb._design import Design, PerturbationKeys, as_action
from scvcell.perturb._flow import AffineFlow
from scvcell.perturb._read import label_cells, read_design

__all__ = [
    "PERTURBATIONS",
    "Action",
    "AffineFlow",
    "Design",
    "Perturbation",
    "PerturbationKeys",
    "Pulse",
    "as_action",
    "label_cells",
    "read_design",
]

__getattr__ = moved(
    __name__,
    {
        "BASELINES": "scvcell.risk.baselines:BASELINES",
        "Baseline": "scvcell.risk.baselines:Baseline",
        "Anchor": "scvcell.response:Anchor",
        "SHIFTS": "scvcell.response:NOVELTIES",
        "Units": "scvcell.response:Conditions",
        "hidden": "scvcell.response:hidden",
        "prior_weights": "scvcell.response:prior_weights",
        "shifts": "scvcell.response:novelty",
        "stack_weights": "scvcell.response:stack_weights",
    },
)
