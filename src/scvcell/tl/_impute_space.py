"""tl.impute_space: an assay that the panel of a tissue lacks, with intervals."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scvcell import _keys
from scvcell._checks import check_level, expect
from scvcell._containers import Space, check_store, row_blocks, write_arrays
from scvcell.model import CSL
from scvcell.tissue import impute

if TYPE_CHECKING:
    from pathlib import Path

    from scvcell._containers import Container, View
    from scvcell._types import Rows
    from scvcell.tissue import Imputed

logger = logging.getLogger("scvcell")

MIN_REFERENCE_CELLS = 50
"""Reference cells that are needed."""
_LAYERS = (_keys.LOWER, _keys.UPPER, _keys.RATE)
MIN_PANEL_FEATURES = 5
"""Features of the panel that are needed."""


def impute_space(
    data: Container, model: CSL, *, to: str = "rest", level: float = 0.9, out: str | Path | None = None
) -> AnnData:
    r"""What cells of a tissue would show of an assay that their panel lacks: other genes, or proteins.

    .. math:: \log(1 + \hat x_{ig}) = \sum_m w_m f_m(x_i, \ell_i, z_i)_g, \qquad
              P\big(x_{ig} \in [lower, upper]\big) \ge level

    The mean of three members, each at the cell's own panel depth :math:`\ell`: what the model expects in the cell's
    state z; counts per panel count of the nearest reference cells; ridge regression on the panel. Weights lie half way
    between equal ones and those that reference cells which the fit has not seen ask for. An assay that is no RNA has
    the first and the last member.

    Parameters
    ----------
    data
        What the model was fitted on, such as :func:`scvcell.pp.panels` makes, or new cells of the tissue. Cells that
        have the panel and lack `to` are imputed.
    model
        Model that was fitted on the reference (cells with the panel's genes and `to`) and the tissue, and has its data.
    to
        Assay to impute.
    level
        Level of the intervals.
    out
        A zarr store to be made, such as ``"genes.zarr"``, for what would not fit: the same values are written to it,
        and memory holds blocks of cells. While it is made, they lie beside it in files of their own.

    Returns
    -------
    AnnData of the tissue's cells x features of `to`. ``X``: values at the cell's own depth (``log1p(X)`` is the best
    log-scale prediction); layers ``lower`` and ``upper``, calibrated on left-out cells of the reference and widened
    where left-out features of the panel ask for it, and ``rate``: what a cell of the reference's typical depth would
    show, for questions that are not about depth. obs: those of the cells, and ``trusted``: whether the reference has
    cells of this state, by what it says of the panel. var: ``skill``, the correlation with left-out cells of the
    reference without depth, and ``trusted``: whether it is clearly above 0, features of the panel that were left out
    are told in the tissue about as in the reference, and factors between platforms agree. ``obsm["spatial"]``,
    ``obsm["X_csl"]``; ``uns["csl_impute"]``: weights, level that was asked for, ``panel_skill`` of left-out panel
    features in tissue and reference, ``panel_coverage`` of their intervals and ``factor_spread``, the standard
    deviation of log factors. All of it is dense: of a whole transcriptome keep the genes of interest before the fit, or
    give `out`. Then ``X`` and layers lie on disk, and rows are read when they are asked for.

    Raises
    ------
    ValueError
        If the model lacks `to` or its data, no cell is to be imputed, no assay of RNA counts is there to impute from,
        hardly any cell of the reference has both, or `out` is no zarr store.
    FileExistsError
        If there is something at `out`.

    Warns
    -----
    (log) where nothing is trusted, or many cells are of states that the reference lacks.

    References
    ----------
    Lopez et al., A joint model of unpaired data from scRNA-seq and spatial transcriptomics for imputing missing gene
    expression measurements, ICML workshop 2019; Sun et al., TISSUE: uncertainty-calibrated prediction of single-cell
    spatial transcriptomics improves downstream analyses, Nat Methods 2024 (intervals by left-out features).

    Examples
    --------
    >>> mdata = scvcell.pp.panels(reference, xenium)
    >>> model = scvcell.tl.fit(mdata, batch_key="platform")
    >>> genes = scvcell.tl.impute_space(mdata, model)
    """
    expect("model", model, CSL, "The data come first, then the model.")
    model.check_modalities([to], assays=True)
    check_level(level)
    path = None if out is None else check_store(out)
    if model.adata is None:
        raise ValueError("Imputation reads the reference's cells: load the model with its data, CSL.load(path, data).")
    seen = model.view(data)
    source, panel, cells = _asked(model, seen, to)
    part = seen.subset(cells).only(source)
    found = impute(model, part, to, panel, source, level, None if path is None else path.parent)
    _warn(found, to)
    table = _table(found, seen, cells, {"to": to, "source": source, "level": level}, model)
    arrays = {"X": found.point} | {f"layers/{key}": getattr(found, key) for key in _LAYERS}
    if path is not None:
        parts = ((place, rows) for place, values in arrays.items() for rows in row_blocks(values))
        return write_arrays(path, part.as_table(table), parts)
    table.X = found.point
    table.layers.update({key: getattr(found, key) for key in _LAYERS})
    return part.as_table(table)


def _table(found: Imputed, seen: View, cells: Rows, asked: dict[str, Any], model: CSL) -> AnnData:
    """What is said of cells, features and the whole, beside the values."""
    names = pd.Index(model.schema.modalities[asked["to"]].features)
    out = AnnData(obs=seen.obs(cells), var=pd.DataFrame(index=names))
    out.obs[_keys.TRUSTED] = found.trusted
    out.var[_keys.SKILL], out.var[_keys.TRUSTED] = found.skill, found.feature_trusted()
    out.obsm[_keys.LATENT] = found.state
    _place(out, seen, cells)
    out.uns[_keys.IMPUTE] = asked | {
        "asked_level": found.asked_level,
        "weights": found.weights,
        "panel_skill": [float(np.nanmean(found.check.skill)), float(np.nanmean(found.check.reference_skill))],
        "panel_coverage": found.check.coverage(found.asked_level),
        "factor_spread": float(found.check.log_factor.std()),
    }
    return out


def _asked(model: CSL, seen: View, to: str) -> tuple[list[str], str, Rows]:
    """Assays that the cells have, that which is the panel, and the cells."""
    has = seen.present(to) if to in seen.modalities else np.zeros(seen.n_obs, bool)
    others = [m for m in model.assays if m != to and m in seen.modalities]
    source = [m for m in others if (seen.present(m) & ~has).any()]
    counted = [m for m in source if model.schema.modalities[m].operator == "counts"]
    if has.all():
        raise ValueError(
            f"Every cell of the data has {to!r} measured: there is nothing to impute. scvcell.tl.translate denoises it."
        )
    if not counted:
        raise ValueError(
            f"Cells that lack {to!r} have {source or 'no assay of the model'}; imputing reads an assay of RNA counts. "
            "scvcell.tl.translate predicts from any assay."
        )
    panel = max(counted, key=lambda m: int((seen.present(m) & ~has).sum()))
    wide = len(model.schema.modalities[panel].features)
    if wide < MIN_PANEL_FEATURES:
        raise ValueError(f"{panel!r} has {wide} features; imputing needs {MIN_PANEL_FEATURES} to leave some out.")
    cells = np.flatnonzero(seen.present(panel) & ~has)
    without = int((~has).sum()) - len(cells)
    if without:
        logger.warning("%d cells have neither %r nor %r; they are left out.", without, to, panel)
    fitted = model.view()
    both = int((fitted.present(panel) & fitted.present(to)).sum()) if to in fitted.modalities else 0
    if both < MIN_REFERENCE_CELLS:
        raise ValueError(
            f"{both} cells of the fit have {panel!r} and {to!r} measured; {MIN_REFERENCE_CELLS} are needed to learn "
            "one from the other. Fit reference and tissue together, see scvcell.pp.panels."
        )
    return source, panel, cells


def _place(out: AnnData, seen: View, cells: Rows) -> None:
    """Coordinates of the cells, where there are any."""
    try:
        out.obsm["spatial"] = Space.of(seen).xy[cells]
    except ValueError:
        logger.info("The data have no coordinates.")


def _warn(found: Imputed, to: str) -> None:
    if not found.agrees():
        logger.warning(
            "Features of the panel that were left out are told with a correlation of %.2f in the tissue and %.2f in "
            "the reference, and factors between platforms differ by %.2f (standard deviation of logs): no feature of "
            "%r is trusted. Is the reference of this tissue?",
            *(np.nanmean(found.check.skill), np.nanmean(found.check.reference_skill), found.check.log_factor.std(), to),
        )
    lacking = float((~found.trusted).mean())
    if lacking > 0.1:
        logger.warning(
            "%.0f %% of the cells are in states whose panel the reference does not explain; they are not trusted.",
            100 * lacking,
        )
