"""Effects on pools of cells: which pools are compared, how far they are apart, and what they would be by chance."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import scvcell
from scvcell.response import Controls, compared, contrasts
from scvcell.scale import Membership
from scvcell.screen._pooling import Pool, _kappa, _sums, by_pools, measured_pools

CONFIG = scvcell.TrainConfig(max_epochs=8, progress=False, accelerator="cpu")


@pytest.fixture(scope="module", params=[0.0, 1.0], ids=["same", "niche"])
def tissue(request):
    """Treated and untreated sections of two donors; the action does the same everywhere, or depends on the niche."""
    cells = scvcell.datasets.simulate_tissue(350, n_genes=60, action=True, niche_effect=request.param, seed=5)["cells"]
    cells.layers.clear()
    niche = cells.obs["niche"].astype(str).replace({"mixed": "pair", "apart": "pair"})
    keys = scvcell.PerturbationKeys("action", control="control")
    model = scvcell.tl.fit(cells, batch_key="donor", perturbation=keys, train=CONFIG)
    start = Controls(cells, model)
    units = contrasts(compared(start.design, start.response), np.ones(cells.n_obs, bool))
    latent = model.posterior(start.view).mean
    return SimpleNamespace(
        cells=cells, niche=niche, start=start, units=units, latent=latent, depends=bool(request.param)
    )


def test_an_effect_that_depends_on_the_niche_stands_out(tissue):
    pools = measured_pools(tissue.start, tissue.units, Membership.groups(tissue.niche))
    kappa, null, again, n = by_pools(tissue.start, pools, tissue.latent, 9, np.random.default_rng(0))
    assert len(null) == len(again) == 9
    assert n == sum(len(pool.treated) + len(pool.controls) for each in pools for pool in each)
    if tissue.depends:
        assert kappa > 2 * null.max()
        assert np.median(again) == pytest.approx(kappa, rel=0.3)
    else:
        assert kappa < 1.5 * null.max()
    same = by_pools(tissue.start, pools, tissue.latent, 2, np.random.default_rng(3))
    again = by_pools(tissue.start, pools, tissue.latent, 2, np.random.default_rng(3))
    np.testing.assert_array_equal(same[1], again[1])


def test_pools_are_the_cells_of_a_unit_and_a_batch(tissue):
    ((*pools,),) = measured_pools(tissue.start, tissue.units, Membership.groups(tissue.niche))
    names = sorted(set(tissue.niche))
    wanted = tissue.cells.obs.groupby([tissue.niche, "donor", "action"], observed=True).size().unstack()
    assert len(pools) == (wanted.min(axis=1) >= 5).sum()
    for pool in pools:
        for side, label in ((pool.treated, "A1"), (pool.controls, "control")):
            obs = tissue.cells.obs.iloc[side]
            assert set(obs["action"]) == {label}
            assert obs["donor"].nunique() == 1
            assert len(side) == wanted.loc[(names[pool.unit], obs["donor"].iloc[0]), label]


def test_sums_are_those_of_the_cells(tissue):
    sides = [np.array([3, 1, 1]), np.array([0])]
    found = _sums(tissue.start, sides)["rna"]
    x = tissue.cells.X.toarray()
    np.testing.assert_array_equal(found, [x[3] + 2 * x[1], x[0]])


def test_units_without_both_are_not_compared(tissue):
    sections = Membership.groups(tissue.cells.obs["section"].astype(str))
    assert measured_pools(tissue.start, tissue.units, sections) == [[]]
    everything = Membership.groups(pd.Series("all", index=tissue.cells.obs_names))
    assert measured_pools(tissue.start, tissue.units, everything) == [[]], "one unit has nothing to differ from"
    half = Membership(sp.csr_array(sections.matrix / 2), sections.coarse, sections.fine)
    with pytest.raises(ValueError, match="the weights of by= must be 1"):
        measured_pools(tissue.start, tissue.units, half)


def test_kappa_is_the_weighted_distance_from_the_mean():
    rng = np.random.default_rng(0)
    pools = [Pool(unit, np.arange(n), np.arange(n)) for unit, n in ((0, 10), (1, 10), (2, 40), (2, 40))]
    before, effect = rng.normal(size=(4, 3)), np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]])
    each = np.array([effect[0], effect[1], (effect[2] + effect[3]) / 2])
    weight = np.array([10, 10, 80])
    mean = weight @ each / 100
    wanted = weight @ np.linalg.norm(each - mean, axis=1) / (weight @ np.linalg.norm(each, axis=1))
    assert _kappa(pools, np.concatenate([before, before + effect])) == pytest.approx(wanted)
    assert _kappa(pools, np.concatenate([before, before + 1.0])) == pytest.approx(0, abs=1e-12)
