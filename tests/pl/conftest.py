import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

mpl.use("Agg")

from scvcell.datasets import simulate


@pytest.fixture(autouse=True)
def close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture
def mdata():
    """A simulated mosaic with a latent."""
    mdata = simulate(150, n_genes=20, n_proteins=5, n_types=3, keep_truth=False)
    mdata.obsm["X_csl"] = mdata.obsm["z"]
    return mdata


@pytest.fixture
def translated():
    """Make a prediction with known errors and its truth: 90 % intervals that cover what `coverage` says."""

    def make(n_features=6, n_cells=100, coverage=None):
        rng = np.random.default_rng(0)
        names = pd.Index([f"p{i:02d}" for i in range(n_features)])
        cells = pd.Index([f"c{i}" for i in range(n_cells)])
        truth = AnnData(
            rng.poisson(20, (n_cells, n_features)).astype(float),
            obs=pd.DataFrame(index=cells),
            var=pd.DataFrame(index=names),
        )
        pred = AnnData(
            truth.X + rng.normal(0, np.linspace(0.5, 8, n_features), truth.shape).clip(-0.9 * truth.X),
            obs=pd.DataFrame(index=cells),
            var=pd.DataFrame({"trusted": np.arange(n_features) % 2 == 0}, index=names),
        )
        share = np.full(n_features, 0.9) if coverage is None else np.asarray(coverage)
        miss = np.arange(n_cells)[:, None] >= np.round(share * n_cells)
        pred.layers["lower"] = np.where(miss, truth.X + 1, truth.X - 1)
        pred.layers["upper"] = truth.X + 3
        pred.uns["csl_translate"] = {"level": 0.9}
        return pred, truth

    return make


@pytest.fixture
def frame():
    """Effects of an action on 60 genes in one group; every other interval is infinite."""
    rng = np.random.default_rng(0)
    value = rng.normal(size=60)
    half = np.where(np.arange(60) % 2, 0.5, np.inf)
    out = pd.DataFrame({"group": "B cells", "modality": "rna", "feature": [f"g{i}" for i in range(60)], "lfc": value})
    return out.assign(lower=value - half, upper=value + half, support=0.6, level=0.9)
