"""tl.translate: any observed set of assays to any other, with calibrated intervals and do-not-trust flags."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scvcell import _keys
from scvcell._calm import progress
from scvcell._checks import check_level, expect
from scvcell._containers import blocks, check_store, view, write_blocks
from scvcell.model import CSL, calibration, depths, interval_scale

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scvcell._containers import Container, View
    from scvcell._stats import Conformal
    from scvcell._types import Array, Mask, Rows

logger = logging.getLogger("scvcell")

TRUSTED_WIDTH = 0.9
"""A feature is trusted if its interval is at most this share of the marginal one."""


def translate(
    data: Container,
    model: CSL,
    *,
    to: str,
    source: Sequence[str] | None = None,
    level: float = 0.9,
    batch: Any = None,
    out: str | Path | None = None,
) -> AnnData:
    r"""Predict one assay from the others, for every cell; or denoise it, where it is one of its own sources.

    .. math:: \hat x_{to} = M_{to}\big(E\,q(z \mid x_{source})\big), \qquad
              P\big(x_{to} \in [lower, upper]\big) \ge level

    Parameters
    ----------
    data
        AnnData or MuData, fitted or new, cells in any order.
    model
        Fitted model.
    to
        Modality to predict.
    source
        Modalities that may be used; every other than `to` by default, and `to` itself where there is no other. With
        `to` among them the answer is denoised values: the mean of the measurement given a state that has seen this very
        measurement, at its depth.
    level
        Coverage of the interval, per feature, over cells like the calibration cells.
    batch
        Batch in whose terms the prediction is made; each cell's own by default (the mean of the batches that measured
        `to`, where its own did not).
    out
        A zarr store to be made, such as ``"proteins.zarr"``: answers are written to it by blocks of cells, and memory
        holds one block. For what would not fit.

    Returns
    -------
    AnnData of all cells x features of `to`. ``X``: point prediction on the raw scale (``log1p(X)`` is the best log-
    scale prediction); layers ``lower``, ``upper`` (conformal interval for the measurement, calibrated on cells with
    both assays that training did not see, :class:`scvcell.risk.Conformal`) and ``mean`` (mean of the operator's
    predictive distribution); ``obs["trusted"]`` (near calibration cells in the latent and in depth, of a batch that
    measured `to`), ``obs["split"]`` (``"train"``, ``"validation"`` or ``"test"``: whether the fit saw the cell's own
    measurement of `to`), ``var["trusted"]`` and ``var["relative_width"]`` (interval over marginal interval; 1 means
    that nothing was learned); ``uns["csl_translate"]``, with the range in which the coverage lies
    (``expected_coverage``). Cells without any of `source` are NaN and not trusted. Without calibration cells the
    intervals are NaN and nothing is trusted. All of it is dense: into chromatin, translate the cells of interest, or
    give `out`. Then ``X`` and layers lie on disk. Rows are read when they are asked for
    (``answer[:100].to_memory()``), also later (``anndata.read_zarr``). Of denoised values the interval is for the
    measurement that was the input, so it says how much the model smooths, not what a second measurement would be
    (``uns["csl_translate"]["input_seen"]``).

    Raises
    ------
    ValueError
        If `to`, `source`, `level` or `batch` are not what the model and the data have, or `out` is no zarr store.
    FileExistsError
        If there is something at `out`.
    """
    expect("model", model, CSL, "The data come first, then the model.")
    source = _check(model, to, source, level)
    path = None if out is None else check_store(out)
    seen = model.view(data)
    here = [m for m in source if m in seen.modalities]
    if not here:
        raise ValueError(
            f"The data have none of {source}, from which {to!r} is to be predicted; they have {list(seen.modalities)}."
        )
    asked = _Asked(model, to, source, here, level, batch, calibration(model, to, here))
    told = _Told(seen, asked)
    if path is not None:
        cuts = blocks(seen.n_obs, len(model.schema.modalities[to].features))
        parts = (told.block(cells) for cells in progress(cuts, f"Translating to {to!r}, blocks of cells"))
        return write_blocks(path, parts, told.about)
    table, about = told.block(np.arange(seen.n_obs)), told.about()
    table.var, table.uns = about.var, about.uns
    return table


@dataclass(frozen=True)
class _Asked:
    """What is to be predicted, from what, and how sure that is."""

    model: CSL
    to: str
    source: list[str]
    here: list[str]
    level: float
    batch: Any
    conformal: Conformal | None


class _Told:
    """What is said of cells, block by block, and what remains of it when the values are gone."""

    def __init__(self, seen: View, asked: _Asked) -> None:
        self.seen, self.asked = seen, asked
        self.has = seen.measured(asked.here)
        self.elsewhere = np.zeros(len(asked.model.schema.batches), np.int64)
        self.widths: list[tuple[int, Array]] = []
        self.split = _split(asked.model, seen, asked.to)
        place = AnnData() if seen.own_place is None else AnnData(obs=pd.DataFrame(index=seen.obs_names))
        self.place = seen.as_table(place)

    def block(self, cells: Rows) -> AnnData:
        """What is said of some cells."""
        asked, has = self.asked, self.has[cells]
        model, part = asked.model, self.seen.subset(cells)
        posterior = model.posterior(part, modalities=asked.here)
        readout = model.readout(part, asked.to, asked.batch)
        trusted = np.zeros(len(cells), bool)
        decoded = readout.decode(posterior, own_depth=asked.to in asked.here)
        if asked.conformal is None:
            lower, upper = (np.full(decoded.point.shape, np.nan, np.float32) for _ in range(2))
        else:
            half, near = asked.conformal.halfwidth(posterior.mean.numpy(), asked.level)
            forward, back = interval_scale(model, asked.to)
            point = forward(decoded.point)
            lower, upper = (back(point + sign * half).astype(np.float32) for sign in (-1, 1))
            self.widths.append((int(has.sum()), asked.conformal.relative_width(half[has], asked.level)))
            near &= asked.conformal.within(depths(model, part, asked.here))
            batch = readout.ctx.batch.numpy()
            measured = _measured(model, asked.to)
            self.elsewhere += np.bincount(batch, weights=~measured[batch], minlength=len(measured)).astype(np.int64)
            trusted = near & has & measured[batch] & model.trusts(asked.to)
        values = (decoded.point, decoded.mean, lower, upper)
        for each in values:
            each[~has] = np.nan
        layers = dict(zip((_keys.MEAN, _keys.LOWER, _keys.UPPER), values[1:], strict=True))
        obs = {_keys.TRUSTED: trusted, _keys.SPLIT: self.split[cells]}
        obs |= {key: column.array[cells] for key, column in self.place.obs.items()}
        frame = pd.DataFrame(obs, index=part.obs_names.copy())
        return AnnData(decoded.point, obs=frame, var=_features(asked), layers=layers)

    def about(self) -> AnnData:
        """What is said of features and of the whole; what there is to warn of is said."""
        asked, conformal = self.asked, self.asked.conformal
        var = _features(asked)
        own = asked.to in asked.here
        info = {"to": asked.to, "source": list(asked.source), "level": asked.level}
        info |= {"calibration_cells": 0, "input_seen": own}
        if conformal is None:
            _warn_uncalibrated(asked)
            var[_keys.TRUSTED], var[_keys.RELATIVE_WIDTH] = False, np.nan
        else:
            _warn_elsewhere(asked, self.elsewhere)
            width = _mean_width(self.widths)
            var[_keys.RELATIVE_WIDTH] = width
            var[_keys.TRUSTED] = (width <= TRUSTED_WIDTH) & asked.model.trusts(asked.to)
            low, high = conformal.expected(asked.level)
            info |= {"calibration_cells": conformal.cells, "expected_coverage": [low, high]}
            logger.info(
                "%g %% intervals of %r from %d held-out cells: cells like these are covered in %.0f to %.0f %%.",
                *(100 * asked.level, asked.to, conformal.cells, 100 * low, 100 * high),
            )
        if not self.has.all():
            logger.warning(
                "%d of %d cells have none of %s; they are NaN and not trusted.",
                *((~self.has).sum(), len(self.has), list(asked.source)),
            )
        return AnnData(var=var, uns={**self.place.uns, _keys.TRANSLATE: info})


def _features(asked: _Asked) -> pd.DataFrame:
    return pd.DataFrame(index=pd.Index(asked.model.schema.modalities[asked.to].features))


def _mean_width(widths: list[tuple[int, Array]]) -> Array:
    """Mean relative width of all cells, from those of blocks and their numbers of cells."""
    if len(widths) == 1:
        return widths[0][1]
    known = [(n, width) for n, width in widths if n]
    if not known:
        return widths[0][1]
    return np.average([width for _, width in known], axis=0, weights=[n for n, _ in known])


def _warn_uncalibrated(asked: _Asked) -> None:
    model, to = asked.model, asked.to
    why = (
        f"No cells with both {asked.source} and {to!r} to calibrate on"
        if model.network.operators[to].calibrated
        else f"Nothing to calibrate {to!r} on, a time that may be cut short"
    )
    hint = " Load the model with its data, CSL.load(path, data), to calibrate it."
    lost = to in asked.here and model.adata is None
    logger.warning("%s: intervals are NaN, nothing is trusted.%s", why, hint * lost)


def _check(model: CSL, to: str, source: Sequence[str] | None, level: float) -> list[str]:
    model.check_modalities([to])
    source = [source] if isinstance(source, str) else source
    names = ([m for m in model.assays if m != to] or [to]) if source is None else list(source)
    model.check_modalities(names, assays=True)
    if not names:
        raise ValueError(f"source= is empty; give some of {model.assays}.")
    check_level(level)
    return names


def _measured(model: CSL, to: str) -> Mask:
    """Which batches measured `to`; in others its scale is not known. Where none is said to have, all have."""
    seen: Mask = model.network.operators[to].seen.cpu().numpy().copy()
    return seen & ~np.isin(model.schema.batches, model.absent.get(to, []))


def _warn_elsewhere(asked: _Asked, cells: Rows) -> None:
    """Say so where cells are read in terms of batches that never measured the assay; `cells` counts them by batch."""
    if cells.any() and _measured(asked.model, asked.to).any():
        named = [asked.model.schema.batches[b] for b in np.flatnonzero(cells)]
        logger.warning(
            "%r was never measured in batch %s: how strongly it stains or how deep it is there is not known, so that "
            "these %d cells are not trusted, and intervals may cover less than they say.",
            *(asked.to, ", ".join(map(repr, named)), int(cells.sum())),
        )


def _split(model: CSL, seen: View, to: str) -> pd.Categorical:
    """Which part had cells' measurement of `to`, "test" where none had; `seen` tells where the data are gone."""
    fitted = seen if model.adata is None else view(model.adata)
    measured = fitted.names(np.flatnonzero(fitted.present(to))) if to in fitted.modalities else []
    known, out = seen.among(measured), np.full(seen.n_obs, "test", dtype=object)
    for part, cells in model.split_.items():
        out[seen.among(cells) & known] = part
    return pd.Categorical(out, categories=[*model.split_, "test"])
