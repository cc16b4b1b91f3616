"""States of cells, whatever mini-batches and names they are asked by; parts, and what is not there."""

import numpy as np
import pytest
import torch

import scvcell


def test_posterior_does_not_depend_on_the_mini_batches(small):
    seen = small.model.view()
    whole = small.model.posterior(seen)
    parts = [small.model.module.posterior(b) for b in small.model.batches(small.model.source(seen), batch_size=7)]
    with torch.no_grad():
        torch.testing.assert_close(torch.cat([p.mean for p in parts]), whole.mean, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(torch.cat([p.var for p in parts]), whole.var, rtol=1e-4, atol=1e-4)


def test_posterior_is_deterministic_and_leaves_no_gradient(small):
    one, other = small.model.posterior(), small.model.posterior()
    assert torch.equal(one.mean, other.mean)
    assert not one.mean.requires_grad
    assert not small.model.module.training


@pytest.mark.parametrize("name", ["rna", ["rna"], ("rna",)])
def test_modalities_of_a_representation(small, name):
    latent = small.model.get_latent_representation(modalities=name)
    expected = small.model.posterior(modalities=["rna"]).mean.numpy()
    np.testing.assert_array_equal(latent, expected)


def test_states_of_cells_without_an_assay_are_the_prior(small):
    posterior = small.model.posterior(modalities=["adt"])
    lacking = small.mdata.obsmap["adt"].ravel() == 0
    assert (posterior.mean[lacking] == 0).all()
    assert (posterior.var[lacking] == 1).all()
    assert (posterior.var[~lacking] < 1).all()


def test_what_a_model_does_not_have_is_named(small):
    model = small.model
    assert (model.assays, model.columns) == (["rna", "adt"], ["batch"])
    assert model.only_modality("adt") == "adt"
    with pytest.raises(ValueError, match=r"The model has \['rna', 'adt'\]; say which"):
        model.only_modality()
    with pytest.raises(ValueError, match="no modality 'atac'; it has"):
        model.check_modalities(["atac"])
    with pytest.raises(AttributeError, match="nothing"):
        _ = model.nothing
    assert model.drift is None, "a part that was not learned"


def test_nodes_of_a_graph_are_the_features_that_can_be_linked(small):
    assert small.model.nodes == {"rna": 60, "adt": 6}
    assert small.model.linkable["adt"] == small.mdata["adt"].var_names.tolist()


def test_a_model_that_was_set_up_is_not_trained(mosaic):
    mdata = mosaic(30)
    scvcell.CSL.setup_mudata(mdata)
    model = scvcell.CSL(mdata, n_latent=3)
    assert (model.n_latent, model.parts, model.module) == (3, {}, None)
    with pytest.raises(scvcell.errors.NotTrained, match=r"Run `model.train\(\)`"):
        _ = model.network
