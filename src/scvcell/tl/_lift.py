"""tl.lift: spots to the cells they hold."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from scvcell import _keys
from scvcell._checks import check_level, expect, is_number, seed_of
from scvcell._containers import Space, view
from scvcell._labels import labels, tell_missing
from scvcell.model import CSL
from scvcell.tissue import Reference, skill
from scvcell.tissue import lift as lift_spots

if TYPE_CHECKING:
    from scvcell._containers import Container, View
    from scvcell._types import Array, Mask, Rows
    from scvcell.tissue import Composition

logger = logging.getLogger("scvcell")

MIN_SHARED = 10
"""Features that spots and reference must share."""


def lift(
    spots: Container,
    model: CSL,
    *,
    reference: Container | None = None,
    labels_key: str,
    groups_key: str | None = None,
    n_cells: float = 8.0,
    level: float = 0.9,
    seed: int = 0,
) -> AnnData:
    r"""What spots hold: shares of kinds of cells, with intervals, and whether they can be told at all.

    .. math:: x_{rg} \sim \mathrm{NB}\Big(m_g \sum_k w_{rk} \rho_{kg},\ \theta_g\Big), \qquad w_{r} \ge 0

    with mean counts :math:`\rho` of the reference's kinds and a factor m of each feature for the other platform. The
    prior of w is a network that was trained on mixtures of reference cells.

    Parameters
    ----------
    spots
        AnnData (or data with one modality of counts) of spots, raw counts.
    model
        Model fitted on the reference's cells.
    reference
        Cells of known kinds; the fitted data by default.
    labels_key
        Column of the kind in the reference; cells without one are left out.
    groups_key
        Column of the reference's groups (donors, sections), by which intervals are calibrated: kinds differ between
        groups as they may between reference and spots. The model's batches by default.
    n_cells
        About how many cells a spot holds.
    level
        Level of the intervals.
    seed
        Drives everything random.

    Returns
    -------
    AnnData of spots x kinds. ``X``: shares, which sum to 1 (NaN of spots without RNA); layers ``lower``, ``upper`` (NaN
    where the reference has one group only), ``abundance`` (cells of each kind, in cells of the reference's depth).
    obs: those of the spots, ``trusted`` (whether the cycle has skill). ``obsm["X_csl"]``: state of each spot's counts,
    where the model knows their batch; ``obsm["spatial"]``: their places, where they have some. ``uns["csl_cycle"]``:
    ``skill`` with ``lower`` and ``upper``, how much better half of the features predict the other half than the better
    of two nulls does, see `scvcell.tissue.skill`.

    Raises
    ------
    ValueError
        If spots and reference share hardly any features, a kind has one cell, or `level` is not between 0 and 1.
    KeyError
        If obs lacks a column.

    Warns
    -----
    (log) where intervals cannot be calibrated, or compositions cannot be told.

    References
    ----------
    Kleshchevnikov et al., Cell2location maps fine-grained cell types in spatial transcriptomics, Nat Biotechnol 2022;
    Hu and Chen, Insights into Artificial Intelligence Virtual Cells (the operator L, eq. 3).

    Examples
    --------
    >>> found = scvcell.tl.lift(visium, model, labels_key="cell_type", groups_key="donor")
    """
    expect("model", model, CSL, "The spots come first, then the model.")
    check_level(level)
    if not is_number(n_cells) or not 0 < float(n_cells) < np.inf:
        raise ValueError(f"n_cells must be a number above 0, about how many cells a spot holds, not {n_cells!r}.")
    seed = seed_of(seed)
    name = _counts_of(model)
    x, features, seen = _spots(spots, model, name)
    known, group = _reference(model, reference, name, features, labels_key, groups_key)
    found = lift_spots(x, known, group, float(n_cells), level, seed)
    told = skill(x, found, known, seed)
    has = seen.present(name)
    _warn(has, name, found, told)

    def placed(values: Array) -> Array:
        rows = np.full((len(has), len(known.kinds)), np.nan, np.float32)
        rows[has] = values
        return rows

    out = AnnData(placed(found.share), obs=seen.obs(), var=pd.DataFrame(index=known.kinds))
    for key, sign in ((_keys.LOWER, -1), (_keys.UPPER, 1)):
        out.layers[key] = placed(np.clip(found.share + sign * found.halfwidth, 0, 1))
    out.layers[_keys.ABUNDANCE] = placed(found.cells)
    out.obs[_keys.TRUSTED] = has & (told["lower"] > 0)
    if _known(model, seen):
        out.obsm[_keys.LATENT] = model.posterior(seen).mean.numpy()
    out.obsm.update(_coordinates(seen))
    out.uns |= {_keys.CYCLE: told, _keys.LIFT: {"labels_key": labels_key}}
    return out


def _coordinates(seen: View) -> dict[str, Array]:
    """Places of the spots, where they have some."""
    try:
        return {_keys.SPATIAL: Space.of(seen).xy}
    except ValueError:
        return {}


def _warn(has: Mask, name: str, found: Composition, told: dict[str, float]) -> None:
    if not has.all():
        logger.warning("%d of %d spots have no %r; their shares are NaN.", (~has).sum(), len(has), name)
    if np.isnan(found.halfwidth).all():
        logger.warning(
            "The reference has one group only, so that nothing tells how far compositions are off: intervals are NaN. "
            "Give groups_key=, a column of donors or sections."
        )
    if told["lower"] <= 0:
        logger.warning(
            "Compositions say nothing of features that were left out (skill %.2f, from %.2f to %.2f): no spot is "
            "trusted. Are the kinds of the tissue in the reference?",
            *(told["skill"], told["lower"], told["upper"]),
        )


def _known(model: CSL, seen: View) -> bool:
    """Whether the model knows the context of the spots, without which their counts have no state."""
    try:
        model.schema.context(seen)
    except (KeyError, ValueError) as error:
        logger.info(
            "The spots get no states, as they are of no batch of the model: %s model.load_query_data(spots) makes one "
            "that knows them.",
            error.args[0],
        )
        return False
    return True


def _counts_of(model: CSL) -> str:
    """The modality of RNA counts."""
    names = [m for m in model.assays if model.schema.modalities[m].operator == "counts"]
    if len(names) != 1:
        raise ValueError(f"Spots are lifted by one modality of RNA counts; the model has {names or 'none'}.")
    return names[0]


def _spots(spots: Container, model: CSL, name: str) -> tuple[sp.csr_matrix, pd.Index, View]:
    """Counts of the spots that have them, features that the model knows of them, all spots as it views them."""
    seen = model.view(spots)
    if name not in seen.modalities:
        raise ValueError(f"The spots have no {name!r}; they have {list(seen.modalities)}.")
    known = pd.Index(model.schema.modalities[name].features)
    own = view(seen.source, skip_empty=True).modalities
    tables = [own[name]] if name in own else list(own.values())  # the table may have another name than the model's
    shared = max((known.intersection(table.var_names.astype(str)) for table in tables), key=len)
    if len(shared) < MIN_SHARED:
        raise ValueError(
            f"Spots and model share {len(shared)} features; {MIN_SHARED} are needed. Are they named alike (symbols, "
            "Ensembl ids)?"
        )
    at = known.get_indexer(shared)
    matrix = model.matrix(seen, name)
    rows = seen.rows[name]
    return sp.csr_matrix(matrix.rows(rows[rows >= 0]))[:, at], shared, seen


def _reference(
    model: CSL, reference: Container | None, name: str, features: pd.Index, labels_key: str, groups_key: str | None
) -> tuple[Reference, Rows]:
    """Cells of known kinds, and the group of each."""
    seen = model.view(reference)
    text = labels(seen.column(labels_key))
    tell_missing(text.isna().to_numpy(), [labels_key])
    cells = np.flatnonzero(text.notna().to_numpy() & seen.present(name))
    kind, kinds = pd.factorize(text.iloc[cells], sort=True)
    few = [str(each) for each, n in zip(kinds, np.bincount(kind), strict=True) if n < 2]
    if few or len(kinds) < 2:
        what = f"the kind {few[0]!r} has one cell" if few else f"all cells are of the kind {kinds[0]!r}"
        raise ValueError(f"obs[{labels_key!r}]: {what}; at least two kinds with two cells each are needed.")
    at = pd.Index(model.schema.modalities[name].features).get_indexer(features)
    counts = sp.csr_matrix(model.matrix(seen, name).rows(seen.rows[name][cells]))[:, at]
    key = model.schema.batch_key if groups_key is None else groups_key
    group = np.zeros(len(cells), np.int64)
    if key is not None:
        group = pd.factorize(labels(seen.column(key)).iloc[cells].fillna(""))[0].astype(np.int64)
    return Reference(counts, kind.astype(np.int64), list(map(str, kinds))), group
