"""A mistake in an argument gets an answer that says what to give instead, before any work starts."""

import pytest

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


def test_a_path_is_no_data():
    with pytest.raises(TypeError, match=r"got str. Read it first: mudata.read_h5mu\('cells.h5mu'\)"):
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
