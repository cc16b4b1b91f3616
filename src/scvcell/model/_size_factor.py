"""Depth of cells over more genes than the data hold: its column and checks, and signs that it is needed."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell import _keys
from scvcell._registry import near_miss
from scvcell.measure import MEASUREMENTS

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from scvcell._containers import View
    from scvcell._types import Array, Mask, Rows
    from scvcell.model._schema import ModalitySchema

logger = logging.getLogger("scvcell")

USUAL = _keys.TOTAL_COUNTS
"""Column that `scanpy.pp.calculate_qc_metrics` writes."""
MAX_PART_OF_DEPTH = 0.9
"""Share of the counts that features hold, in the median cell, below which they are some of more."""
MAX_EXCESS = 1e-3
"""By how much the sum of the features of a cell may exceed its depth, relatively."""
TRANSCRIPTOME_GENES = 10_000
"""Genes from which on the data are taken for a whole transcriptome."""
UNNAMED = re.compile(r"^(A[CFJLP]\d{6}\.\d+|RP\d+-\w+\.\d+|CT[ABCD]-\w+\.\d+|LINC\d+|Gm\d{3,}|\w+Rik)$")
RIBOSOMAL = re.compile(r"^RP[LS]\d+[AXYL]?\d*$", re.IGNORECASE)
MIN_UNNAMED_GENES, MIN_RIBOSOMAL_GENES = 3, 20
"""Transcripts without a name of their own, which no targeted panel has, and genes of the ribosome (about 80 in human
and mouse, found in every cell), which no whole transcriptome lacks."""
EACH = "the counts of each cell over all genes that were measured"
MAKE = f"adata.obs[{USUAL!r}] = adata.X.sum(1), before genes are left out"


def columns(view: View, modalities: Mapping[str, ModalitySchema], given: Any) -> dict[str, str | None]:
    """`size_factor` of a fit by modality; a column alone is that of all modalities of counts that have it.

    Raises
    ------
    TypeError
        If it is neither a name, nor a mapping to names or None.
    ValueError
        If a modality or column is not there, or the modality has no depth that could be given.
    """
    sized = [name for name, spec in modalities.items() if MEASUREMENTS[spec.operator].sized]
    if given is None:
        return {}
    if isinstance(given, str):
        found = {name: given for name in sized if _where(view, name, given) is not None}
        if not sized:
            raise ValueError(f"size_factor={given!r} is the depth of counts, of which the data have no modality.")
        if not found:
            raise ValueError(_no_column(view, sized[0], given))
        return dict(found)
    if not isinstance(given, Mapping):
        raise TypeError(
            f"size_factor must be the name of an obs column, or a mapping from modalities to such names, "
            f"not {type(given).__name__}."
        )
    for name, key in given.items():
        if name not in modalities:
            raise ValueError(f"size_factor= names the modality {name!r}, which the data lack: {list(modalities)}.")
        if key is None:
            continue
        if not isinstance(key, str):
            raise TypeError(f"size_factor[{name!r}] must be the name of an obs column or None, not {key!r}.")
        if name not in sized:
            raise ValueError(
                f"size_factor= names {name!r}, measured by {modalities[name].operator!r}; the depth can be given of "
                f"counts: {sized or 'none here'}."
            )
        if _where(view, name, key) is None:
            raise ValueError(_no_column(view, name, key))
    return dict(given)


def _where(view: View, name: str, key: str) -> Any:
    """What holds the column: the modality, or else the container; None where neither does."""
    return next((part for part in (view.modalities[name], view.source) if key in part.obs), None)


def _no_column(view: View, name: str, key: str) -> str:
    own = [str(c) for c in dict.fromkeys([*view.modalities[name].obs, *view.source.obs])]
    return (
        f"{name!r} has no obs column {key!r} for size_factor=.{near_miss(key, own)} "
        f"Columns: {', '.join(own) or 'none'}. It is {EACH}: {MAKE}."
    )


def read(view: View, name: str, key: str) -> NDArray[np.float32]:
    """Depth of each row of a modality, ``(rows,)``; NaN for rows of no cell, and for what is no number.

    Raises
    ------
    ValueError
        If there is no such column.
    """
    part = _where(view, name, key)
    if part is None:
        raise ValueError(
            f"Modality {name!r} has no obs column {key!r}, which the model was fitted with (size_factor={key!r}): "
            f"{EACH}. Add it: adata.obs[{key!r}] = adata.X.sum(1), of the counts before genes are left out."
        )
    if part is view.modalities[name]:
        return _number(part.obs[key])
    out = np.full(view.modalities[name].n_obs, np.nan, np.float32)
    here = view.present(name)
    out[view.rows[name][here]] = _number(view.column(key))[here]
    return out


def _number(column: pd.Series) -> NDArray[np.float32]:
    if pd.api.types.is_bool_dtype(column):
        return np.full(len(column), np.nan, np.float32)
    return pd.to_numeric(pd.Series(np.asarray(column)), errors="coerce").to_numpy(np.float32, na_value=np.nan)


def check(view: View, name: str, key: str, at: Rows, sums: Array, *, fitting: bool = False) -> None:
    """Refuse depths that cannot be those of the cells, whose rows `at` have such `sums` of features.

    Raises
    ------
    ValueError
        If one is no number, not above 0, or less than the sum; when `fitting` also if all are the same.
    """
    depth, names = read(view, name, key), view.modalities[name].obs_names
    rows = np.unique(view.rows[name][view.present(name)])
    what = f"obs[{key!r}], the size factor of {name!r},"

    def some(wrong: Mask, rows: Rows, say: str) -> None:
        if wrong.any():
            cell = rows[np.flatnonzero(wrong)[0]]
            raise ValueError(
                f"{what} {say} {wrong.sum()} of {len(rows)} cells, e.g. {depth[cell]:g} of {names[cell]!r}."
            )

    some(~np.isfinite(depth[rows]), rows, "is no finite number for")
    some(depth[rows] <= 0, rows, "must be above 0; leave out cells without counts. It is not for")
    short = depth[at] < np.asarray(sums) * (1 - MAX_EXCESS)
    if short.any():
        cell = np.flatnonzero(short)[0]
        raise ValueError(
            f"{what} is less than the sum of the features for {short.sum()} of {len(at)} cells, e.g. "
            f"{depth[at[cell]]:g} against {sums[cell]:g} of {names[at[cell]]!r}. It must be {EACH}: no logarithm, no "
            f"factor about 1, and of no other layer. {MAKE}."
        )
    if fitting and len(rows) > 1 and np.ptp(depth[rows]) == 0:
        raise ValueError(
            f"{what} is {depth[rows[0]]:g} for all cells, as it is after normalisation. It must be {EACH}: {MAKE}."
        )


def chosen(
    view: View,
    modalities: Mapping[str, ModalitySchema],
    given: Mapping[str, str | None],
    sums: Mapping[str, Array],
) -> dict[str, str]:
    """Columns that are used: those given, or the usual one where the features hold clearly less; warns of lacking ones.

    Parameters
    ----------
    view, modalities
        The data, and what is known of their modalities.
    given
        What the user said, see `columns`.
    sums
        Per modality of counts, sum of the features of each row.
    """
    out = {}
    for name in [name for name, spec in modalities.items() if MEASUREMENTS[spec.operator].sized]:
        rows = np.unique(view.rows[name][view.present(name)])
        total, key = sums[name][rows], given.get(name)
        if key is not None:
            check(view, name, key, rows, total, fitting=True)
            if np.allclose(read(view, name, key)[rows], total, rtol=MAX_EXCESS):
                logger.info("obs[%r] is the sum of the features of %r, which is their depth anyway.", key, name)
            else:
                out[name] = key
        elif name not in given:
            part, wrong = _usual(view, name, rows, total)
            if part < MAX_PART_OF_DEPTH and not wrong:
                logger.info("%r holds %.0f %% of obs[%r], which is taken for the depth.", name, 100 * part, USUAL)
                out[name] = USUAL
            else:
                _warn(view, name, rows, total, wrong)
    return out


def _usual(view: View, name: str, rows: Rows, total: Array) -> tuple[float, str]:
    """Share that the features have in the usual column, 1 without it; and why that cannot be used, if so."""
    if USUAL not in view.modalities[name].obs:
        return 1.0, ""
    try:
        check(view, name, USUAL, rows, total, fitting=True)
    except ValueError as error:
        return 1.0, str(error)
    return float(np.median(total / read(view, name, USUAL)[rows])), ""


def _warn(view: View, name: str, rows: Rows, total: Array, wrong: str = "", *, names: bool = False) -> None:
    """Say so where the features look like some of more that were measured, by annotation or, with `names`, by these."""
    adata = view.modalities[name]
    column = _holds_more(adata, rows, total)
    signs = [f"obs[{column!r}] exceeds the sum of the features"] if column else []
    if "highly_variable" in adata.var and adata.n_vars > 1 and adata.var["highly_variable"].astype(bool).all():
        signs.append("every feature is marked highly_variable")
    if adata.raw is not None and adata.raw.n_vars > adata.n_vars:
        signs.append(f".raw has {adata.raw.n_vars} features")
    if names:
        by_names = "it has transcripts that no targeted panel has, but hardly a gene of the ribosome"
        signs = [by_names] if _cut(adata) and not signs else []
    if not signs:
        return
    logger.warning(
        "%r looks like some of the genes that were measured (%s), so that depth and shares are those of the subset "
        "and effects of actions less exact. Give size_factor=%r, an obs column of %s%s.%s If nothing "
        "else was measured: size_factor={%r: None}.",
        name,
        "; ".join(signs),
        column or USUAL,
        EACH,
        "" if column else f" ({MAKE})",
        f" Not used: {wrong}" if wrong else "",
        name,
    )


def warn_by_names(view: View, modalities: Mapping[str, ModalitySchema], given: Any) -> None:
    """As `chosen` warns, where nothing but names of features tells; for fits that compare depths and shares.

    Parameters
    ----------
    view, modalities
        As `chosen`.
    given
        `size_factor` of the fit.
    """
    for name, spec in modalities.items():
        known = spec.size_factor is not None or (isinstance(given, Mapping) and name in given)
        if MEASUREMENTS[spec.operator].sized and not known:
            rows = np.unique(view.rows[name][view.present(name)])
            _warn(view, name, rows, view.matrix(name, spec.layer).all_depths(rows, lambda x: x.sum(1)), names=True)


def _holds_more(adata: AnnData, rows: Rows, total: Array) -> str:
    """Column of counts that are at least the sums of the features, and clearly more; "" without."""
    for key in map(str, adata.obs):
        if key == USUAL or not re.search(r"n_?counts?|total|umi", key, re.IGNORECASE):
            continue
        value = _number(adata.obs[key])[rows]
        total_of_more = np.isfinite(value).all() and (value >= total * (1 - MAX_EXCESS)).all() and np.ptp(value) > 0
        if (
            total_of_more
            and (value == np.floor(value)).all()
            and np.median(total / np.maximum(value, 1)) < MAX_PART_OF_DEPTH
        ):
            return key
    return ""


def _cut(adata: AnnData) -> bool:
    """Whether names tell that a whole transcriptome was measured, of which much is gone."""
    if adata.n_vars >= TRANSCRIPTOME_GENES:
        return False
    names = adata.var_names.astype(str)
    lists = [
        names,
        *(adata.var[key].astype(str) for key in ("gene_symbol", "gene_symbols", "gene_name") if key in adata.var),
    ]
    return any(
        sum(bool(UNNAMED.match(n)) for n in some) >= MIN_UNNAMED_GENES
        and sum(bool(RIBOSOMAL.match(n)) for n in some) < MIN_RIBOSOMAL_GENES
        for some in lists
    )
