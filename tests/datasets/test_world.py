"""The world behind a simulation: its draws against scipy, its rates against its own formula."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, softmax

from scvcell.datasets import World, WorldParameters, simulate
from scvcell.datasets._world import negative_binomial


@pytest.fixture(scope="module")
def mdata():
    return simulate(1500, n_genes=200, n_proteins=20, n_batches=3, paired=0.4, seed=3)


def test_negative_binomial_is_scipys():
    counts = negative_binomial(np.random.default_rng(0), np.full((40_000, 2), [[3.0, 20.0]]), np.array([2.0, 8.0]))
    for column, mean, theta in zip(counts.T, (3, 20), (2, 8), strict=True):
        truth = stats.nbinom(theta, theta / (theta + mean))
        values = np.arange(12)
        observed = np.array([(column == v).mean() for v in values])
        assert np.abs(observed - truth.pmf(values)).max() < 0.01
        assert column.var() == pytest.approx(truth.var(), rel=0.05)


def test_foreground_is_a_mixture_over_the_true_background(mdata):
    adt, world = mdata["adt"], World.of(mdata)
    z = mdata.obsm["z"][mdata.obs_names.get_indexer(adt.obs_names)]
    proteins = world.measures["adt"]
    probability = expit(4 * (z @ proteins.loading - proteins.threshold))
    foreground = adt.layers["foreground"]
    assert foreground.dtype == bool
    score = (foreground - probability).sum(0) / np.sqrt((probability * (1 - probability)).sum(0))
    assert np.abs(score).max() < 4
    batch = adt.obs["batch"].cat.codes.to_numpy()
    background = np.exp(proteins.log_background + proteins.shift[batch]) * adt.obs["size"].to_numpy()[:, None]
    np.testing.assert_allclose(adt.layers["rate"][~foreground], background[~foreground], rtol=1e-4)
    assert (adt.layers["rate"][foreground] > background[foreground]).all()
    assert adt.layers["expected"].mean() == pytest.approx(adt.layers["rate"].mean(), rel=0.02)


def test_world_gives_counterfactual_rates(mdata):
    world = World.of(mdata)
    z = np.zeros((2, 5), dtype=np.float32)
    z[1] = 1
    cells = world.sample_cells(np.random.default_rng(0), 2)
    rate = world.measures["rna"].expected(z, cells[np.array([0, 0])])
    change = np.log(rate[1] / rate[0])
    direction = world.measures["rna"].loading.sum(0)
    np.testing.assert_allclose(change - change.mean(), direction - direction.mean(), atol=1e-4)


def test_world_of_other_data_is_refused():
    from scvcell.datasets import pbmc_mosaic

    with pytest.raises(ValueError, match="simulate"):
        World.of(pbmc_mosaic())


def test_batch_effect_shifts_log_rates_by_its_size():
    calm, strong = (WorldParameters(n_batches=2, n_genes=4000, batch_effect=size) for size in (0.0, 0.5))
    assert not World.draw(calm).measures["rna"].shift.any()
    shift = World.draw(strong).measures["rna"].shift
    assert (shift[0] - shift[1]).std() == pytest.approx(0.5 * np.sqrt(2), rel=0.05)


def test_expected_counts_are_shares_of_the_size_of_the_cell():
    world = World.draw(WorldParameters(n_genes=7, n_proteins=3, n_peaks=9, latent_dim=2, panel=0.5, seed=4))
    rng = np.random.default_rng(0)
    cells, (_, z) = world.sample_cells(rng, 12), world.states.sample(rng, 12)
    for name in ("rna", "atac"):
        measure = world.measures[name]
        logits = measure.intercept + z @ measure.loading + measure.shift[cells.batch]
        share = softmax(logits.astype(float), axis=1)
        expected = cells.size[name][:, None] * share * measure.panel[cells.batch]
        np.testing.assert_allclose(measure.expected(z, cells), expected, rtol=1e-4)


def test_a_world_follows_its_parameters_alone_and_types_are_centred():
    one, again, other = (World.draw(WorldParameters(seed=seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.states.centres, again.states.centres)
    assert not np.allclose(one.states.centres, other.states.centres)
    np.testing.assert_allclose(one.states.centres.mean(0), 0, atol=1e-12)
    assert one.states.weights.sum() == pytest.approx(1)


def test_batches_of_cells_are_of_one_size():
    world = World.draw(WorldParameters(n_batches=3, depth=700.0))
    cells = world.sample_cells(np.random.default_rng(0), 3000)
    assert np.bincount(cells.batch).tolist() == [1000] * 3
    log = np.log(cells.size["rna"] / 700)
    assert (log.mean(), log.std()) == (pytest.approx(0, abs=0.03), pytest.approx(0.35, abs=0.02))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"latent_dim": 0}, "latent_dim must be at least 1, not 0"),
        ({"n_peaks": -1}, "n_peaks must be at least 0"),
        ({"batch_effect": -0.1}, "batch_effect must be at least 0"),
        ({"panel": 0.3}, r"panel=0.3 is out of range.*= 0.5\)"),
    ],
)
def test_numbers_out_of_range(wrong, message):
    with pytest.raises(ValueError, match=message):
        WorldParameters(**wrong)
