"""What a modality is by its name, and what is proposed where the name says nothing."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from mudata import MuData

import scvcell
from scvcell._containers._read import view
from scvcell.model._recognise import annotation, whole
from scvcell.model._set_up import read_schema

WRITTEN = (
    *("Gene Expression", "gene_expression", "GEX", "gex", "RNA", "mrna", "Antibody Capture", "antibody-capture"),
    *("ADT", "prot", "CITE-seq", "Peaks", "ATAC", "atac_seq", "Chromatin Accessibility", "scATAC"),
)


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


def test_other_types_of_features_are_no_kinds(mosaic):
    adata = mosaic()["rna"]
    adata.var["feature_types"] = ["protein_coding", "lncRNA"] * 30
    assert list(read_schema(view(adata)).modalities) == ["rna"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[1.0, 0]]), True),
        (sp.csr_matrix([[3, 0]]), True),
        (pd.DataFrame([[2, 0]]), True),
        (np.zeros((1, 2)), False),
        (np.array([[-1, 2]]), False),
        (np.array([[0.5, 2]]), False),
        (sp.csr_matrix((0, 2)), False),
    ],
)
def test_whole_numbers_are_counts_unless_they_are_zeros_alone(values, expected):
    assert whole(values) is expected


def test_annotation_by_any_spelling():
    assert [annotation(name) for name in ("sgRNA", "CRISPR Guide Capture", "cell-hashing", "HTO", "rna", "")] == [
        *(["guides"] * 2),
        *(["sample tags"] * 2),
        *("", ""),
    ]
