"""tl.project: cells to the coarser units they form."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from scvcell import _keys
from scvcell._checks import expect
from scvcell._containers import COORDINATES, Matrix, Membership, Space, gather, is_container, units_of, view, view_units
from scvcell.model import CSL
from scvcell.tissue import KernelFit, annotation, constant, encode, fit_kernel, observed, pooled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mudata import MuData

    from scvcell._containers import Container, Tables, View
    from scvcell._types import Array

logger = logging.getLogger("scvcell")

FIT = "fit"
MIN_SHARED = 10
"""Features that cells and the measured spots must share."""


def project(
    data: Container,
    model: CSL | None = None,
    *,
    by: str | int | Membership | Container,
    width: float | str | None = None,
    measured: Container | None = None,
    section_key: str | None = None,
    table_key: Tables = None,
) -> AnnData | MuData:
    r"""Sum cells to the units that they form: donors, spots, niches.

    .. math:: x_r = \sum_c A_{rc} x_c, \qquad z_r \sim q(z \mid x_r)

    Counts are summed exactly. The state of a unit is that of its sums: encoding the pool says more of it than pooling
    the encodings of its cells does.

    Parameters
    ----------
    data
        AnnData, MuData or SpatialData of cells.
    model
        Model fitted on such cells, for the states of units.
    by
        Column of obs whose labels are the units (``"donor"``); a number of nearest neighbours, each cell's niche by
        place; shapes of a SpatialData, each with the cells whose centre is inside (``"visium_spots"``); a
        :class:`scvcell.scale.Membership` whose fine units are the cells; or other data with places, spots for example,
        whose units are those of the result.
    width
        Of spots. By default each cell counts once, in the nearest spot, if that is no farther than spots are from each
        other. A number: every spot has cells around it by a Gaussian kernel of this standard deviation, in the unit of
        the coordinates. ``"fit"``: the one by which sums of cells say best what spots `measured`, with an offset and a
        factor of each feature for the other platform, see Notes.
    measured
        Counts of the spots, for ``width="fit"``; those in `by` by default.
    section_key
        Column of the section, for neighbours and spots: sections share none. Without it the elements of a SpatialData.
    table_key
        Table of a SpatialData, where there is no model that remembers it, see :func:`scvcell.tl.fit`.

    Returns
    -------
    AnnData (of one modality) or MuData of the units; of a MuData an assay has those with a cell that it measured.
    ``X``: summed counts, and means of values that the model knows to be no counts; obs:
    ``n_cells`` (sum of the weights), the columns that all cells of each unit agree on, and those that the model reads;
    ``obsm["X_csl"]``: states, NaN of units without cells; ``obsm["spatial"]``: places of spots. With a fitted kernel
    also layer ``expected`` (what the spots' platform is expected to count at their depth, NaN of features that it has
    not), ``var["platform_factor"]``, and ``uns["csl_project"]``: the kernel, and held-out ``deviance`` and mean
    ``pearson`` of features of it and of three nulls (the nominal spot, the mean profile, six neighbours).

    Raises
    ------
    KeyError
        If obs lacks the column.
    ValueError
        If there are no coordinates for neighbours, the membership is of other cells, no cell has a label, or no cell
        lies near any spot, as where one is in micrometres and the other in pixels.
    TypeError
        If `by` is none of these.

    Notes
    -----
    A kernel is fitted by five blocks of the section. Its width, offset and background are chosen by the deviance of
    blocks for which others found the factors; scores are those of a further block, which neither has seen. It is moved
    only where that is clearly better, and for every block.

    References
    ----------
    Hu and Chen, Insights into Artificial Intelligence Virtual Cells (the operator P).

    Examples
    --------
    >>> donors = scvcell.tl.project(mdata, model, by="donor")
    >>> spots = scvcell.tl.project(xenium, by=visium, width="fit")
    """
    if model is not None:
        expect("model", model, CSL, "The data come first, then the model.")
    seen = view(data, table_key=table_key) if model is None else model.view(data, table_key=table_key)
    fitted, spots, place = None, None, None
    if is_container(by):
        if width == FIT:
            fitted, measures, spots = _fitted(data, seen, by, measured, section_key)
            membership = fitted.membership
        else:
            _refuse(measured, "measured", 'width="fit"')
            spots = Space.of(view_units(by), section_key)
            membership = _of_spots(seen, spots, width, section_key)
    else:
        for name, given in (("width", width), ("measured", measured)):
            _refuse(given, name, "spots in by=")
        membership, place = units_of(seen, by, section_key)
    agreed, read = constant(membership, seen), [] if model is None else model.schema.keys
    named = [] if model is None else set(read) - set(model.schema.continuous)
    obs = pd.DataFrame({key: _first(membership, seen.column(key)) for key in agreed}, index=membership.coarse)
    rest = [key for key in read if key not in agreed]
    obs[rest] = annotation(membership, seen, rest, named=named)
    obs[_keys.N_CELLS] = membership.weight
    sums, tables = {}, {}
    for name, adata in seen.modalities.items():
        matrix = Matrix(adata.X) if model is None else model.matrix(seen, name)
        counts = model is None or model.operator(name).count_data
        sums[name] = pooled(membership, matrix, seen.rows[name], counts=counts)
        # a unit without a cell of an assay was not measured by it: no row, where other assays have one
        some = membership.matrix @ seen.present(name).astype(float) > 0
        some = some if len(seen.modalities) > 1 else np.ones(len(some), bool)
        tables[name] = AnnData(sums[name][some], obs=obs[some].copy(), var=adata.var.copy())
        tables[name].varm.update(observed(adata))
    states = {} if model is None else {_keys.LATENT: encode(model, membership, seen, sums)}
    if spots is not None:
        states[COORDINATES] = spots.xy
    out = gather(tables, states, obs)
    if fitted is not None:
        _expect(tables, fitted, measures)
        out.uns[_keys.PROJECT] = {
            "width": fitted.kernel.width,
            "offset": np.array(fitted.kernel.offset),
            "background": fitted.kernel.background,
            "scores": fitted.scores,
        }
    if place is not None:
        place.annotate(out)
    return out


def _expect(tables: Mapping[str, AnnData], fitted: KernelFit, measures: Measures) -> None:
    """Write what the spots' platform is expected to count, and its factors."""
    table = max(tables.values(), key=lambda each: each.var_names.isin(measures.features).sum())
    at = table.var_names.get_indexer(measures.features)
    depth = pd.Series(measures.depth, fitted.membership.coarse)[table.obs_names].to_numpy()
    sums = np.asarray(sp.csc_matrix(table.X)[:, at].toarray(), dtype=float)
    expected = np.full(table.shape, np.nan, np.float32)
    expected[:, at] = fitted.expected(sums, depth)
    table.layers[_keys.EXPECTED] = expected
    table.var[_keys.PLATFORM] = pd.Series(fitted.factor, measures.features).reindex(table.var_names)


