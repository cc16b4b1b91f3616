"""What the state tells of held-out cells: whether a fit learned anything at all, and of which assays."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import torch

from scvcell.model._loader import Loader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell._types import Rows
    from scvcell.model._module import CSLModule
    from scvcell.model._source import Source

logger = logging.getLogger("scvcell")

STATE = "state"
"""Key of what the state as a whole knows."""
MIN_STATE_BITS = 1.0
"""Bits of a cell's state below which it is taken for the prior: nothing was learned."""


@torch.inference_mode()
def gained(module: CSLModule, source: Source, cells: Rows) -> dict[str, float]:
    r"""What states tell of cells, means over the cells that have the assay.

    .. math:: G_m = \log p(x_m \mid M_m(\mu(x_A))) - \log p(x_m \mid M_m(0))

    Returns
    -------
    ``"state"``: KL of the joint posterior from the prior, bits. Each modality: nats by which it is likelier given the
    cell's own state than given the mean of the prior, the same profile for every cell of a context.
    """
    sums: dict[str, Any] = {STATE: 0.0}
    counts = dict.fromkeys(sums, 0)
    for block in Loader(source, cells, 1024, device=module.device):
        batch = block.to(module.device)
        joint = module.posterior(batch)
        sums[STATE] += float(joint.kl().sum()) / math.log(2)
        counts[STATE] += len(batch)
        for name, o in batch.observed.items():
            operator, context = module.operators[name], batch.context.at(o.rows).measured(o.depth)
            z = joint.mean[o.rows]
            own, prior = (operator.log_prob(o.x, at, context, o.mask) for at in (z, torch.zeros_like(z)))
            sums[name] = sums.get(name, 0.0) + float((own - prior).sum())
            counts[name] = counts.get(name, 0) + len(o.rows)
    return {name: value / max(counts[name], 1) for name, value in sums.items()}


def told(gain: Mapping[str, float], modality: str | None = None) -> bool:
    """Whether a fit learned cells' states, and of `modality` what the mean does not tell; True where not measured."""
    if gain.get(STATE, math.inf) < MIN_STATE_BITS:
        return False
    return modality is None or gain.get(modality, math.inf) > 0


def warn(gain: Mapping[str, float]) -> None:
    """Say so where a fit learned nothing, or nothing of an assay."""
    if not told(gain):
        logger.warning(
            "The fit learned next to nothing: the state of a cell holds %.2g bits, so every cell looks like every "
            "other. Nothing that it says is trusted. Give more cells or deeper ones, train for longer "
            "(train=scvcell.TrainConfig(max_epochs=200)), or leave out the sparsest assay.",
            gain[STATE],
        )
        return
    for name in gain:
        if not told(gain, name):
            logger.warning(
                "The fit learned nothing of %r: held-out cells are predicted no better from their state than by the "
                "mean profile (%.2g nats). Predictions of %r are not trusted; fit without it, or give more cells.",
                name,
                gain[name],
                name,
            )
