"""Background priors from droplets and isotypes, against the moments of log counts."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import scvcell

NAMES = ["CD3", "CD4", "IgG1", "IgG2"]


def table(mean, n=300, seed=0, fmt=sp.csr_matrix, names=NAMES):
    x = np.random.default_rng(seed).poisson(mean, (n, len(names))).astype(np.float32)
    return AnnData(fmt(x), var=pd.DataFrame(index=names))


@pytest.mark.parametrize("fmt", [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.csr_array])
def test_droplets_give_location_and_spread_of_each_protein(fmt, fingerprint):
    cells, droplets = table(50.0), table([3.0, 9.0, 0.0, 2.0], seed=1, fmt=fmt)
    before = fingerprint(droplets), fingerprint(cells)
    prior = scvcell.pp.background_prior(cells, empty_droplets=droplets)
    log = np.log1p(droplets.to_df().to_numpy())
    np.testing.assert_allclose(prior["background"], log.mean(0), rtol=1e-5)
    np.testing.assert_allclose(prior["background_sd"], np.maximum(log.std(0), 0.3), rtol=1e-5)
    assert before == (fingerprint(droplets), fingerprint(cells))


def test_droplets_are_brought_into_the_order_of_the_cells():
    droplets = table([3.0, 9.0, 1.0, 2.0], seed=1)
    shuffled = droplets[:, ["IgG2", "CD4", "CD3", "IgG1"]].copy()
    given, same = (scvcell.pp.background_prior(table(50.0), empty_droplets=d) for d in (droplets, shuffled))
    np.testing.assert_allclose(given["background"], same["background"])


def test_isotypes_give_one_location_for_all():
    cells = table([50.0, 80.0, 2.0, 4.0])
    prior = scvcell.pp.background_prior(cells, isotypes=["IgG2", "IgG1"])
    log = np.log1p(cells.to_df()[["IgG1", "IgG2"]].to_numpy())
    assert prior["background"] == pytest.approx([log.mean()] * 4, rel=1e-5)
    assert prior["background_sd"] == pytest.approx([max(log.std(), 0.5)] * 4, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Give empty_droplets= or isotypes="),
        ({"isotypes": []}, "Give empty_droplets= or isotypes="),
        ({"isotypes": ["IgG9"]}, "No protein is called 'IgG9'"),
        ({"empty_droplets": table(3.0, names=["CD3", "CD8"])}, r"lack 3 proteins of the cells, e.g. \['CD4'"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(ValueError, match=message):
        scvcell.pp.background_prior(table(50.0), **options)


@pytest.mark.parametrize("kind", ["droplets", "isotypes"])
def test_prior_reaches_the_fitted_operator_and_survives_saving(mosaic, quick, tmp_path, kind):
    mdata = mosaic(90)
    names = mdata["adt"].var_names.tolist()
    if kind == "droplets":
        options = scvcell.pp.background_prior(mdata["adt"], empty_droplets=table(3.0, names=names))
    else:
        options = scvcell.pp.background_prior(mdata["adt"], isotypes=names[-2:])
    model = scvcell.tl.fit(mdata, measure={"adt": ("protein", options)}, train=quick)
    for m in (model, scvcell.CSL.load(model.save(tmp_path / "model"))):
        np.testing.assert_allclose(m.module.operators["adt"].prior_location[0], options["background"], rtol=1e-5)
        np.testing.assert_allclose(m.module.operators["adt"].prior_sd, options["background_sd"], rtol=1e-5)
