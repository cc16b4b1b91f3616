"""A mistake in an argument gets an answer that says what to give instead, before any work starts."""

import numpy as np
import pytest
from anndata import AnnData
from mudata import MuData

import scvcell

FIT = scvcell.tl.fit


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"train": {"max_epochs": 3}},
            TypeError,
            r"train must be a TrainConfig, not dict.*max_epochs=20",
        ),
        ({"weights": {"align": 0}}, TypeError, r"weights must be a Weights, not dict.*Weights\(align=0.5\)"),
        ({"batch_key": "Batch"}, KeyError, "No obs column 'Batch'. Did you mean 'batch'?"),
        ({"covariates": "donor"}, KeyError, "No obs column 'donor'"),
        ({"measure": {"adt": "protien"}}, ValueError, "Did you mean 'protein'?"),
        (
            {"measure": {"adt": ("protein", {"backgrounds": [1]})}},
            ValueError,
            r"measure\['adt'\]: 'protein' has no option 'backgrounds'. Did you mean 'background'\? Options: ",
        ),
        ({"seed": "a"}, TypeError, "seed must be a whole number, not 'a'"),
        ({"max_epochs": "10"}, TypeError, "max_epochs must be a whole number, not '10'"),
        ({"split": MuData({"rna": AnnData(np.ones((2, 2)))})}, TypeError, "split= takes a query .*, not MuData"),
        ({"split": np.arange(3)}, TypeError, "split= holds numbers"),
        ({"key_added": "a/b"}, ValueError, "without '/'"),
    ],
)
def test_fit(mosaic, arguments, error, message):
    mdata = mosaic(40)
    before = list(mdata.obs), list(mdata.obsm), list(mdata.uns)
    with pytest.raises(error, match=message):
        FIT(mdata, **arguments)
    assert (list(mdata.obs), list(mdata.obsm), list(mdata.uns)) == before


def test_one_covariate_needs_no_list(mosaic, quick):
    assert FIT(mosaic(60), covariates="batch", train=quick).schema.n_context > 1


def test_a_path_that_is_no_file():
    with pytest.raises(FileNotFoundError, match=r"There is no file 'cells\.h5mu'"):
        FIT("cells.h5mu")


@pytest.mark.parametrize(
    "verb",
    [
        lambda m, d: scvcell.tl.embed(m, d),
        lambda m, d: scvcell.tl.translate(m, d, to="adt"),
        lambda m, d: scvcell.tl.transfer_labels(m, d, key="celltype"),
        lambda m, d: scvcell.tl.modality_information(m, d),
        lambda m, d: scvcell.tl.alignment_report(m, d),
    ],
)
def test_swapped_data_and_model(small, verb):
    with pytest.raises(TypeError, match=r"model must be a CSL, not MuData\. The data come first"):
        verb(small.model, small.mdata)


def test_a_batch_is_no_reference(small):
    with pytest.raises(ValueError, match=r"reference='b0': no obs column 'b0'. Did you mean \"batch == 'b0'\"\?"):
        scvcell.tl.transfer_labels(small.mdata, small.model, key="celltype", reference="b0")


@pytest.mark.parametrize(
    "verb",
    [
        lambda d, m: scvcell.tl.alignment_report(d, m, pairs=d),
        lambda d, m: scvcell.tl.alignment_report(d, m, pairs=(d["rna"], d["adt"])),
        lambda d, m: m.get_normalized_expression(d, indices=d),
        lambda d, m: m.train(held_out=d),
        lambda d, m: scvcell.pl.history(d),
    ],
)
def test_data_where_cells_are_asked_for(small, verb):
    """At once: an array of a container is never made."""
    with pytest.raises(TypeError, match=r"not (MuData|AnnData)"):
        verb(small.mdata, small.model)


def test_differential_expression_as_in_scvi_tools(small):
    adata = small.mdata["rna"].copy()
    named = small.model.differential_expression(
        adata, modality="rna", groupby="celltype", group1="alpha", group2="beta"
    )
    placed = small.model.differential_expression(adata, "celltype", "alpha", "beta", modality="rna")
    assert list(placed.columns) == list(named.columns)
    assert set(placed["comparison"]) == set(named["comparison"])
    with pytest.raises(ValueError, match=r"has \['rna', 'adt'\]; say which: modality="):
        small.model.differential_expression(adata, "celltype")
