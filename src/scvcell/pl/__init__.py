"""Plots: one per result. They take `ax`, return Axes, and never show or save."""

from scvcell._calm import calm_down
from scvcell.pl._alignment import alignment
from scvcell.pl._calibration import calibration
from scvcell.pl._composition import composition
from scvcell.pl._cycle import cycle
from scvcell.pl._dose import dose_response, surface
from scvcell.pl._embedding import embedding
from scvcell.pl._history import history
from scvcell.pl._information import modality_information
from scvcell.pl._leakage import leakage
from scvcell.pl._match import match
from scvcell.pl._perturb import effects, order_effect, support
from scvcell.pl._priors import feature_links, prior_ablation
from scvcell.pl._risk import risk, shift_curve
from scvcell.pl._spatial import spatial
from scvcell.pl._synergy import synergy
from scvcell.pl._translation import translation
from scvcell.pl._velocity import velocity

__all__ = [
    "alignment",
    "calibration",
    "composition",
    "cycle",
    "dose_response",
    "effects",
    "embedding",
    "feature_links",
    "history",
    "leakage",
    "match",
    "modality_information",
    "order_effect",
    "prior_ablation",
    "risk",
    "shift_curve",
    "spatial",
    "support",
    "surface",
    "synergy",
    "translation",
    "velocity",
]

calm_down(globals())
