"""Absence that is written as zeros: batches in which an assay has no count at all, so that it was hardly measured."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scvcell._containers import View
    from scvcell._types import Rows
    from scvcell.measure import Measurement, Summary

logger = logging.getLogger("scvcell")


def in_summaries(
    summaries: Mapping[str, Summary], operators: Mapping[str, type[Measurement]], batches: Sequence[str]
) -> dict[str, list[str]]:
    """By modality of counts, the batches with cells of it and without a count, where other batches have counts."""
    out = {}
    for name, summary in summaries.items():
        if operators[name].count_data:
            zero = (summary.cells > 0) & (summary.mean_log.max(1) == 0)
            if zero.any():
                out[name] = [batches[int(b)] for b in np.flatnonzero(zero)]
    return out


def in_new(
    view: View, batch: Rows, known: int, layers: Mapping[str, str | None], batches: Sequence[str]
) -> dict[str, list[str]]:
    """The same of the batches of a query from number `known` on; `layers` of the modalities of counts."""
    out = {}
    for name in (m for m in view.modalities if m in layers):
        matrix, has = view.matrix(name, layers[name]), view.present(name)
        zero = []
        for b in np.unique(batch[has & (batch >= known)]):
            rows = view.rows[name][has & (batch == b)]
            if not any(chunk.sum() for chunk in matrix.chunks(rows)):
                zero.append(batches[b])
        if zero:
            out[name] = zero
    return out


def say(absent: Mapping[str, Sequence[str]], batch_key: str | None) -> None:
    """Warn of each, with both ways out."""
    for name, batches in absent.items():
        if batch_key is None:
            logger.warning(
                "%r has no count in any cell. Zeros are learned, and nothing that is said of it is trusted. If it was "
                "not measured, leave it out: del mdata.mod[%r]; mdata.update().",
                *(name, name),
            )
            continue
        logger.warning(
            "%r is zero in all cells and features of batch %s. It was hardly measured there, but counts as measured: "
            "zeros are learned, and predictions for this batch are not trusted. Leave these cells out of it: "
            "mdata.mod[%r] = mdata[%r][~mdata[%r].obs[%r].isin(%s)].copy(); mdata.update(). Or say which features each "
            "batch measured: mdata[%r].varm['observed'], a boolean frame of features x batches.",
            *(name, ", ".join(map(repr, batches)), name, name, name, batch_key, list(batches), name),
        )
