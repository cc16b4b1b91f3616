"""Cells as tokens, by rank and by bin."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import scvcell


@pytest.fixture
def cells():
    x = np.array([[5, 0, 9, 1], [0, 0, 0, 0], [2, 2, 0, 7]], np.float32)
    return ad.AnnData(sp.csr_matrix(x), pd.DataFrame(index=list("abc")), pd.DataFrame(index=["g1", "g2", "g3", "g4"]))


def test_rank_tokens(cells):
    # medians of the shares: g1 mean of 1/3 and 2/11, g2 2/11, g3 9/15, g4 mean of 1/15 and 7/11
    tokens = scvcell.pp.tokenize(cells)
    assert tokens.tolist() == [[0, 2, 3], [-1, -1, -1], [3, 1, 0]]
    assert scvcell.pp.tokenize(cells, length=2).shape == (3, 2)


def test_bin_tokens(cells):
    tokens = scvcell.pp.tokenize(cells, how="bin", n_bins=4).toarray()
    assert ((tokens > 0) == (cells.X.toarray() > 0)).all()
    assert tokens.max() == 3
    assert tokens[0, 3] < tokens[0, 0] <= tokens[0, 2]
    assert tokens[2, 0] == tokens[2, 1] < tokens[2, 3]
    with pytest.raises(ValueError, match=r"'bins'. Did you mean 'bin'"):
        scvcell.pp.tokenize(cells, how="bins")
    with pytest.raises(ValueError, match="whole number >= 2"):
        scvcell.pp.tokenize(cells, how="bin", n_bins=1)


def test_layers_and_values_are_checked(mosaic, monkeypatch):
    monkeypatch.setattr("scvcell._containers._matrix.SAMPLE_ROWS", 1)
    adata = mosaic(60)["rna"].copy()
    adata.layers["counts"] = adata.X.copy()
    with pytest.raises(ValueError, match=r"no layer 'count'; it has \['counts'\]. Did you mean 'counts'"):
        scvcell.pp.tokenize(adata, layer="count")
    del adata.X
    with pytest.raises(ValueError, match=r"no X; it has layers \['counts'\]. Give layer='counts'"):
        scvcell.pp.tokenize(adata)
    scvcell.pp.tokenize(adata, layer="counts")
    adata.layers["counts"][20, 3] = 0.5
    with pytest.raises(ValueError, match=r"'counts'.*non-integer"):
        scvcell.pp.tokenize(adata, layer="counts")


def test_bins_of_a_cell_depend_on_the_ranks_of_its_counts_alone(cells):
    """A monotone change of one cell's counts leaves its tokens as they are."""
    other = cells.copy()
    other.X = cells.X.copy()
    other.X.data = other.X.data**2
    one, two = (scvcell.pp.tokenize(data, how="bin", n_bins=4) for data in (cells, other))
    np.testing.assert_array_equal(one.toarray(), two.toarray())


def test_ranks_do_not_depend_on_the_depth_of_a_cell(cells):
    deep = cells.copy()
    deep.X = sp.csr_matrix(np.diag([7, 1, 3]).astype(np.float32)) @ cells.X
    np.testing.assert_array_equal(scvcell.pp.tokenize(deep), scvcell.pp.tokenize(cells))
    with pytest.raises(ValueError, match=r"how must be 'rank' or 'bin', not 'ranks'. Did you mean 'rank'"):
        scvcell.pp.tokenize(cells, how="ranks")
