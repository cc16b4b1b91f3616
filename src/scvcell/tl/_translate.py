"""tl.translate: any observed set of assays to any other, with calibrated intervals and do-not-trust flags."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scvcell import _keys
from scvcell._checks import check_level, expect
from scvcell._containers import view
from scvcell.model import CSL, calibration, depths, interval_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell._containers import Container, View
    from scvcell._types import Mask, Rows

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
    intervals are NaN and nothing is trusted. All of it is dense: into chromatin, translate the cells of interest, not a
    whole atlas. Of denoised values the interval is for the measurement that was the input, so it says how much the
    model smooths, not what a second measurement would be (``uns["csl_translate"]["input_seen"]``).

    Raises
    ------
    ValueError
        If `to`, `source`, `level` or `batch` are not what the model and the data have.
    """
    expect("model", model, CSL, "The data come first, then the model.")
    source = _check(model, to, source, level)
    seen = model.view(data)
    here = [m for m in source if m in seen.modalities]
    if not here:
        raise ValueError(
            f"The data have none of {source}, from which {to!r} is to be predicted; they have {list(seen.modalities)}."
        )
    has = seen.measured(here)
    posterior = model.posterior(seen, modalities=here)
    readout = model.readout(seen, to, batch)
    decoded = readout.decode(posterior, own_depth=to in here)
    out = AnnData(
        decoded.point,
        obs=pd.DataFrame(index=seen.obs_names.copy()),
        var=pd.DataFrame(index=pd.Index(model.schema.modalities[to].features)),
    )
    out.layers[_keys.MEAN] = decoded.mean
    conformal = calibration(model, to, here)
    info = {"to": to, "source": list(source), "level": level, "calibration_cells": 0, "input_seen": to in here}
    if conformal is None:
        lost = to in here and model.adata is None
        why = (
            f"No cells with both {source} and {to!r} to calibrate on"
            if model.network.operators[to].calibrated
            else f"Nothing to calibrate {to!r} on, a time that may be cut short"
        )
        hint = " Load the model with its data, CSL.load(path, data), to calibrate it." * lost
        logger.warning("%s: intervals are NaN, nothing is trusted.%s", why, hint)
        out.layers[_keys.LOWER], out.layers[_keys.UPPER] = (np.full(out.shape, np.nan, np.float32) for _ in range(2))
        out.obs[_keys.TRUSTED], out.var[_keys.TRUSTED], out.var[_keys.RELATIVE_WIDTH] = False, False, np.nan
    else:
        half, near = conformal.halfwidth(posterior.mean.numpy(), level)
        forward, back = interval_scale(model, to)
        point = forward(decoded.point)
        out.layers[_keys.LOWER] = back(point - half).astype(np.float32)
        out.layers[_keys.UPPER] = back(point + half).astype(np.float32)
        width = conformal.relative_width(half[has], level)
        out.var[_keys.RELATIVE_WIDTH] = width
        out.var[_keys.TRUSTED] = (width <= TRUSTED_WIDTH) & model.trusts(to)
        near &= conformal.within(depths(model, seen, here))
        measured = _measured(model, to, readout.ctx.batch.numpy())
        out.obs[_keys.TRUSTED] = near & has & measured & model.trusts(to)
        info["calibration_cells"] = conformal.cells
        low, high = conformal.expected(level)
        info["expected_coverage"] = [low, high]
        logger.info(
            "%g %% intervals of %r from %d held-out cells: cells like these are covered in %.0f to %.0f %%.",
            *(100 * level, to, conformal.cells, 100 * low, 100 * high),
        )
    _blank(out, has, source)
    out.obs[_keys.SPLIT] = _split(model, seen, to)
    out.uns[_keys.TRANSLATE] = info
    return seen.as_table(out)


def _check(model: CSL, to: str, source: Sequence[str] | None, level: float) -> list[str]:
    model.check_modalities([to])
    source = [source] if isinstance(source, str) else source
    names = ([m for m in model.assays if m != to] or [to]) if source is None else list(source)
    model.check_modalities(names, assays=True)
    if not names:
        raise ValueError(f"source= is empty; give some of {model.assays}.")
    check_level(level)
    return names


def _measured(model: CSL, to: str, batch: Rows) -> Mask:
    """Whether each cell's batch measured `to`; where not, its scale there is not known, and a warning says so."""
    seen = model.network.operators[to].seen.cpu().numpy().copy()
    absent = model.absent.get(to, [])
    seen &= ~np.isin(model.schema.batches, absent)
    without = ~seen[batch]
    if without.any() and seen.any():
        named = [model.schema.batches[b] for b in np.unique(batch[without])]
        logger.warning(
            "%r was never measured in batch %s: how strongly it stains or how deep it is there is not known, so that "
            "these %d cells are not trusted, and intervals may cover less than they say.",
            *(to, ", ".join(map(repr, named)), int(without.sum())),
        )
    return ~without


def _split(model: CSL, seen: View, to: str) -> pd.Categorical:
    """Which part had cells' measurement of `to`, "test" where none had; `seen` tells where the data are gone."""
    fitted = seen if model.adata is None else view(model.adata)
    measured = fitted.names(np.flatnonzero(fitted.present(to))) if to in fitted.modalities else []
    known, out = seen.among(measured), np.full(seen.n_obs, "test", dtype=object)
    for part, cells in model.split_.items():
        out[seen.among(cells) & known] = part
    return pd.Categorical(out, categories=[*model.split_, "test"])


def _blank(out: AnnData, has: np.ndarray, source: Sequence[str]) -> None:
    """NaN for cells that nothing can be said of."""
    if has.all():
        return
    logger.warning(
        "%d of %d cells have none of %s; they are NaN and not trusted.", (~has).sum(), len(has), list(source)
    )
    out.X[~has] = np.nan
    for layer in out.layers.values():
        layer[~has] = np.nan
