"""Usual layouts of data: one table of several kinds of features, proteins in obsm, queries with fewer features."""

import logging
import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import scvcell
from scvcell._containers._read import view
from scvcell.model._set_up import read_schema
from scvcell.model._train import Run

WRITTEN = (
    *("Gene Expression", "gene_expression", "GEX", "gex", "RNA", "mrna", "Antibody Capture", "antibody-capture"),
    *("ADT", "prot", "CITE-seq", "Peaks", "ATAC", "atac_seq", "Chromatin Accessibility", "scATAC"),
)
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

    def test_other_types_of_features_are_no_kinds(self, mosaic):
        adata = mosaic()["rna"]
        adata.var["feature_types"] = ["protein_coding", "lncRNA"] * 30
        assert list(read_schema(view(adata)).modalities) == ["rna"]

    def test_fit_tells_of_proteins_and_of_layers_that_it_leaves_out(self, mosaic, quick, caplog):
        adata = mosaic()["rna"]
        adata.obsm["protein_expression"] = np.ones((adata.n_obs, 3), int)
        adata.obsm["X_pca"] = np.ones((adata.n_obs, 3))
        adata.layers["spliced"] = adata.layers["unspliced"] = adata.X
        scvcell.tl.fit(adata, train=quick)
        assert "obsm['protein_expression'], which are not fitted" in caplog.text
        assert "X_pca" not in caplog.text
        assert "scvcell.pp.modality_from_layers" in caplog.text

    @pytest.mark.parametrize(
        ("key", "values", "operator"),
        [
            ("X_scgpt", [[0.5, -1.0]], "profile"),
            ("protein_expression", [[3, 0]], "protein"),
            ("protein_expression", [[3.5, 0]], "profile"),
            ("Antibody Capture", [[3, 0]], "protein"),
            ("X_image", [[3, 0]], "profile"),
            ("things", [[3, 0]], None),
        ],
    )
    def test_obsm_is_marked_by_name_and_values(self, key, values, operator):
        adata = ad.AnnData(np.ones((1, 2), np.float32), obsm={key: np.array(values)})
        marked = scvcell.pp.modality_from_obsm(adata, key).uns.get("csl_measure")
        assert marked == (operator and {"operator": operator})


class TestNames:
    @pytest.mark.parametrize("name", WRITTEN)
    def test_as_10x_and_others_write_them(self, mosaic, name):
        operator = read_schema(view(MuData({name: mosaic()["adt"]}))).modalities[name].operator
        kind = name.lower().replace("-", " ")
        atac = "atac" in kind or "peaks" in kind or "chromatin" in kind
        protein = any(part in kind for part in ("antibody", "adt", "prot", "cite"))
        assert operator == ("atac" if atac else "protein" if protein else "counts")

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("grna", r"holds guides: annotation.*PerturbationKeys.*del mdata.mod\['grna'\]"),
            ("CRISPR Guide Capture", "holds guides"),
            ("Multiplexing Capture", "holds sample tags.*batch_key="),
            ("hto", "holds sample tags"),
        ],
    )
    def test_annotation_is_no_assay(self, mosaic, name, message):
        mdata = MuData({"rna": mosaic()["rna"], name: mosaic()["adt"]})
        with pytest.raises(ValueError, match=message):
            read_schema(view(mdata))
        assert read_schema(view(mdata), measure={name: "protein"}).modalities[name].operator == "protein"

    @pytest.mark.parametrize(
        ("name", "change", "operator"),
        [
            ("surface adt", lambda a: a, "protein"),
            ("thing", lambda a: a, "protein"),
            ("rnaa", lambda a: a, "counts"),
            ("thing", lambda a: ad.AnnData(np.random.default_rng(0).poisson(1.0, (9, 2000))), "counts"),
            ("thing", lambda a: ad.AnnData(a.X.toarray() - 1.5), "profile"),
            ("adt norm", lambda a: ad.AnnData(a.X.toarray() - 1.5), "profile"),
            ("thing", lambda a: ad.AnnData(a.X.toarray() / 3), "..."),
        ],
    )
    def test_what_is_to_be_pasted_is_right_or_left_open(self, mosaic, name, change, operator):
        with pytest.raises(ValueError, match="not recognised") as caught:
            read_schema(view(MuData({name: change(mosaic()["adt"])})))
        assert f"measure={{{name!r}: {operator!r}}}" in str(caught.value)
        for choice in scvcell.measure.MEASUREMENTS:
            assert f"{choice!r}: " in str(caught.value)


class TestArguments:
    def test_one_layer_for_all_that_have_it(self, mosaic):
        mdata = mosaic()
        mdata["rna"].layers["counts"] = mdata["rna"].X.copy()
        mdata["rna"].X = mdata["rna"].X.log1p()
        schema = read_schema(view(mdata), layers="counts")
        assert {m: s.layer for m, s in schema.modalities.items()} == {"rna": "counts", "adt": None}
        assert read_schema(view(mdata["rna"]), layers="counts") == read_schema(
            view(mdata["rna"]), layers={"rna": "counts"}
        )
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


def test_load_query_data_is_as_silent_as_the_fit(mosaic, quick, monkeypatch):
    whole = mosaic(n_batches=3)
    known = whole[whole.obs["batch"] != "b2"].copy()
    model = scvcell.tl.fit(known, batch_key="batch", train=quick)
    seen = []
    monkeypatch.setattr("scvcell.model._query.run", lambda *args: seen.append(args[4]) or Run({}, False, False))
    model.load_query_data(whole)
    assert (seen[0].progress, seen[0].accelerator) == (False, "cpu")


@pytest.mark.parametrize(
    ("shape", "message"),
    [((3, 60), "3 cells: too few"), ((90, 1), "'rna' has 1 feature"), ((90, 60), "")],
)
def test_hardly_any_data_are_told(mosaic, caplog, shape, message):
    with caplog.at_level(logging.WARNING, logger="scvcell"):
        read_schema(view(mosaic()["rna"][: shape[0], : shape[1]].copy()))
    assert (message in caplog.text) if message else not caplog.text
