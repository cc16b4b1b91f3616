"""One table of several kinds of features, or with proteins in obsm, becomes a modality of each."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scvcell
from scvcell._containers._read import view
from scvcell.model._set_up import read_schema

KINDS = {"Gene Expression": "rna", "Antibody Capture": "adt"}


def table(mosaic, *, guides=False, order="rna first"):
    """Cells with both assays of a mosaic in one AnnData as 10x has it; and the mosaic's own modalities."""
    mdata = mosaic()
    both = mdata["rna"].obs_names.intersection(mdata["adt"].obs_names)
    parts = {kind: mdata[name][both].copy() for kind, name in KINDS.items()}
    if guides:
        x = np.random.default_rng(0).poisson(0.5, (len(both), 3)).astype(np.float32)
        parts["CRISPR Guide Capture"] = ad.AnnData(
            x, parts["Gene Expression"].obs, pd.DataFrame(index=["g1", "g2", "g3"])
        )
    kinds = list(parts) if order == "rna first" else list(parts)[::-1]
    joined = ad.concat([parts[kind] for kind in kinds], axis=1, merge="same")
    joined.var["feature_types"] = pd.Categorical(np.repeat(kinds, [parts[kind].n_vars for kind in kinds]))
    if order == "mixed":
        joined = joined[:, np.random.default_rng(1).permutation(joined.n_vars)].copy()
    return joined, parts


class TestSplit:
    @pytest.mark.parametrize("order", ["rna first", "rna last", "mixed"])
    def test_one_table_becomes_a_modality_of_each_kind(self, mosaic, fingerprint, order):
        joined, parts = table(mosaic, order=order)
        before = fingerprint(joined)
        mdata = scvcell.pp.split_modalities(joined)
        assert fingerprint(joined) == before
        assert set(mdata.mod) == {"rna", "adt"}
        for kind, name in KINDS.items():
            pd.testing.assert_frame_equal(
                mdata[name].to_df()[parts[kind].var_names], parts[kind].to_df(), check_names=False
            )
        assert {m: s.operator for m, s in read_schema(view(mdata), batch_key="batch").modalities.items()} == {
            "rna": "counts",
            "adt": "protein",
        }
        mdata["rna"].X *= 0
        assert fingerprint(joined) == before

    def test_guides_are_annotation(self, mosaic, caplog):
        joined, parts = table(mosaic, guides=True)
        mdata = scvcell.pp.split_modalities(joined)
        assert set(mdata.mod) == {"rna", "adt"}
        held = mdata["rna"].obsm["CRISPR Guide Capture"]
        np.testing.assert_array_equal(held.to_numpy(), parts["CRISPR Guide Capture"].X)
        assert list(held.columns) == ["g1", "g2", "g3"]
        assert "give fit perturbation=" in caplog.text

    @pytest.mark.parametrize("key", ["protein_expression", "ADT", "X_prot"])
    @pytest.mark.parametrize("form", ["frame", "array"])
    def test_proteins_in_obsm(self, mosaic, key, form):
        _, parts = table(mosaic)
        adata, adt = parts["Gene Expression"], parts["Antibody Capture"].to_df()
        adata.obsm[key] = adt if form == "frame" else adt.to_numpy()
        adata.uns["protein_names"] = list(adt.columns)
        mdata = scvcell.pp.split_modalities(adata)
        pd.testing.assert_frame_equal(mdata["adt"].to_df(), adt, check_names=False)
        assert read_schema(view(mdata)).modalities["adt"].operator == "protein"
        assert key in adata.obsm
        assert key not in mdata["rna"].obsm

    def test_one_kind_is_refused(self, mosaic):
        with pytest.raises(ValueError, match="one kind of features: var has no column feature_types"):
            scvcell.pp.split_modalities(mosaic()["rna"])
        with pytest.raises(TypeError, match="has its modalities already"):
            scvcell.pp.split_modalities(mosaic())

    @pytest.mark.parametrize("twice", [False, True])
    def test_fit_leads_to_it(self, mosaic, quick, fingerprint, twice):
        joined, _ = table(mosaic)
        if twice:
            joined.var_names = ["same", "same", *joined.var_names[2:]]
        before = fingerprint(joined)
        with pytest.raises(ValueError, match=r"several kinds.*mdata = scvcell.pp.split_modalities\(adata\)"):
            scvcell.tl.fit(joined, train=quick)
        assert fingerprint(joined) == before
