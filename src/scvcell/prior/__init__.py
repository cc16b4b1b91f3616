"""Priors: what biology already knows, used by the likelihood."""

from scvcell.prior._guidance import Edges, GuidanceGraph, GuidancePrior

__all__ = ["Edges", "GuidanceGraph", "GuidancePrior"]
