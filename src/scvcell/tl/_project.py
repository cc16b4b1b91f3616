"""tl.project: cells to the coarser units they form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scvcell import _keys
from scvcell._checks import expect
from scvcell._containers import Matrix, Membership, Space, gather, view
from scvcell._labels import labels, tell_missing
from scvcell.model import CSL
from scvcell.tissue import annotation, constant, encode, observed, pooled

if TYPE_CHECKING:
    from mudata import MuData

    from scvcell._containers import Container, View


def project(
    data: Container, model: CSL | None = None, *, by: str | int | Membership, section_key: str | None = None
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
        ``.obsm["spatial"]``; or a :class:`scvcell.scale.Membership` whose fine units are the cells.
    section_key
        Column of the section, for neighbours: sections share none.

    Returns
    -------
    AnnData (of one modality) or MuData of the units; of a MuData an assay has those with a cell that it measured.
    ``X``: summed counts, and means of values that the model knows to be no counts; obs:
    ``n_cells`` (sum of the weights), the columns that all cells of each unit agree on, and those that the model reads;
    ``obsm["X_csl"]``: states, NaN of units without cells.

    Raises
    ------
    KeyError
        If obs lacks the column.
    ValueError
        If there are no coordinates for neighbours, the membership is of other cells, or no cell has a label.
    TypeError
        If `by` is none of these.

    References
    ----------
    Hu and Chen, Insights into Artificial Intelligence Virtual Cells (the operator P).

    Examples
    --------
    >>> donors = scvcell.tl.project(mdata, model, by="donor")
    """
    if model is not None:
        expect("model", model, CSL, "The data come first, then the model.")
    seen = view(data) if model is None else model.view(data)
    membership = _membership(seen, by, section_key)
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
    return gather(tables, states, obs)


def _membership(seen: View, by: Any, section_key: str | None) -> Membership:
    if isinstance(by, Membership):
        if not by.fine.equals(seen.obs_names):
            raise ValueError(
                f"The membership is of {len(by.fine)} units that are not the {seen.n_obs} cells of the data, in their "
                "order."
            )
        return by
    if isinstance(by, bool) or not isinstance(by, str | int | np.integer):
        raise TypeError(f"by= takes a column of obs, a number of neighbours or a Membership, not {by!r}.")
    if isinstance(by, str):
        column = seen.column(by)
        tell_missing(labels(column).isna().to_numpy(), [by])
        return Membership.groups(column, by)
    return Space.of(seen, section_key).nearest(int(by))


def _first(membership: Membership, column: pd.Series) -> Any:
    """Value of any one part of each unit, missing of those without."""
    matrix = membership.matrix
    some = np.diff(matrix.indptr) > 0
    at = np.where(some, matrix.indices[np.minimum(matrix.indptr[:-1], len(matrix.indices) - 1)], 0)
    return column.iloc[at].set_axis(membership.coarse).where(pd.Series(some, membership.coarse))
