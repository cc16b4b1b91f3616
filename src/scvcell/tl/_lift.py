"""tl.lift: spots to the cells they hold."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from scvcell import _keys
from scvcell._checks import check_level, expect, is_number, seed_of
from scvcell._containers import COORDINATES, Space
from scvcell._labels import labels, numbers, tell_missing
from scvcell.model import CSL
from scvcell.tissue import Reference, Scene, cycle_scores, misfit, states, summary, unexplained
from scvcell.tissue import lift as lift_spots

if TYPE_CHECKING:
    from scvcell._containers import Container, View
    from scvcell._types import Array, Mask, Rows
    from scvcell.tissue import Composition

logger = logging.getLogger("scvcell")

N_BLOCKS = 5
"""Blocks of a section; factors of features are found by the others."""
MIN_SHARED = 10
"""Features that spots and reference must share."""


def lift(
    spots: Container,
    model: CSL,
    *,
    reference: Container | None = None,
    labels_key: str,
    groups_key: str | None = None,
    n_cells: float | str = 8.0,
    smooth: float | None = None,
    section_key: str | None = None,
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
        About how many cells a spot holds; or the column of the spots with the number of each, nuclei that were counted,
        to which its abundances then sum.
    smooth
        How far to draw the composition of each spot to the mean of its six neighbours, from 0 to 1. By default, where
        spots have places, as far as compositions differ by chance, which those without a third of the genes tell.
    section_key
        Column of the spots' section: sections share no neighbours, and each is trusted or not.
    level
        Level of the intervals.
    seed
        Drives everything random.

    Returns
    -------
    AnnData of spots x kinds. ``X``: shares, which sum to 1 (NaN of spots without RNA); layers ``lower``, ``upper`` (NaN
    where the reference has one group only), ``abundance`` (cells of each kind, in cells of the reference's depth, or by
    the number of cells of each spot). obs: those of the spots, ``trusted`` (whether the cycle
    has skill there and kinds explain the spot).
    ``obsm["X_csl"]``: state of each spot's counts, where the model knows their batch, which is the mean of their cells'
    states; ``obsm["X_csl_by_type"]``: expected state of each kind within each spot, ``(spots, kinds, latent)``, the
    kind's mean where counts say no more. ``uns["csl_cycle"]``: ``skill`` with ``lower`` and ``upper``, how much better
    half of the features predict the other half than the best of three nulls does, see `cycle_scores`.
    ``uns["csl_lift"]`` and ``varm["rates"]``: what that verb needs.

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
    _check_numbers(n_cells, smooth)
    seed = seed_of(seed)
    name = counts_of(model)
    x, features, seen = spots_of(spots, model, name)
    known, group, cells = _reference(model, reference, name, features, labels_key, groups_key)
    has = seen.present(name)
    at = np.flatnonzero(has)
    given = _given_cells(seen, n_cells)
    typical = float(n_cells) if given is None else max(float(np.nanmean(given[at])), 1.0)  # type: ignore[arg-type]
    space = places(seen.subset(at), section_key)
    if smooth and space is None:
        raise ValueError("smooth= needs places of the spots, obsm['spatial']; the spots have none.")
    found = lift_spots(x, known, group, typical, level, seed, space, smooth)
    scores = _scores(x, found, space, seed)
    within = states(x, found, known, model.posterior(cells).mean.numpy(), seed)
    trusted, odd = _trusted(scores, space, has), unexplained(misfit(x, found))
    trusted[at[odd]] = False
    told = summary(scores)
    _warn(has, name, found, told, int(odd.sum()))

    def placed(values: Array) -> Array:
        rows = np.full((len(has), *values.shape[1:]), np.nan, np.float32)
        rows[has] = values
        return rows

    abundance = found.cells if given is None else found.share * given[at, None]
    out = AnnData(placed(found.share), obs=seen.obs(), var=pd.DataFrame(index=known.kinds))
    layers = {_keys.LOWER: found.lower, _keys.UPPER: found.upper, _keys.ABUNDANCE: abundance}
    for key, values in layers.items():
        out.layers[key] = placed(values)
    out.obs[_keys.TRUSTED] = trusted
    out.obsm[_keys.LATENT_BY_TYPE] = placed(within)
    if _known(model, seen):
        out.obsm[_keys.LATENT] = model.posterior(seen).mean.numpy()
    if space is not None:
        out.obsm[COORDINATES] = placed(space.xy)
    out.varm[_keys.RATES] = pd.DataFrame(found.rates, index=out.var_names, columns=list(features))
    out.uns[_keys.CYCLE] = told
    out.uns[_keys.LIFT] = {
        "labels_key": labels_key,
        "theta": found.theta,
        "smooth": found.smooth,
        "left_out": dict(found.left_out or {}),
    }
    return seen.as_table(out)


def _check_numbers(n_cells: Any, smooth: Any) -> None:
    if not isinstance(n_cells, str) and not (is_number(n_cells) and 0 < float(n_cells) < np.inf):
        raise ValueError(
            f"n_cells must be a number above 0, about how many cells a spot holds, or a column of obs, not {n_cells!r}."
        )
    if smooth is not None and not (is_number(smooth) and 0 <= float(smooth) <= 1):
        raise ValueError(f"smooth must be a number from 0 to 1, or None to have it chosen, not {smooth!r}.")


def _given_cells(seen: View, n_cells: float | str) -> Array | None:
    """Number of cells of each spot, where a column says it."""
    if not isinstance(n_cells, str):
        return None
    found = numbers(seen.column(n_cells))
    known = found[np.isfinite(found)]
    if not len(known) or (known < 0).any() or not known.any():
        raise ValueError(f"obs[{n_cells!r}] must hold numbers of cells, at least 0 and some above.")
    return found


def places(seen: View, section_key: str | None) -> Space | None:
    """Where spots are; None where nothing says it.

    Parameters
    ----------
    seen
        The spots.
    section_key
        Column of their section; then places must be there.

    Raises
    ------
    ValueError
        If there is a column of sections and no place.
    """
    return Space.if_any(seen) if section_key is None else Space.of(seen, section_key)


def _scores(x: sp.csr_matrix, found: Composition, space: Space | None, seed: int) -> pd.DataFrame:
    """The cycle by two halves of the features, of spots from some places where there are many."""
    scene, names = Scene.of(space, x.shape[0], N_BLOCKS), ["all"] if space is None else space.sections
    return cycle_scores(x, found.rates, found.theta, scene, smooth=found.smooth, names=names, n_folds=2, seed=seed)


def _trusted(scores: pd.DataFrame, space: Space | None, has: Mask) -> Mask:
    """Spots of sections that beat all nulls."""
    good = set(scores.loc[scores["trusted"], "section"]) if len(scores) else set()
    out = np.zeros(len(has), bool)
    if space is None:
        out[has] = "all" in good
    else:
        out[has] = [code >= 0 and space.sections[code] in good for code in space.section]
    return out


def _warn(has: Mask, name: str, found: Composition, told: dict[str, float], odd: int) -> None:
    if not has.all():
        logger.warning("%d of %d spots have no %r; their shares are NaN.", (~has).sum(), len(has), name)
    if odd:
        text = "%d of %d spots are explained by no mixture of the reference's kinds, and are not trusted."
        logger.warning(text, odd, has.sum())
    if found.left_out is None:
        logger.warning(
            "The reference has one group only, so that nothing tells how far compositions are off: intervals are NaN. "
            "Give groups_key=, a column of donors or sections."
        )
    if not told["lower"] > 0:
        logger.warning(
            "Compositions say no more of features that were left out than the best of three nulls does (skill %.2f, "
            "from %.2f to %.2f in the section where it is least): its spots are not trusted. Are the kinds of the "
            "tissue in the reference?",
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


def counts_of(model: CSL) -> str:
    """The modality of RNA counts."""
    names = [m for m in model.assays if model.schema.modalities[m].operator == "counts"]
    if len(names) != 1:
        raise ValueError(f"Spots are lifted by one modality of RNA counts; the model has {names or 'none'}.")
    return names[0]


def spots_of(spots: Container, model: CSL, name: str) -> tuple[sp.csr_matrix, pd.Index, View]:
    """Counts of the spots that have them, features that the model knows of them, all spots as it views them."""
    seen = model.view(spots)
    if name not in seen.modalities:
        raise ValueError(f"The spots have no {name!r}; they have {list(seen.modalities)}.")
    table = seen.modalities[name]  # features of the model, with a mask where the spots lack some
    there = np.ones(table.n_vars, bool)
    if _keys.OBSERVED_MASK in table.varm:
        there = pd.DataFrame(table.varm[_keys.OBSERVED_MASK]).astype("boolean").fillna(True).to_numpy(bool).any(1)
    if there.sum() < MIN_SHARED:
        raise ValueError(
            f"Spots and model share {there.sum()} features; {MIN_SHARED} are needed. Are they named alike (symbols, "
            "Ensembl ids)?"
        )
    rows = seen.rows[name]
    counts = sp.csr_matrix(model.matrix(seen, name).rows(rows[rows >= 0]))[:, np.flatnonzero(there)]
    return counts, pd.Index(model.schema.modalities[name].features)[there], seen


def _reference(
    model: CSL, reference: Container | None, name: str, features: pd.Index, labels_key: str, groups_key: str | None
) -> tuple[Reference, Rows, View]:
    """Cells of known kinds, the group of each, and the cells as the model views them."""
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
    return Reference(counts, kind.astype(np.int64), list(map(str, kinds))), group, seen.subset(cells)
