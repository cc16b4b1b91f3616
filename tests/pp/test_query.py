"""Data in the form of a model: what verbs see."""

import numpy as np
import pytest
from mudata import MuData

import scvcell


class TestPrepareQuery:
    @pytest.mark.parametrize("kind", ["mudata", "other names", "anndata"])
    def test_it_is_what_verbs_see(self, small, fingerprint, kind):
        cells = small.mdata["rna"].obs_names[:50]
        rna = small.mdata["rna"][cells].copy()[:, ::-1][:, :49].copy()
        data = {"mudata": MuData({"rna": rna}), "other names": MuData({"GEX": rna}), "anndata": rna}[kind]
        if kind != "anndata":
            data.obs["batch"] = rna.obs["batch"]
        before = fingerprint(data)
        query = scvcell.pp.prepare_query(data, small.model)
        assert fingerprint(data) == before
        assert list(query.mod) == ["rna"]
        assert query["rna"].var_names.tolist() == small.model.schema.modalities["rna"].features
        assert (~query["rna"].varm["observed"]).sum().tolist() == [11, 11]
        np.testing.assert_allclose(*(small.model.get_latent_representation(d) for d in (query, data)), atol=1e-6)

    def test_a_model_of_one_modality_gets_an_anndata(self, mosaic, quick):
        adata = mosaic()["adt"]
        model = scvcell.tl.fit(MuData({"adt": adata}), train=quick)
        query = scvcell.pp.prepare_query(adata[:, ::-1].copy(), model)
        assert query.var_names.equals(adata.var_names)
        np.testing.assert_array_equal(query.X.toarray(), adata.X.toarray())
