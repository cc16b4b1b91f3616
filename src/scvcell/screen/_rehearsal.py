"""How far matched effects are off: bootstrap of the fit, and experiments made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from scvcell._calm import progress
from scvcell.response import Bulk, Contrast, Controls, moved_values
from scvcell.screen._origin import Origin, fit_origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from scvcell._types import Array, Rows
    from scvcell.state import Posterior

REFIT = 200
"""Steps of a bootstrap fit."""

REHEARSALS = 3
"""Experiments made from the fit, in which it is seen how far off effects are found."""


def draws_of(
    units: list[Contrast], cells: Rows, posterior: Posterior, origin: Origin, samples: Iterable[int], seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, Array]]:
    """Per bootstrap sample: drawn states of the treated cells after and before; how often each cell is in it."""
    rng = np.random.default_rng(seed)
    for b in samples:
        sample = [
            Contrast(u.action, u.context, *(rng.choice(x, len(x)) for x in (u.treated, u.controls))) for u in units
        ]
        fit = fit_origin(sample, posterior.mean, seed + 1 + b, tilted=bool(origin.tilt.any()), steps=REFIT)
        noise = torch.from_numpy(rng.standard_normal((len(cells), posterior.mean.shape[1])).astype(np.float32))
        z = posterior.mean[cells] + posterior.var[cells].sqrt() * noise
        drawn = np.searchsorted(cells, np.concatenate([u.treated for u in sample]))
        yield z, fit.before(z), np.bincount(drawn, minlength=len(cells)).astype(float)


def rehearse(
    start: Controls,
    units: list[Contrast],
    bulks: Mapping[str, Bulk],
    latent: torch.Tensor,
    origin: Origin,
    seed: int,
) -> dict[str, tuple[Array, Array]]:
    """Mean squared errors, by modality: of effects on cells, ``(features,)``, and on means, ``(groups, features)``.

    Each is halfway between that of the feature and that of all.
    """
    rng = np.random.default_rng(seed)
    squares: dict[str, list[tuple[Array, Array]]] = {m: [] for m in bulks}
    ends = np.cumsum([len(unit.treated) for unit in units])
    groups, tilted = np.split(np.arange(ends[-1]), ends[:-1]), bool(origin.tilt.any())
    for b in progress(range(REHEARSALS), "Matching, rehearsals", shown=start.model.progress):
        source = np.concatenate([_drawn(unit, latent, origin, rng) for unit in units])
        before = latent[source]
        after = origin.after(before)
        values = {m: moved_values(bulk, source, before, after, rng) for m, bulk in bulks.items()}
        measured = start.encode(source, values)
        again = [
            Contrast(u.action, u.context, len(latent) + g, rng.choice(u.controls, len(u.controls)))
            for u, g in zip(units, groups, strict=True)
        ]
        fit = fit_origin(again, torch.cat([latent, measured]), seed + 1 + b, tilted=tilted, steps=REFIT)
        found_before = fit.before(measured)
        for m, bulk in bulks.items():
            found = bulk.level(source, measured) - bulk.level(source, found_before)
            off = found - (bulk.level(source, after) - bulk.level(source, before))
            squares[m].append((np.square(off).mean(0), np.square([off[g].mean(0) for g in groups])))
    errors = {}
    for m, each in squares.items():
        of_cells, of_means = (np.mean(part, 0) for part in zip(*each, strict=True))
        errors[m] = (_halfway(of_cells), _halfway(of_means))
    return errors


def _drawn(unit: Contrast, latent: torch.Tensor, origin: Origin, rng: np.random.Generator) -> Rows:
    """As many controls as there are treated cells, by their odds of treatment."""
    odds = origin.weight(latent[unit.controls]).double().numpy()
    return rng.choice(unit.controls, len(unit.treated), p=odds / odds.sum())


def _halfway(square: Array) -> Array:
    return (square + square.mean(-1, keepdims=True)) / 2  # type: ignore[no-any-return]
