"""Delta: how actions (drugs, knock-outs, ligands; doses, times, combinations, schedules) move the state."""

from scvcell.perturb._action import Action, Pulse
from scvcell.perturb._base import PERTURBATIONS, Perturbation
from scvcell.perturb._baselines import BASELINES, Baseline
from scvcell.perturb._design import Design, PerturbationKeys, as_action
from scvcell.perturb._flow import AffineFlow
from scvcell.perturb._read import label_cells, read_design

__all__ = [
    "Action",
    "AffineFlow",
    "BASELINES",
    "Baseline",
    "Design",
    "PERTURBATIONS",
    "Perturbation",
    "PerturbationKeys",
    "Pulse",
    "as_action",
    "label_cells",
    "read_design",
]
