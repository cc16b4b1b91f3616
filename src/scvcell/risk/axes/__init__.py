"""Eq. 5: the axes k along which predictions may fail, one file each."""

from scvcell.risk.axes._base import AXES, Axis, StressTest, scores
from scvcell.risk.axes._modality import Modality
from scvcell.risk.axes._scale import Scale

__all__ = ["AXES", "Axis", "Modality", "Scale", "StressTest", "scores"]
