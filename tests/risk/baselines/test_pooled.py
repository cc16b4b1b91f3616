"""Patches as the mean of the cells that were seen."""

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scvcell.risk import Place, Translate
from scvcell.risk.baselines import PooledMean


def test_shares_and_sums_of_the_mean():
    rng = np.random.default_rng(0)
    kind = np.repeat(["a", "b"], [30, 10])
    cells = AnnData(rng.poisson(4.0, (40, 6)).astype(float), pd.DataFrame({"kind": kind}, [f"c{i}" for i in range(40)]))
    cells.var_names = [f"g{i}" for i in range(6)]
    patches = AnnData(rng.poisson(20.0, (5, 4)).astype(float), pd.DataFrame(index=[f"p{i}" for i in range(5)]))
    patches.var_names = ["g4", "g0", "g1", "g3"]
    mean = PooledMean()
    mean.fit(MuData({"rna": cells, "patches": patches}), None, 0)
    shares = mean.predict(Translate("patches", "kind", patches.obs_names[:2])).point
    assert shares.to_dict("list") == {"a": [0.75, 0.75], "b": [0.25, 0.25]}
    sums = mean.predict(Translate("patches", "rna", patches.obs_names)).point
    np.testing.assert_allclose(sums[patches.var_names].sum(axis=1), patches.X.sum(1))
    np.testing.assert_allclose(sums.loc["p0"] / sums.loc["p0"].sum(), cells.X.mean(0) / cells.X.mean(0).sum())
    assert mean.predict(Place({"rna": cells.obs_names})) is None
