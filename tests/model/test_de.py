"""Differential expression of every modality: known differences are found, and only those."""

import numpy as np
import pandas as pd
import pytest

import scvcell


def markers(kind, width):
    return {i for i in range(width) if i % 3 == kind}


@pytest.fixture(scope="module")
def fitted(mosaic, quick):
    from dataclasses import replace
    from types import SimpleNamespace

    mdata = mosaic(450)
    model = scvcell.tl.fit(mdata, batch_key="batch", train=replace(quick, max_epochs=25, batch_size=64))
    return SimpleNamespace(mdata=mdata, model=model)


@pytest.mark.parametrize(("modality", "width", "stem", "fold"), [("rna", 60, "gene", 2), ("adt", 6, "protein", 3)])
def test_known_markers_come_first(fitted, modality, width, stem, fold):
    """Type alpha has fourfold genes 0, 3, 6, ... and eightfold proteins 0, 3; also cells without the assay are used."""
    table = fitted.model.differential_expression(modality=modality, groupby="celltype", group1="alpha")
    assert sorted(table.index) == [f"{stem}{i:03d}" for i in range(width)]
    own = table.index.str[-3:].astype(int) % 3 == 0
    assert table["lfc_mean"][own].min() > table["lfc_mean"][~own].max()
    assert table["lfc_mean"][own].median() > 0.6 * fold
    assert (table["proba_de"][own] > 0.8).all()
    assert table["is_de_fdr_0.05"][own].mean() > 0.8
    assert table["proba_de"].between(0, 1).all()


def test_sign_follows_the_groups(fitted):
    one, other = (
        fitted.model.differential_expression(modality="rna", groupby="celltype", group1=a, group2=b)
        for a, b in (("alpha", "beta"), ("beta", "alpha"))
    )
    assert np.corrcoef(one["lfc_mean"].sort_index(), other["lfc_mean"].sort_index())[0, 1] < -0.95


def test_every_group_against_the_rest_by_default(fitted):
    table = fitted.model.differential_expression(modality="adt", groupby="celltype")
    assert set(table["group1"]) == {"alpha", "beta", "gamma"}
    assert len(table) == 3 * 6


def test_batches_do_not_differ(fitted):
    """Batch shifts of genes are the context's, not the state's."""
    table = fitted.model.differential_expression(modality="rna", groupby="batch", group1="b0")
    assert table["lfc_mean"].abs().max() < 1
    assert table["is_de_fdr_0.05"].mean() < 0.2


def test_anndata_subset_and_labels_in_the_modalities(fitted):
    adata = fitted.mdata["rna"][::2].copy()
    table = fitted.model.differential_expression(adata, modality="rna", groupby="celltype", group1="alpha")
    own = table.index.str[-3:].astype(int) % 3 == 0
    assert table["lfc_mean"][own].min() > table["lfc_mean"][~own].max()


def test_missing_labels_are_a_group_of_their_own(fitted):
    mdata = fitted.mdata.copy()
    mdata.obs["partly"] = mdata.obs["celltype"].astype(object).where(np.arange(mdata.n_obs) % 2 == 0)
    table = fitted.model.differential_expression(mdata, modality="adt", groupby="partly", group1="alpha", group2="beta")
    assert len(table) == 6


def test_data_do_not_change(fitted, fingerprint):
    before = fingerprint(fitted.mdata)
    fitted.model.differential_expression(modality="adt", groupby="celltype", group1="alpha")
    assert fingerprint(fitted.mdata) == before


def test_a_larger_delta_finds_less(fitted):
    few, many = (
        fitted.model.differential_expression(modality="rna", groupby="celltype", group1="alpha", delta=d)[
            "proba_de"
        ].sum()
        for d in (3.0, 0.1)
    )
    assert few < many


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"modality": "atac", "groupby": "celltype"}, ValueError, "no modality 'atac'"),
        ({"modality": "rna"}, ValueError, "Give groupby="),
        ({"modality": "rna", "groupby": "kind"}, KeyError, "No obs column 'kind'"),
        (
            {"modality": "rna", "groupby": "celltype", "group1": "delta"},
            ValueError,
            r"no group 'delta'.* It has \['alpha'",
        ),
        ({"modality": "rna", "groupby": "celltype", "group1": "alpha", "group2": "x"}, ValueError, "no group 'x'"),
        ({"modality": "rna", "groupby": "celltype", "group1": ["alpha", "x"]}, ValueError, "no group 'x'"),
    ],
)
def test_mistakes(fitted, options, error, message):
    with pytest.raises(error, match=message):
        fitted.model.differential_expression(**options)


def test_repeats_with_the_same_torch_seed(fitted):
    import torch

    tables = []
    for _ in range(2):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002  scvi-tools' core draws from the global state
        tables.append(fitted.model.differential_expression(modality="adt", groupby="celltype", group1="alpha"))
    pd.testing.assert_frame_equal(*tables)
