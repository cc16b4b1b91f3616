"""Which kinds surround a cell, by what was predicted and by what was measured."""

import pickle

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from scipy.spatial import KDTree

from scvcell.risk import Neighbourhood, Split, Values
from scvcell.risk.axes import Modality
from scvcell.risk.axes._values import scored_values

CELLS, GENES = pd.Index([f"c{i:03d}" for i in range(240)]), pd.Index([f"g{i:02d}" for i in range(12)])


@pytest.fixture(scope="module")
def world():
    """Two sections with a kind on either side; counts that tell the kind."""
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 10, (240, 2))
    kind = np.where(xy[:, 0] + rng.normal(0, 1.0, 240) > 5, "right", "left")
    profile = pd.DataFrame(1.0 + 8 * np.eye(2).repeat(6, axis=1), ["left", "right"], GENES)
    counts = pd.DataFrame(rng.poisson(profile.loc[kind]).astype(float), CELLS, GENES)
    obs = pd.DataFrame({"slide": np.repeat(["s", "t"], 120)}, CELLS)
    return AnnData(counts.to_numpy(np.float32), obs, obsm={"spatial": xy}), kind, np.log1p(profile), counts


def test_shares_are_those_of_the_nearest_cells_of_the_section(world):
    data, kind, profiles, counts = world
    readout = Neighbourhood(data, profiles, k=5, section_key="slide")
    seen = readout(np.log1p(counts.to_numpy()), GENES)
    assert (profiles.index[seen.argmax(1)] == kind).all()
    found = readout.pool(seen, CELLS)
    for rows in (np.arange(120), np.arange(120, 240)):
        near = rows[KDTree(data.obsm["spatial"][rows]).query(data.obsm["spatial"][rows], 6)[1][:, 1:]]
        np.testing.assert_allclose(found[rows, 1], (kind[near] == "right").mean(1))
    order = np.random.default_rng(1).permutation(240)
    np.testing.assert_allclose(readout.pool(seen[order], CELLS[order]), found[order])


def test_cells_without_a_place_are_not_shown_and_never_zero(world):
    data, _, profiles, counts = world
    other = data.copy()
    other.obsm["spatial"] = np.where(np.arange(240)[:, None] < 30, np.nan, data.obsm["spatial"])
    readout = Neighbourhood(other, profiles, k=5)
    seen = readout(np.log1p(counts.to_numpy()), GENES)
    found = readout.pool(seen, CELLS)
    assert np.isnan(found[:30]).all()
    np.testing.assert_allclose(found[30:].sum(1), 1)
    unit = pd.Index(np.repeat("one", 240))
    elsewhere = counts.set_axis("other-" + CELLS)
    told = scored_values(unit, elsewhere, Values(elsewhere), "values", (), 0.9, [readout])
    assert [each.metric for each in told] == ["answered"], "no place, no row"
    named = scored_values(unit, elsewhere, Values(elsewhere), "values", (), 0.9, [readout], cells=CELLS)
    assert [each.n for each in named if each.readout == "neighbourhood"] == [210, 210]


def test_the_wrong_kinds_are_the_wrong_neighbourhoods(world):
    data, _, profiles, counts = world
    readout, unit = Neighbourhood(data, profiles, section_key="slide"), pd.Index(np.repeat(["one", "two"], 120))

    def rmse(told):
        found = scored_values(unit, counts, Values(told), "values", (), 0.9, [readout])
        return np.mean([each.value for each in found if each.metric == "rmse"])

    mixed = counts.sample(frac=1, random_state=0).set_axis(CELLS)
    turned = counts[GENES[::-1]].set_axis(GENES, axis=1)
    deeper = counts * 3
    assert rmse(counts) == rmse(deeper) == 0, "depth is no kind"
    assert 0 < rmse(mixed) < rmse(turned)


def test_it_goes_to_other_processes_without_the_data(world):
    data, _, profiles, counts = world
    big = data.copy()
    big.obsm["other"] = np.zeros((240, 2000))
    readout = Neighbourhood(big, profiles)
    sent = pickle.dumps(readout)
    assert len(sent) < 100_000
    again, seen = pickle.loads(sent), readout(np.log1p(counts.to_numpy()), GENES)
    np.testing.assert_array_equal(again.pool(seen, CELLS), readout.pool(seen, CELLS))
    assert again.identity == readout.identity != Neighbourhood(big, profiles, k=3).identity


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda data, profiles: Neighbourhood(), r"Neighbourhood\(data, log_values"),
        (lambda data, profiles: Neighbourhood(AnnData(data.X, data.obs), profiles), "no coordinates"),
        (lambda data, profiles: Neighbourhood(data, profiles[:1]), "at least two labels"),
        (lambda data, profiles: Neighbourhood(data, profiles, k=0), "k"),
        (lambda data, profiles: Neighbourhood(data, profiles).check(GENES.str.upper()), "share fewer than 5"),
    ],
)
def test_what_is_needed_is_told_at_once(world, make, says):
    with pytest.raises(ValueError, match=says):
        make(world[0], world[2])


def test_cells_that_were_renamed_to_hide_their_pairs_have_their_places(world):
    data, _, profiles, counts = world
    adt = AnnData(counts.to_numpy(np.float32), data.obs[[]].copy(), pd.DataFrame(index=GENES))
    rna = AnnData(counts.to_numpy(np.float32), data.obs[[]].copy(), pd.DataFrame(index="rna-" + GENES))
    mdata, asked = MuData({"rna": rna, "adt": adt}), CELLS[::2]
    axis = Modality("rna", "adt", n_blocks=1)
    tests = {test.name: test for test in axis.stress_tests(mdata, Split(CELLS[1::2], CELLS[:0], asked))}
    test, readout = tests["rna to adt"], Neighbourhood(data, profiles)
    truth = test.truth()
    assert not truth.index.isin(CELLS).any()
    mixed = truth.sample(frac=1, random_state=0).set_axis(truth.index)
    for told, right in ((truth, True), (mixed, False)):
        scored = axis.scored(test, Values(told[::-1]), readouts=[readout])
        (found,) = [each for each in scored if (each.readout, each.metric) == ("neighbourhood", "rmse")]
        assert (found.value == 0) == right
        assert found.n == 120
