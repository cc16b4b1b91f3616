"""tl.modality_information against the divergence of the posteriors, and its NaN rule."""

import numpy as np
import torch
from mudata import MuData
from torch.distributions import Independent, Normal, kl_divergence

import scvcell


def normal(q):
    return Independent(Normal(q.mean.double(), q.var.double().sqrt()), 1)


def test_bits_are_the_divergence_without_the_modality(small):
    mdata = small.mdata.copy()
    assert scvcell.tl.modality_information(mdata, small.model) is None
    joint = small.model.posterior(mdata)
    for name, other in (("rna", "adt"), ("adt", "rna")):
        has = small.model.view(mdata).present(name)
        without = small.model.posterior(mdata, modalities=[other])
        expected = kl_divergence(normal(joint), normal(without)).numpy() / np.log(2)
        bits = mdata.obs[f"csl_bits_{name}"].to_numpy()
        np.testing.assert_allclose(bits[has], expected[has], rtol=1e-3, atol=1e-3)
        assert np.isnan(bits[~has]).all()
        assert (bits[has] > 0).all()


def test_a_single_modality_is_measured_against_the_prior(small):
    adata = small.mdata["rna"].copy()
    scvcell.tl.modality_information(adata, small.model)
    q = small.model.posterior(adata)
    prior = Independent(Normal(torch.zeros_like(q.mean).double(), 1.0), 1)
    np.testing.assert_allclose(adata.obs["csl_bits_rna"], kl_divergence(normal(q), prior) / np.log(2), rtol=1e-4)
    assert "csl_bits_adt" not in adata.obs


def test_a_second_assay_adds_less_than_it_says_alone(small):
    mdata = small.mdata.copy()
    scvcell.tl.modality_information(mdata, small.model)
    alone = MuData({"adt": mdata["adt"].copy()})
    scvcell.tl.modality_information(alone, small.model)
    paired = small.model.view(mdata).present("rna") & small.model.view(mdata).present("adt")
    beside = mdata.obs["csl_bits_adt"][paired]
    assert beside.mean() < alone.obs["csl_bits_adt"].loc[beside.index].mean()


def test_subset_in_another_order(small):
    mdata = small.mdata.copy()
    scvcell.tl.modality_information(mdata, small.model)
    part = small.mdata[small.mdata.obs_names[::-3]].copy()
    scvcell.tl.modality_information(part, small.model)
    for key in ("csl_bits_rna", "csl_bits_adt"):
        np.testing.assert_allclose(part.obs[key], mdata.obs[key].loc[part.obs_names], rtol=1e-3, atol=1e-3)
