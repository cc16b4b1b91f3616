"""Values, layers and what is said of them: normalised, scaled, raw elsewhere, hardly any."""

import logging
import re

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

import scvcell
from scvcell._containers._read import view
from scvcell.measure import Measurement
from scvcell.model._set_up import read_schema


def test_fit_tells_of_proteins_and_of_layers_that_it_leaves_out(mosaic, quick, caplog):
    adata = mosaic()["rna"]
    adata.obsm["protein_expression"] = np.ones((adata.n_obs, 3), int)
    adata.obsm["X_pca"] = np.ones((adata.n_obs, 3))
    adata.layers["spliced"] = adata.layers["unspliced"] = adata.X
    scvcell.tl.fit(adata, train=quick)
    assert "obsm['protein_expression'], which are not fitted" in caplog.text
    assert "X_pca" not in caplog.text
    assert "scvcell.pp.modality_from_layers" in caplog.text


class TestArguments:
    def test_one_layer_for_all_that_have_it(self, mosaic):
        mdata = mosaic()
        mdata["rna"].layers["counts"] = mdata["rna"].X.copy()
        mdata["rna"].X = mdata["rna"].X.log1p()
        schema = read_schema(view(mdata), layers="counts")
        assert {m: s.layer for m, s in schema.modalities.items()} == {"rna": "counts", "adt": None}
        one = view(mdata["rna"])
        assert read_schema(one, layers="counts") == read_schema(one, layers={"rna": "counts"})
        with pytest.raises(ValueError, match=r"No modality has a layer 'raw'. Layers: 'rna' has \['counts'\]; 'adt'"):
            read_schema(view(mdata), layers="raw")

    @pytest.mark.parametrize("given", ["profile", ("profile", {"likelihood": "student"})])
    def test_an_operator_alone_is_that_of_the_only_modality(self, mosaic, given):
        mdata = mosaic()
        assert read_schema(view(mdata["rna"]), measure=given) == read_schema(view(mdata["rna"]), measure={"rna": given})
        with pytest.raises(ValueError, match="is for data of one modality; say of which"):
            read_schema(view(mdata), measure=given)

    def test_a_fit_by_one_name_is_saved_and_loaded(self, mosaic, quick, tmp_path):
        adata = mosaic()["rna"]
        adata.layers["raw"] = adata.X
        adata.X = adata.X.log1p()
        model = scvcell.tl.fit(adata, layers="raw", measure="counts", train=quick)
        again = scvcell.CSL.load(model.save(tmp_path / "m"), adata)
        np.testing.assert_array_equal(again.get_latent_representation(), adata.obsm["X_csl"])

    def test_all_normalised_modalities_are_named_with_the_layers_that_hold_counts(self, mosaic):
        mdata = mosaic()
        for name, key in (("rna", "counts"), ("adt", "raw_counts")):
            mdata[name].layers["lognorm"] = mdata[name].X.log1p()
            mdata[name].layers[key] = mdata[name].X.copy()
            mdata[name].X = mdata[name].X.log1p()
        with pytest.raises(ValueError, match="looks normalised") as caught:
            read_schema(view(mdata))
        given = re.search(r"layers=(\{.*\})", str(caught.value)).group(1)
        assert given == "{'rna': 'counts', 'adt': 'raw_counts'}"

    def test_scaled_data_are_called_so(self, mosaic):
        adata = ad.AnnData(mosaic()["rna"].X.toarray() - 1)
        with pytest.raises(ValueError, match=r"negative values.*sc.pp.scale"):
            read_schema(view(adata))

    def test_raw_is_found(self, mosaic):
        adata = mosaic()["rna"]
        adata.raw = adata
        adata.X = adata.X.log1p()
        with pytest.raises(ValueError, match=r"whole numbers in .raw: adata.layers\['counts'\] ="):
            read_schema(view(adata))


def test_verbs_on_raw_counts_refuse_normalised_ones(mosaic, small):
    mdata = small.mdata.copy()
    mdata["rna"].X = mdata["rna"].X.log1p()
    for verb in (
        lambda: scvcell.tl.embed(mdata, small.model),
        lambda: scvcell.tl.translate(mdata, small.model, to="adt"),
        lambda: scvcell.tl.transfer_labels(mdata, small.model, key="celltype"),
        lambda: small.model.load_query_data(mdata),
        lambda: scvcell.tl.cell_sentences(mdata),
        lambda: scvcell.pp.tokenize(mdata["rna"]),
    ):
        with pytest.raises(ValueError, match="non-integer values"):
            verb()


@pytest.mark.parametrize(
    ("shape", "message"),
    [((3, 60), "3 cells: too few"), ((90, 1), "'rna' has 1 feature"), ((90, 60), "")],
)
def test_hardly_any_data_are_told(mosaic, caplog, shape, message):
    with caplog.at_level(logging.WARNING, logger="scvcell"):
        read_schema(view(mosaic()["rna"][: shape[0], : shape[1]].copy()))
    assert (message in caplog.text) if message else not caplog.text


def changed(mdata, modality, change):
    """Dense counts of a modality after `change`, in place; returns the MuData."""
    x = mdata[modality].X.toarray()
    change(x)
    mdata[modality].X = sp.csr_matrix(x)
    return mdata


def put(mdata, modality, value):
    def change(x):
        x[4, 2] = value

    return changed(mdata, modality, change)


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("dense", np.nan),
        ("csc_matrix", -1),
        ("csr_array", 0.5),
        ("h5ad csr", np.inf),
        ("h5ad dense", -1),
        ("zarr csr", 0.5),
    ],
)
def test_bad_values_are_found_in_every_form(mosaic, stored, quick, form, value):
    data = stored(put(mosaic(60), "rna", value), form)
    with pytest.raises(ValueError, match="'rna' contains"):
        scvcell.tl.fit(data, train=quick)


def test_a_bad_value_is_found_beyond_the_first_chunk(mosaic, monkeypatch):
    from scvcell._containers._matrix import Matrix

    mdata = changed(mosaic(90), "rna", lambda x: x.__setitem__((59, 59), -1))
    monkeypatch.setattr(Matrix.chunks, "__defaults__", (8,))
    with pytest.raises(ValueError, match="negative"):
        read_schema(view(mdata))


def test_every_operator_that_needs_no_counts_takes_any_finite_value(mosaic):
    """`count_data` False lifts the count checks, not those of NaN."""
    from scvcell.model._check import check_values

    assert Measurement.count_data
    mdata = put(put(mosaic(), "rna", -0.5), "adt", np.nan)
    check_values(view(mdata), "rna", None, counts=False)
    with pytest.raises(ValueError, match="NaN"):
        check_values(view(mdata), "adt", None, counts=False)
