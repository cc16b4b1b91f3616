"""Priors: what biology already knows, used by the likelihood."""

from scvcell.prior._guidance import Edges, GuidanceGraph, GuidancePrior
from scvcell.prior._targets import TargetKernel

__all__ = ["Edges", "GuidanceGraph", "GuidancePrior", "TargetKernel"]
