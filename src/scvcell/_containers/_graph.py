"""Graphs that users have, of squidpy or their own, as memberships: taken, not rebuilt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from scvcell._containers._membership import Membership
from scvcell._registry import near_miss

if TYPE_CHECKING:
    from scvcell._containers._view import View

SUFFIX = "_connectivities"
"""How scanpy and squidpy end the names of their graphs."""


def graph(view: View, key: str) -> Membership:
    """Neighbours of each unit by a graph in ``.obsp``, with its weights, and the unit itself.

    A unit counts as much as the neighbour with the most weight.

    Parameters
    ----------
    view
        The data.
    key
        Name of the graph: ``"spatial"`` for ``obsp["spatial_connectivities"]``.

    Raises
    ------
    KeyError
        If there is no such graph.
    ValueError
        If it has weights below 0 or no numbers.
    """
    name = key if key.endswith(SUFFIX) else f"{key}{SUFFIX}"
    matrix = _matrix(view, name)
    matrix.setdiag(0)
    matrix.eliminate_zeros()
    most = matrix.max(axis=1).toarray().ravel()
    own = sp.diags_array(np.where(most > 0, most, 1.0))
    return Membership(sp.csr_array(matrix + own), view.obs_names, view.obs_names, "niche")


def _matrix(view: View, name: str) -> sp.csr_array:
    """The graph of the units of a view, in their order."""
    if name in view.source.obsp:
        every = sp.csr_array(view.source.obsp[name], dtype=float, copy=True)
        return every if view.positions is None else sp.csr_array(every[view.positions][:, view.positions])
    for modality, adata in view.modalities.items():
        if name in adata.obsp:
            return _placed(view, modality, sp.coo_array(adata.obsp[name]))
    holders: tuple[Any, ...] = (view.source, *view.modalities.values())
    there = sorted({str(key) for holder in holders for key in holder.obsp})
    raise KeyError(
        f"No graph obsp[{name!r}].{near_miss(name, there)} There are: {', '.join(there) or 'none'}. "
        "Make one with squidpy.gr.spatial_neighbors, or leave graph= out and give k=."
    )


def _placed(view: View, modality: str, matrix: sp.coo_array) -> sp.csr_array:
    """The graph of the rows of a modality as one of all units."""
    place = np.full(view.modalities[modality].n_obs, -1)
    here = view.present(modality)
    place[view.rows[modality][here]] = np.flatnonzero(here)
    row, column = place[matrix.row], place[matrix.col]
    kept = (row >= 0) & (column >= 0)
    shape = (view.n_obs, view.n_obs)
    return sp.csr_array((matrix.data[kept].astype(float), (row[kept], column[kept])), shape)
