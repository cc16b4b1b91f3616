"""Graphs of users as memberships: weights, the unit itself, modalities in other orders, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from scvcell._containers import graph, view

WEIGHTS = np.array([[9, 2, 0, 0], [2, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
WANTED = np.array([[2, 2, 0, 0], [2, 2, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]])


@pytest.fixture
def adata():
    data = AnnData(np.ones((4, 3), np.float32), obs=pd.DataFrame(index=["a", "b", "c", "d"]))
    data.obsp["spatial_connectivities"] = sp.csc_matrix(WEIGHTS)
    return data


def test_a_unit_counts_as_much_as_its_nearest_neighbour(adata):
    for key in ("spatial", "spatial_connectivities"):
        found = graph(view(adata), key)
        np.testing.assert_array_equal(found.matrix.toarray(), WANTED)
        assert list(found.fine) == list(found.coarse) == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(
        adata.obsp["spatial_connectivities"].toarray(), WEIGHTS, "the user's own is as it was"
    )
    turned = graph(view(adata).subset(np.array([2, 0, 1])), "spatial")
    np.testing.assert_array_equal(turned.matrix.toarray(), WANTED[[2, 0, 1]][:, [2, 0, 1]])


def test_a_graph_of_a_modality(adata):
    other = AnnData(np.ones((3, 2), np.float32), obs=pd.DataFrame(index=["e", "d", "a"]))
    both = MuData({"adt": other, "rna": adata})
    found = graph(view(both), "spatial")
    names = ["a", "b", "c", "d"]
    at = both.obs_names.get_indexer(names)
    np.testing.assert_array_equal(found.matrix.toarray()[at][:, at], WANTED)
    rest = both.obs_names.get_loc("e")
    assert found.matrix.toarray()[rest].sum() == 1


def test_what_is_refused(adata):
    with pytest.raises(
        KeyError, match=r"No graph obsp\['spatal_connectivities'\].*Did you mean 'spatial_connectivities'"
    ):
        graph(view(adata), "spatal")
    adata.obsp["bad_connectivities"] = -WEIGHTS.astype(float)
    with pytest.raises(ValueError, match="at least 0"):
        graph(view(adata), "bad")
