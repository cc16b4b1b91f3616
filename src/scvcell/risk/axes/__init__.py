"""Eq. 5: the axes k along which predictions may fail, one file each."""

from scvcell.risk.axes._base import AXES, Axis, Scored, StressTest, averaged, better_of, scores
from scvcell.risk.axes._context import Context, ContextTranslation
from scvcell.risk.axes._effects import EffectAxis
from scvcell.risk.axes._modality import Modality
from scvcell.risk.axes._perturbation import Perturbation
from scvcell.risk.axes._scale import Scale

__all__ = [
    "AXES",
    "Axis",
    "Context",
    "ContextTranslation",
    "EffectAxis",
    "Modality",
    "Perturbation",
    "Scale",
    "Scored",
    "StressTest",
    "averaged",
    "better_of",
    "scores",
]