def _refuse(given: Any, name: str, where: str) -> None:
    if given is not None:
        raise TypeError(f"{name}= goes with {where} alone; leave it out.")


def _of_spots(seen: View, spots: Space, width: Any, section_key: str | None) -> Membership:
    """Cells of every spot: each in the nearest one, or all around it by a kernel."""
    cells = Space.of(seen, section_key)
    if width is not None:
        found = spots.kernel(width, other=cells)
    else:
        nearest = sp.coo_array(cells.nearest(1, other=spots).matrix)
        apart = np.sqrt(((cells.xy[nearest.row] - spots.xy[nearest.col]) ** 2).sum(1))
        far = spots.spacing
        near = apart <= (np.inf if np.isnan(far) else far)
        shape = (len(spots.xy), len(cells.xy))
        matrix = sp.csr_array((np.ones(int(near.sum())), (nearest.col[near], nearest.row[near])), shape)
        found = Membership(matrix, spots.names, cells.names, "spot")
    _tell_far(found, spots, cells)
    return found


def _tell_far(found: Membership, spots: Space, cells: Space) -> None:
    """Refuse spots without any cell near; tell of cells in none."""
    inside = int((np.diff(sp.csc_array(found.matrix).indptr) > 0).sum())
    if inside == 0:
        raise ValueError(
            f"No cell lies near any of the {len(spots.xy)} spots: spots reach from {_corner(spots, np.nanmin)} to "
            f"{_corner(spots, np.nanmax)}, cells from {_corner(cells, np.nanmin)} to {_corner(cells, np.nanmax)}. Are "
            "both in one unit and system (micrometres, pixels)? Bring one to the other's."
        )
    if inside < len(cells.xy):
        logger.info("%d of %d cells are near no spot and count in none.", len(cells.xy) - inside, len(cells.xy))
    if found.empty.any():
        logger.info("%d of %d spots have no cell.", found.empty.sum(), len(found.coarse))


