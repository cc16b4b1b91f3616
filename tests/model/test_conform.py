"""Data as a model knows them: its names, its features in its order, missing ones masked."""

import logging
import re

import numpy as np
import pandas as pd
import pytest
from mudata import MuData

from scvcell._containers._read import view
from scvcell.model._conform import conform
from scvcell.model._schema import Schema
from scvcell.model._set_up import read_schema


class TestConform:
    def model_view(self, mosaic):
        mdata = mosaic()
        return mdata, read_schema(view(mdata))

    def test_features_in_the_models_order(self, mosaic, fingerprint):
        mdata, schema = self.model_view(mosaic)
        shuffled = MuData({m: a[:, a.var_names[::-1]].copy() for m, a in mdata.mod.items()})
        before = fingerprint(shuffled)
        seen = conform(view(shuffled), schema)
        for name, adata in seen.modalities.items():
            assert list(adata.var_names) == schema.modalities[name].features
        assert fingerprint(shuffled) == before

    def test_unknown_features_are_ignored_with_a_note(self, mosaic, caplog):
        mdata, schema = self.model_view(mosaic)
        few = Schema.from_dict(schema.as_dict())
        few.modalities["rna"].features.remove("gene003")
        with caplog.at_level(logging.INFO, logger="scvcell"):
            seen = conform(view(mdata), few)
        assert "1 features that the model does not know are ignored" in caplog.text
        assert "gene003" not in seen.modalities["rna"].var_names

    @pytest.mark.parametrize("form", ["dense", "csr_matrix", "csc_matrix", "h5ad csr", "zarr dense"])
    def test_missing_features_are_marked_as_not_measured(self, mosaic, stored, caplog, form):
        mdata, schema = self.model_view(mosaic)
        keep = np.random.default_rng(0).permutation(60)[:40]
        query = stored(MuData({"rna": mdata["rna"][:, keep].copy()}), form)
        seen = conform(view(query), schema)
        assert "lacks 20 of the 60 features of the model" in caplog.text
        assert seen.modalities["rna"].var_names.tolist() == schema.modalities["rna"].features
        panel = seen.panel("rna", schema.batches)
        there = np.isin(np.arange(60), keep)
        np.testing.assert_array_equal(panel, there[None])
        whole = mdata["rna"].X.toarray()
        np.testing.assert_array_equal(seen.matrix("rna").dense(np.arange(len(whole))), whole * there)

    def test_a_panel_of_the_data_is_kept(self, mosaic):
        mdata = mosaic()
        schema = read_schema(view(mdata), batch_key="batch")
        rna = mdata["rna"][:, 2:].copy()
        rna.varm["observed"] = pd.DataFrame({"b1": np.arange(58) > 0}, index=rna.var_names)
        query = MuData({"rna": rna})
        query.obs["batch"] = np.where(np.arange(query.n_obs) % 2, "b1", "new")
        panel = conform(view(query), schema).panel("rna", ["b0", "b1", "new"])
        assert (~panel).sum(1).tolist() == [2, 3, 2]

    def test_hardly_any_feature_of_the_model_is_refused(self, mosaic):
        mdata, schema = self.model_view(mosaic)
        query = MuData({"rna": mdata["rna"][:, 55:].copy()})
        with pytest.raises(ValueError, match=re.escape("'rna' lacks 55 of the 60 features of the model, e.g. ['gene0")):
            conform(view(query), schema)

    @pytest.mark.parametrize("name", ["GEX", "Gene Expression", "gene-expression", "mRNA"])
    def test_a_name_that_means_the_same(self, mosaic, name):
        mdata, schema = self.model_view(mosaic)
        seen = conform(view(MuData({"Antibody Capture": mdata["adt"], name: mdata["rna"]})), schema)
        assert list(seen.modalities) == ["rna", "adt"]
        assert seen.modalities["rna"].var_names.equals(mdata["rna"].var_names)

    def test_two_modalities_that_could_be_meant_are_not_guessed(self, mosaic):
        mdata, schema = self.model_view(mosaic)
        both = MuData({"gex": mdata["rna"], "mrna": mdata["rna"].copy(), "adt": mdata["adt"]})
        assert list(conform(view(both), schema).modalities) == ["adt"]

    @pytest.mark.parametrize("name", ["rna", "adt"])
    def test_an_anndata_is_the_modality_whose_features_it_has(self, mosaic, name):
        mdata, schema = self.model_view(mosaic)
        assert list(conform(view(mdata[name]), schema).modalities) == [name]

    @pytest.mark.parametrize("form", ["dense", "csr_matrix", "h5ad csr"])
    def test_data_that_were_normalised_after_the_fit_are_refused(self, mosaic, stored, form):
        mdata, schema = self.model_view(mosaic)
        mdata["rna"].layers["counts"] = mdata["rna"].X.copy()
        mdata["rna"].X = mdata["rna"].X.log1p()
        with pytest.raises(ValueError, match=r"'rna' contains non-integer values.*reads {'rna': 'X'}"):
            conform(view(stored(mdata, form)), schema)
        assert conform(view(mdata), read_schema(view(mdata), layers="counts")).n_obs == mdata.n_obs

    def test_nothing_in_common(self, mosaic):
        mdata, schema = self.model_view(mosaic)
        with pytest.raises(ValueError, match="nothing in common"):
            conform(view(MuData({"atac": mdata["rna"]})), schema)
