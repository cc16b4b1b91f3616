"""What makes two conditions alike: kernels over targets, contexts, doses and times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial.distance import cdist

from scvcell.response._conditions import Conditions, same_targets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell._types import Array

CONTEXT_LENGTH = 0.3
"""Length scale of the likeness of contexts, as a share of their median squared distance."""

SAME_PLACE = 1e-9
"""Squared distance up to which contexts are the same."""

START_SHAPE = {"dose power": 0.4, "time power": 0.5, "dose reach": 1.0, "time reach": 1.0}
"""Before anything is learned: how effects grow with dose and time, and over which ratio (log) they stay alike."""


def kernels(
    a: Conditions, b: Conditions, shape: Mapping[str, float | torch.Tensor], spread: float, like: Array
) -> dict[str, torch.Tensor]:
    """What makes two conditions alike, each ``(a, b)``.

    Parameters
    ----------
    a, b
        Conditions.
    shape
        How effects grow and fade with dose and time, as `START_SHAPE`.
    spread
        Median squared distance between contexts.
    like
        Likeness of the targets, ``(targets, targets)``.
    """
    strength, strength_b = strength_of(a, shape), strength_of(b, shape)
    near = _near(a, b, shape)
    context = torch.exp(-torch.from_numpy(cdist(a.place, b.place, "sqeuclidean")) / (CONTEXT_LENGTH * spread))
    shared = strength.sum(1)[:, None] * strength_b.sum(1)
    once = strength.sum(1).clamp(max=1)[:, None] * strength_b.sum(1).clamp(max=1)
    target = strength @ strength_b.T
    same = torch.from_numpy(same_targets(a, b)) * shared
    return {
        "shared": shared,
        "shared, dose and time": shared * near,
        "shared, saturating": once * near,
        "target": target,
        "target in context": target * context,
        "target, dose and time": target * near,
        "like target, dose and time": (strength @ torch.from_numpy(like) @ strength_b.T) * near,
        "combination": same,
        "combination in context": same * context * near,
    }


def strength_of(units: Conditions, shape: Mapping[str, float | torch.Tensor]) -> torch.Tensor:
    """How strongly each target acts, by powers of its dose and of the time, ``(units, targets)``."""
    level, time = torch.from_numpy(units.level), torch.from_numpy(units.time)
    return torch.from_numpy(units.exposure) * torch.exp(
        shape["dose power"] * level + shape["time power"] * time[:, None]
    )


def _near(a: Conditions, b: Conditions, shape: Mapping[str, float | torch.Tensor]) -> torch.Tensor:
    """Likeness of doses and times, ``(a, b)``."""
    dose = torch.from_numpy(a.mean_level[:, None] - b.mean_level)
    time = torch.from_numpy(a.time[:, None] - b.time)
    return torch.exp(-0.5 * (dose / shape["dose reach"]) ** 2 - 0.5 * (time / shape["time reach"]) ** 2)


def distinct(parts: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Kernels that these conditions can tell apart: of equal ones the first."""
    kept: dict[str, torch.Tensor] = {}
    for name, k in parts.items():
        if not any(torch.allclose(k, other) for other in kept.values()):
            kept[name] = k
    return kept


def spread_of(place: Array) -> float:
    """Median squared distance between contexts, 0 where there is one only."""
    apart = cdist(place, place, "sqeuclidean")
    return float(np.median(apart[apart > SAME_PLACE])) if (apart > SAME_PLACE).any() else 0.0
