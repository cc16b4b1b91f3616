"""Light data of eight donors without any leak, and splits of them."""

from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from scvcell import PerturbationKeys, risk

BASES = np.array(list("ACGT"))


def make_donors(seed=0, n=300, genes=100):
    """Cells of eight donors in three types; batch, sex and depth are crossed with them; every barcode is new."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=n)
    fold = np.where(np.equal.outer(np.arange(3), np.arange(genes) % 3), 4.0, 1.0)
    donor = rng.integers(8, size=n)
    level = np.exp(rng.normal(0, 0.2, (8, genes)))
    rate = rng.gamma(2.0, 0.6, genes) * fold[kind] * level[donor] * rng.gamma(8, 1 / 8, (n, 1))
    drug = rng.choice(["no", "A", "B", "C", "A+B"], n)
    obs = pd.DataFrame(
        {
            "donor": [f"d{i}" for i in donor],
            "batch": [f"b{i}" for i in rng.integers(3, size=n)],
            "sex": np.array(["f", "m"])[donor % 2],
            "age": 30.0 + 5 * donor,
            "cell_type": [f"k{i}" for i in kind],
            "drug": drug,
            "dose": np.where(drug == "no", 0.0, rng.choice([0.1, 1.0, 10.0], n)),
        },
        index=["".join(letters) + "-1" for letters in BASES[rng.integers(4, size=(n, 16))]],
    )
    return anndata.AnnData(sp.csr_matrix(rng.poisson(rate).astype(np.float32)), obs)


@pytest.fixture(scope="session")
def of_donors():
    """`make_donors`; not to be changed."""
    return make_donors()


@pytest.fixture(scope="session")
def make():
    """The function `make_donors`, of a seed."""
    return make_donors


@pytest.fixture
def donors(of_donors):
    """The data, their keys, and a split by donor; to be changed at will."""
    adata = of_donors.copy()
    keys = PerturbationKeys("drug", control="no", dose="dose")
    return SimpleNamespace(adata=adata, keys=keys, split=risk.hold_out(adata, "donor", ["d1", "d5"]))
