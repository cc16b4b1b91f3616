"""An operator of real values (``count_data = False``): negative ones are as good as others."""

from dataclasses import replace

import numpy as np
import pytest
from anndata import AnnData
from mudata import MuData
from torch.distributions import Normal

import scvcell
from scvcell.measure import MEASUREMENTS, Decoder, Measurement


class Real(Measurement):
    """x ~ N(f(z, c), 1)."""

    count_data = False
    equation = "x ~ N(f(z, c), 1)"

    def __init__(self, n_latent, summary):
        super().__init__(n_latent, summary)
        self.decoder = Decoder(n_latent, summary.n_context, summary.n_features)

    def forward(self, z, ctx):
        return Normal(self.decoder(z, ctx.design), 1.0, validate_args=False)


@pytest.fixture
def data(mosaic, monkeypatch):
    monkeypatch.setitem(MEASUREMENTS._items, "real", Real)
    rna = mosaic(300)["rna"]
    kind = rna.obs["celltype"].cat.codes.to_numpy()
    values = np.array([[-5.0, 3.0, -1.0], [-5.0, -3.0, 2.0], [5.0, 0.0, -1.0]])[kind]
    profile = AnnData(
        (values + np.random.default_rng(0).normal(size=values.shape)).astype(np.float32), obs=rna.obs[[]].copy()
    )
    return MuData({"rna": rna, "morphology": profile[:150].copy()}), profile


def test_negative_values_are_fitted_and_translated_with_intervals_that_cover(data, quick):
    mdata, truth = data
    model = scvcell.tl.fit(
        mdata, measure={"morphology": "real"}, train=replace(quick, max_epochs=60, batch_size=64, validation=0.3)
    )
    out = scvcell.tl.translate(mdata, model, to="morphology", source=["rna"])[truth.obs_names[150:]]
    expected = truth[150:].X
    assert np.corrcoef(out.X.ravel(), expected.ravel())[0, 1] > 0.8
    assert (out.X < -1).any()
    inside = (expected >= out.layers["lower"]) & (expected <= out.layers["upper"])
    assert inside.mean() > 0.8
