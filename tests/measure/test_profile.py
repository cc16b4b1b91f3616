"""Profiles: likelihoods against scipy, negative values, scales of features, embeddings from obsm."""

from dataclasses import replace

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest
import scipy.stats as st
import torch

import scvcell
from scvcell.measure import Context, Profile
from scvcell.testing import example_summary


@pytest.mark.parametrize("likelihood", ["gaussian", "student"])
def test_log_prob_is_scipys(likelihood):
    torch.manual_seed(0)
    operator = Profile(3, example_summary(), likelihood=likelihood)
    x, z, batch = 3 * torch.randn(5, 8), torch.randn(5, 3), torch.arange(5) % 2
    ctx = Context(torch.eye(2)[batch], batch)
    location = (operator.centre + operator.spread * operator.decoder(z, ctx.design)).detach().numpy()
    scale = (operator.spread * (np.log(2) + 1e-2)).numpy()
    law = st.norm(location, scale) if likelihood == "gaussian" else st.t(4, location, scale)
    np.testing.assert_allclose(operator.log_prob(x, z, ctx).detach(), law.logpdf(x.numpy()).sum(1), rtol=1e-4)
    with pytest.raises(ValueError, match="'gaussian' or 'student'"):
        Profile(3, example_summary(), likelihood="t")


@pytest.fixture(scope="module")
def imaged(quick):
    """RNA and image features of wildly different scales, two thirds of the cells each, one feature constant."""
    rng = np.random.default_rng(0)
    n = 240
    kind = rng.integers(2, size=n)
    rna = rng.poisson(np.where((np.arange(30) % 2)[None] == kind[:, None], 5.0, 1.0)).astype(np.float32)
    image = (rng.normal(size=(n, 8)) + 3 * (kind[:, None] - 0.5)) * 10.0 ** np.arange(-3, 5) - 5
    image[:, 5] = 7.0
    obs = pd.DataFrame({"kind": kind.astype(str)}, index=[f"c{i}" for i in range(n)])
    mdata = md.MuData(
        {
            "rna": ad.AnnData(rna[:160], obs[:160]),
            "image": ad.AnnData(
                image[80:].astype(np.float32), obs[80:], pd.DataFrame(index=[f"f{i}" for i in range(8)])
            ),
        }
    )
    mdata.obs["kind"] = obs["kind"].loc[mdata.obs_names]
    model = scvcell.tl.fit(mdata, train=replace(quick, max_epochs=40))
    return mdata, model, image


def test_features_of_any_scale_are_translated(imaged):
    mdata, model, image = imaged
    out = scvcell.tl.translate(mdata, model, to="image")
    rna_only = mdata.obs_names.get_indexer([f"c{i}" for i in range(80)])
    predicted = out.X[rna_only]
    for feature in (0, 2, 7):
        assert np.corrcoef(predicted[:, feature], image[:80, feature])[0, 1] > 0.7
    assert np.allclose(predicted[:, 5], 7, atol=0.1)
    assert (predicted[:, 0] < -4).all()
    table = model.differential_expression(mdata, modality="image", groupby="kind", group1="1", group2="0")
    assert table.loc["f3", "lfc_mean"] == pytest.approx(3.0, abs=1.0)


def test_missing_values_are_refused(imaged, quick):
    mdata, _, _ = imaged
    spoilt = mdata.copy()
    spoilt["image"].X[3, 2] = np.nan
    with pytest.raises(ValueError, match="'image' contains NaN"):
        scvcell.tl.fit(spoilt, train=quick)


class TestModalityFromObsm:
    def cells(self):
        adata = ad.AnnData(np.ones((5, 2), np.float32), pd.DataFrame({"kind": list("abcde")}, index=list("vwxyz")))
        adata.obsm["X_scgpt"] = np.arange(15.0).reshape(5, 3)
        return adata

    def test_rows_that_are_missing_lack_the_modality(self):
        adata = self.cells()
        adata.obsm["X_scgpt"][1] = np.nan
        out = scvcell.pp.modality_from_obsm(adata, "X_scgpt")
        assert list(out.obs_names) == ["v", "x", "y", "z"]
        assert list(out.var_names) == ["scgpt_0", "scgpt_1", "scgpt_2"]
        np.testing.assert_array_equal(out.X, adata.obsm["X_scgpt"][[0, 2, 3, 4]])
        assert list(out.obs["kind"]) == list("acde")

    def test_frames_keep_their_names(self):
        adata = self.cells()
        adata.obsm["text"] = pd.DataFrame({"a": 1.0, "b": 2.0}, index=adata.obs_names)
        assert list(scvcell.pp.modality_from_obsm(adata, "text").var_names) == ["a", "b"]

    def test_bad_embeddings_are_refused(self):
        adata = self.cells()
        with pytest.raises(KeyError, match="Did you mean 'X_scgpt'"):
            scvcell.pp.modality_from_obsm(adata, "X_scGPT")
        adata.obsm["X_scgpt"][2, 1] = np.nan
        with pytest.raises(ValueError, match=r"in 1 rows, e.g. 'x'"):
            scvcell.pp.modality_from_obsm(adata, "X_scgpt")
        adata.obsm["X_scgpt"][:] = np.nan
        with pytest.raises(ValueError, match="missing for every cell"):
            scvcell.pp.modality_from_obsm(adata, "X_scgpt")