def _corner(space: Space, of: Any) -> str:
    return "(" + ", ".join(f"{each:.4g}" for each in of(space.xy, axis=0)) + ")"


def _fitted(
    data: Container, seen: View, by: Container, measured: Container | None, section_key: str | None
) -> tuple[KernelFit, Measures, Space]:
    """The kernel by which cells say what spots measured."""
    spots, cells = Space.of(view_units(by), section_key), Space.of(seen, section_key)
    asked, own = view(by if measured is None else measured), seen if hasattr(data, "tables") else view(data)
    if not asked.obs_names.equals(spots.names):
        raise ValueError("The measured table must have the spots of by=, in their order.")
    if len(asked.modalities) != 1:
        raise ValueError(f"measured= must be one table of counts; it has {list(asked.modalities)}.")
    (table,) = asked.modalities.values()
    names = table.var_names.astype(str)
    name, shared = max(
        ((each, own.modalities[each].var_names.astype(str).intersection(names)) for each in own.modalities),
        key=lambda pair: len(pair[1]),
    )
    if len(shared) < MIN_SHARED:
        raise ValueError(
            f"Cells and measured spots share {len(shared)} features; {MIN_SHARED} are needed. Are they named alike "
            "(symbols, Ensembl ids)?"
        )
    mine = _counts(own, name, shared)
    theirs = _counts(asked, next(iter(asked.modalities)), shared)
    _tell_far(spots.kernel(spots.spacing, other=cells), spots, cells)
    fitted = fit_kernel(spots, cells, theirs, mine)
    return fitted, Measures(shared, np.asarray(theirs.sum(1), dtype=float).ravel()), spots


class Measures(NamedTuple):
    """Features that spots measured as cells did, and the depth of spots by these."""

    features: pd.Index
    depth: Array


def _counts(seen: View, name: str, features: pd.Index) -> sp.csr_matrix:
    """Counts of some features in all units, 0 of units without them."""
    rows = seen.rows[name]
    at = seen.modalities[name].var_names.astype(str).get_indexer(features)
    some = np.flatnonzero(rows >= 0)
    found = sp.csr_matrix(seen.matrix(name).rows(rows[some]))[:, at].astype(float)
    placed = sp.csr_matrix((np.ones(len(some)), (some, np.arange(len(some)))), shape=(len(rows), len(some)))
    return sp.csr_matrix(placed @ found)


def _first(membership: Membership, column: pd.Series) -> Any:
    """Value of any one part of each unit, missing of those without."""
    matrix = membership.matrix
    some = np.diff(matrix.indptr) > 0
    at = np.where(some, matrix.indices[np.minimum(matrix.indptr[:-1], len(matrix.indices) - 1)], 0)
    return column.iloc[at].set_axis(membership.coarse).where(pd.Series(some, membership.coarse))
