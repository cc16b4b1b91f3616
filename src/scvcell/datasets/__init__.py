"""Data sets: an embedded real mosaic, loaders of larger public ones, and a simulator whose truth is known."""

from scvcell._calm import calm_down
from scvcell.datasets._actions import simulate_actions
from scvcell.datasets._kinetics import simulate_kinetics
from scvcell.datasets._loaders import (
    kang_ifnb,
    korkut_drug_pairs,
    norman_crispra,
    pancreas_velocity,
    pbmc_citeseq,
    pbmc_mosaic,
    snareseq_mouse_cortex,
)
from scvcell.datasets._registry import citation, registry
from scvcell.datasets._sections import breast, dlpfc, lymph_node, starmap
from scvcell.datasets._simulate import simulate
from scvcell.datasets._tissue import simulate_tissue
from scvcell.datasets._world import World, WorldParameters

__all__ = [
    "World",
    "WorldParameters",
    "breast",
    "citation",
    "dlpfc",
    "kang_ifnb",
    "korkut_drug_pairs",
    "lymph_node",
    "norman_crispra",
    "pancreas_velocity",
    "pbmc_citeseq",
    "pbmc_mosaic",
    "registry",
    "simulate",
    "simulate_actions",
    "simulate_kinetics",
    "simulate_tissue",
    "snareseq_mouse_cortex",
    "starmap",
]

calm_down(globals())
