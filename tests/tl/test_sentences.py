"""Cells as sentences and tokens, and back."""

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import spearmanr

import scvcell


@pytest.fixture
def cells():
    x = np.array([[5, 0, 9, 1], [0, 0, 0, 0], [2, 2, 0, 7]], np.float32)
    return ad.AnnData(sp.csr_matrix(x), pd.DataFrame(index=list("abc")), pd.DataFrame(index=["g1", "g2", "g3", "g4"]))


def test_names_in_descending_order_and_ties_in_the_order_of_genes(cells):
    sentences = scvcell.tl.cell_sentences(cells)
    assert sentences.to_dict() == {"a": "g3 g1 g4", "b": "", "c": "g4 g1 g2"}
    assert scvcell.tl.cell_sentences(cells, n_genes=1).to_list() == ["g3", "", "g4"]


def test_only_cells_that_have_the_modality(cells):
    other = cells[:2].copy()
    mdata = md.MuData({"adt": cells, "rna": other})
    assert list(scvcell.tl.cell_sentences(mdata, modality="rna").index) == ["a", "b"]
    with pytest.raises(ValueError, match="no modality 'atac'"):
        scvcell.tl.cell_sentences(mdata, modality="atac")


def test_there_and_back_on_real_cells():
    rna = scvcell.datasets.pbmc_mosaic()["rna"][:200]
    sentences = scvcell.tl.cell_sentences(rna, n_genes=500)
    back = scvcell.tl.expression_from_sentences(sentences, rna.var_names)
    assert sentences.attrs["slope"] < 0
    assert (back.obs["known_words"] == 1).all()
    x = rna.X.toarray()
    assert ((back.X > 0) <= (x > 0)).all()
    assert np.mean([spearmanr(a, b).statistic for a, b in zip(x, back.X, strict=True)]) > 0.9
    norm = np.log10(1 + x / x.sum(1, keepdims=True) * 1e4)
    assert np.corrcoef(norm.ravel(), np.log10(1 + back.X).ravel())[0, 1] > 0.9


def test_words_of_a_model_may_be_wrong():
    back = scvcell.tl.expression_from_sentences(["g1 nonsense g1 g2", ""], ["g2", "g1"], slope=-1, intercept=2)
    np.testing.assert_allclose(back.X, [[10 ** (2 - np.log10(2)) - 1, 99], [0, 0]], rtol=1e-5)
    assert back.obs["known_words"].iloc[0] == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="Give slope="):
        scvcell.tl.expression_from_sentences(["g1"], ["g1"])


def test_bad_sentences_are_refused(cells):
    with pytest.raises(ValueError, match="whole number >= 1"):
        scvcell.tl.cell_sentences(cells, n_genes=0)
    cells.var_names = ["g 1", "g2", "g3", "g4"]
    with pytest.raises(ValueError, match=r"white space, e.g. 'g 1'"):
        scvcell.tl.cell_sentences(cells)


def test_sentences_of_a_mosaic(mosaic):
    mdata = mosaic(60)
    sentences = scvcell.tl.cell_sentences(mdata, n_genes=5)
    other = scvcell.tl.cell_sentences(md.MuData({"adt": mdata["adt"], "rna": mdata["rna"]}), n_genes=5)
    pd.testing.assert_series_equal(sentences, other.loc[sentences.index])
    with pytest.raises(ValueError, match=r"The data have \['a', 'b'\]; say which is written out: modality="):
        scvcell.tl.cell_sentences(md.MuData({"a": mdata["rna"], "b": mdata["adt"]}))
    column = sentences.reindex(mdata.obs_names)
    back = scvcell.tl.expression_from_sentences(column, mdata["rna"].var_names, slope=-0.5, intercept=3)
    assert list(back.obs_names) == list(mdata.obs_names)
    lacking = column.isna().to_numpy()
    assert lacking.any()
    assert not back.X[lacking].any()
    assert back.obs["known_words"].isna().tolist() == lacking.tolist()
    twice = scvcell.tl.expression_from_sentences(pd.concat([column, column]), ["gene000"], slope=-0.5, intercept=3)
    assert twice.obs_names.is_unique


def test_layers_and_values_are_checked(mosaic, monkeypatch):
    monkeypatch.setattr("scvcell._containers._matrix.SAMPLE_ROWS", 1)
    adata = mosaic(60)["rna"].copy()
    adata.layers["counts"] = adata.X.copy()
    with pytest.raises(ValueError, match=r"no layer 'count'; it has \['counts'\]. Did you mean 'counts'"):
        scvcell.tl.cell_sentences(adata, layer="count")
    del adata.X
    with pytest.raises(ValueError, match=r"no X; it has layers \['counts'\]. Give layer='counts'"):
        scvcell.tl.cell_sentences(adata)
    scvcell.tl.cell_sentences(adata, layer="counts")
    adata.layers["counts"][20, 3] = 0.5
    with pytest.raises(ValueError, match=r"'counts'.*non-integer"):
        scvcell.tl.cell_sentences(adata, layer="counts")
