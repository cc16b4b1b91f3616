"""The contract of readouts catches what it should, and passes what keeps it."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scvcell.risk import READOUTS, Activity, Endpoint, Labels, Neighbourhood, Readout
from scvcell.testing import check_readout

GENES = [f"gene{i}" for i in range(20)]


class Good(Readout):
    """Mean of some features; the others break one point each."""

    name = "some"
    metrics = ("rmse",)

    def __call__(self, values, features):
        return values[:, features.isin(GENES[:5])].mean(1, keepdims=True)


class Nameless(Good):
    name = ""


class Unknown(Good):
    metrics = ("rmse", "charm")


class Pools(Good):
    def __call__(self, values, features):
        return values.mean(0, keepdims=True)


class Changes(Good):
    def __call__(self, values, features):
        values += 1
        return super().__call__(values, features)


class Centres(Good):
    def __call__(self, values, features):
        return values - values.mean(0)


class ByPosition(Good):
    def __call__(self, values, features):
        return values[:, :5].mean(1, keepdims=True)


class First(Good):
    def __call__(self, values, features):
        return values * (np.arange(len(values)) == 0)[:, None]


def test_readouts_of_this_package_keep_the_contract():
    network = pd.DataFrame({"source": np.repeat(["a", "b"], 10), "target": GENES, "weight": np.arange(20) % 3 - 1.0})
    rng = np.random.default_rng(1)
    profiles = pd.DataFrame(rng.gamma(2, 1, (3, 20)), ["x", "y", "z"], GENES)
    cells = pd.DataFrame(rng.gamma(2, 1, (30, 20)), [f"cell{i}" for i in range(30)], GENES)
    tissue = AnnData(cells, obsm={"spatial": rng.normal(size=(30, 2))})
    made = {"activity": Activity(network), "labels": Labels(profiles), "endpoint": Endpoint(cells, cells["gene3"])}
    made["neighbourhood"] = Neighbourhood(tissue, profiles)
    ours = [name for name in READOUTS if READOUTS[name].__module__.startswith("scvcell.")]
    assert len(ours) > 2
    for name in ours:
        check_readout(made.get(name) or READOUTS[name](), GENES)
    check_readout(Good())


@pytest.mark.parametrize(
    ("readout", "message"),
    [
        (Nameless, "a readout must have a name"),
        (Unknown, r"\['charm'\] are not"),
        (Pools, "as many rows as it was given, 5, not 1"),
        (Changes, "must leave the values as they are"),
        (First, "rows in another order must read the same"),
        (Centres, "a row must read the same alone as among others"),
        (ByPosition, "features in another order must read the same"),
    ],
)
def test_each_broken_point_is_named(readout, message):
    with pytest.raises(AssertionError, match=message):
        check_readout(readout())
