"""Eq. 5: the axes k along which predictions may fail, one file each."""

from scvcell.risk.axes._base import AXES, Axis, StressTest, scores
from scvcell.risk.axes._modality import Modality

__all__ = ["AXES", "Axis", "Modality", "StressTest", "scores"]
