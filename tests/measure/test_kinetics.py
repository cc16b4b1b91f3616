"""Kinetics: both likelihoods against plain distributions, a simulated induction, layers in and refused."""

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from scvi.distributions import NegativeBinomial

import scvcell
from scvcell.measure import Context, Kinetics
from scvcell.testing import example_summary

GENES = 4


@pytest.mark.parametrize("time", [None, 2.0])
@pytest.mark.parametrize("masked", [False, True])
def test_log_prob_is_two_negative_binomials(time, masked):
    torch.manual_seed(0)
    operator = Kinetics(3, example_summary(2 * GENES), time=time)
    x, z, batch = torch.poisson(torch.full((5, 2 * GENES), 3.0)), torch.randn(5, 3), torch.arange(5) % 2
    mask = torch.ones(5, 2 * GENES, dtype=torch.bool)
    if masked:
        mask[:, [1, GENES + 1]] = False
    ctx = Context(torch.eye(2)[batch], batch, x.sum(1))
    share, ratio = operator.rates(z, ctx)
    keep = mask[:, :GENES]
    seen = x * mask
    mature, nascent = seen[:, :GENES].sum(1, keepdim=True), seen[:, GENES:].sum(1, keepdim=True)

    def over(logits):
        return torch.softmax(logits.masked_fill(~keep, -torch.inf), 1)

    if time is None:
        rates = [mature * over(share), nascent * over(share + ratio)]
    else:
        new = 1 - torch.exp(-ratio.exp() * time)
        rates = [(mature + nascent) * over(share) * part for part in (1 - new, new)]
    mu = torch.cat(rates, 1)
    law = NegativeBinomial(mu=mu.clamp_min(1e-8), theta=operator.log_theta.exp(), validate_args=False)
    expected = (law.log_prob(seen) * mask).sum(1)
    found = operator.log_prob(x, z, ctx, mask if masked else None)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_what_cannot_be_constructed_is_refused():
    with pytest.raises(ValueError, match="odd number"):
        Kinetics(3, example_summary(7))
    with pytest.raises(ValueError, match="time must be above 0"):
        Kinetics(3, example_summary(8), time=0)


@pytest.fixture(scope="module")
def induced(quick):
    """Two states; in the second one, genes of the first half are being induced: more nascent at equal mature counts."""
    from dataclasses import replace

    rng = np.random.default_rng(0)
    n, genes = 300, 20
    kind = rng.integers(2, size=n)
    mature = np.full((n, genes), 5.0) * np.where((np.arange(genes) % 3 == 0)[None] == kind[:, None], 2.0, 1.0)
    fold = np.where((np.arange(genes) < genes // 2)[None] & (kind == 1)[:, None], 4.0, 1.0)
    adata = ad.AnnData(
        sp.csr_matrix(rng.poisson(mature)).astype(np.float32),
        pd.DataFrame({"kind": kind.astype(str)}, index=[f"c{i}" for i in range(n)]),
        pd.DataFrame(index=[f"g{i}" for i in range(genes)]),
    )
    adata.layers["spliced"] = adata.X
    adata.layers["unspliced"] = sp.csr_matrix(rng.poisson(0.4 * mature * fold)).astype(np.float32)
    mdata = md.MuData({"kinetics": scvcell.pp.modality_from_layers(adata)})
    model = scvcell.tl.fit(mdata, train=replace(quick, max_epochs=40))
    return adata, mdata, model, kind


def test_the_ratio_tells_which_genes_are_induced(induced):
    _, mdata, model, kind = induced
    z = model.posterior(mdata).mean
    with torch.no_grad():
        _, ratio = model.module.operators["kinetics"].rates(
            z, Context(torch.ones(len(z), 1), torch.zeros(len(z)).long())
        )
    change = (ratio[kind == 1].mean(0) - ratio[kind == 0].mean(0)).numpy()
    change -= np.median(change[10:])
    assert (change[:10] > 0.7).all()
    assert np.abs(change[10:]).max() < 0.6


def test_a_modality_says_what_measures_it(induced):
    adata, mdata, model, _ = induced
    assert model.schema.modalities["kinetics"].operator == "kinetics"
    assert list(mdata["kinetics"].var_names[[0, 20]]) == ["g0:spliced", "g0:unspliced"]
    np.testing.assert_array_equal(mdata["kinetics"].X.toarray()[:, 20:], adata.layers["unspliced"].toarray())
    new = scvcell.pp.modality_from_layers(adata, "spliced", "unspliced", time=1.5)
    assert new.uns["csl_measure"] == {"operator": "kinetics", "options": {"time": 1.5}}


def test_layers_that_are_not_there(induced):
    adata = induced[0]
    with pytest.raises(KeyError, match="Did you mean 'unspliced'"):
        scvcell.pp.modality_from_layers(adata, "spliced", "unspiced")
    with pytest.raises(ValueError, match="they are two layers"):
        scvcell.pp.modality_from_layers(adata, "spliced", "spliced")
    with pytest.raises(ValueError, match="labelling time above 0"):
        scvcell.pp.modality_from_layers(adata, time=-1.0)


def test_genes_that_lost_their_partner_are_refused(induced):
    mdata = induced[1]
    broken = md.MuData({"kinetics": mdata["kinetics"][:, 1:].copy()})
    with pytest.raises(ValueError, match=r"'kinetics'.*modality_from_layers"):
        scvcell.tl.fit(broken)
    with pytest.raises(ValueError, match="GENE:mature"):
        scvcell.tl.fit(md.MuData({"rna": induced[0]}), measure={"rna": "kinetics"})
