"""tl.cycle_scores: planted mixtures return the genes they were not lifted by, shuffled genes do not, and it is said."""

from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import scvcell
from scvcell.scale import mix

GENES = 40


pytestmark = pytest.mark.usefixtures("fewer_steps")


@pytest.fixture(scope="module")
def scene(quick, fewer_steps):
    """Cells of 3 kinds in 2 batches, a model of them, and 100 spots in two sections, lifted."""
    rng = np.random.default_rng(0)
    kind = rng.integers(3, size=500)
    rates = rng.gamma(2.0, 0.5, GENES) * np.where(np.equal.outer(kind, np.arange(GENES) % 3), 4, 1)
    x, var = sp.csr_matrix(rng.poisson(rates).astype(np.float32)), pd.DataFrame(index=[f"g{i}" for i in range(GENES)])
    obs = pd.DataFrame({"kind": np.array([*"abc"])[kind], "batch": [f"b{i % 2}" for i in range(500)]})
    obs.index = [f"c{i}" for i in range(500)]
    cells = AnnData(x[:200], obs=obs[:200], var=var)
    mixed = mix(x[200:], kind[200:], 3, 6.0, 100, rng)
    spots = AnnData(sp.csr_matrix(mixed.counts.astype(np.float32)), var=var)
    spots.obs_names = [f"s{i}" for i in range(100)]
    spots.obs["batch"], spots.obs["slide"] = "b0", ["left", "right"] * 50
    spots.obsm["spatial"] = rng.random((100, 2))
    model = scvcell.tl.fit(cells, batch_key="batch", train=quick)
    lifted = scvcell.tl.lift(spots, model, labels_key="kind", n_cells=6, section_key="slide")
    return SimpleNamespace(cells=cells, spots=spots, model=model, lifted=lifted)


@pytest.fixture(scope="module")
def found(scene):
    return scvcell.tl.cycle_scores(scene.spots, scene.model, lifted=scene.lifted, section_key="slide")


def test_planted_mixtures_return_what_was_measured(scene, found, tmp_path):
    ours = found[found["cycle"] == "P o L"]
    assert len(ours) == 2 * 2 * 3, "sections, scores, nulls"
    assert ours["trusted"].all()
    assert (ours["lower"] > 0).all()
    assert ((ours["lower"] <= ours["gain"]) & (ours["gain"] <= ours["upper"])).all()
    deviance = ours[ours["score"] == "deviance"]
    np.testing.assert_allclose(deviance["gain"], 1 - deviance["value"] / deviance["null_value"])
    back = found[found["cycle"] == "L o P"].iloc[0]
    assert back["value"] < 0.6 * back["null_value"]
    told = scene.lifted.uns["csl_cycle"]
    assert told["lower"] == deviance["lower"].min()
    assert told["skill"] == deviance["gain"][deviance["lower"].idxmin()]
    scene.lifted.write_h5ad(tmp_path / "a.h5ad")
    again = anndata.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(again.uns["csl_cycle"]["scores"].set_axis(found.index), found, check_dtype=False)


def test_a_seed_is_one_answer_and_the_spots_stay_as_they_were(scene, found, fingerprint):
    before = fingerprint(scene.spots)
    again = scvcell.tl.cycle_scores(scene.spots, scene.model, lifted=scene.lifted, section_key="slide")
    pd.testing.assert_frame_equal(again, found)
    assert fingerprint(scene.spots) == before
    one = scvcell.tl.cycle_scores(scene.spots, scene.model, lifted=scene.lifted)
    assert set(one["section"]) == {"all", "reference"}


def test_a_section_whose_genes_go_each_their_own_way_is_flagged(scene, caplog):
    spots = scene.spots.copy()
    left = np.flatnonzero(spots.obs["slide"] == "left")
    x = spots.X.toarray()
    x[left] = np.random.default_rng(0).permuted(x[left], axis=0)
    spots.X = sp.csr_matrix(x)
    lifted = scvcell.tl.lift(spots, scene.model, labels_key="kind", n_cells=6, section_key="slide")
    found = scvcell.tl.cycle_scores(spots, scene.model, lifted=lifted, section_key="slide")
    assert "Section 'left'" in caplog.text
    trusted = found.groupby("section")["trusted"].all()
    assert not trusted["left"]
    assert trusted["right"]
    assert (lifted.obs["trusted"] == (lifted.obs["slide"] == "right")).all()


def test_spots_without_places_have_two_nulls(scene):
    spots = scene.spots.copy()
    del spots.obsm["spatial"]
    found = scvcell.tl.cycle_scores(spots, scene.model, lifted=scene.lifted)
    assert set(found["null"]) == {"permuted", "mean profile", "mean composition"}


def test_one_spot_says_nothing(scene):
    one = scene.spots[:1].copy()
    lifted = scvcell.tl.lift(one, scene.model, labels_key="kind", n_cells=6)
    np.testing.assert_allclose(lifted.X.sum(), 1, rtol=1e-5)
    assert np.isnan(lifted.uns["csl_cycle"]["skill"])
    assert not lifted.obs["trusted"].any()
    found = scvcell.tl.cycle_scores(one, scene.model, lifted=lifted)
    assert set(found["cycle"]) == {"L o P"}


def test_what_is_refused(scene, fingerprint):
    def scores(spots=scene.spots, **given):
        return scvcell.tl.cycle_scores(spots, scene.model, **({"lifted": scene.lifted} | given))

    bare = scene.spots.copy()
    del bare.obsm["spatial"]
    before = fingerprint(scene.lifted)
    for call, error, message in (
        (lambda: scores(lifted=scene.spots), ValueError, r"must be what scvcell.tl.lift\(spots"),
        (lambda: scores(lifted=None), ValueError, "must be what"),
        (lambda: scores(scene.spots[::-1].copy()), ValueError, "other spots, or in another order"),
        (lambda: scores(scene.spots[:, 3:].copy()), ValueError, "features such as 'g0'"),
        (lambda: scores(n_blocks=1), ValueError, "n_blocks must be"),
        (lambda: scores(section_key="slid"), KeyError, "Did you mean 'slide'"),
        (lambda: scores(bare, section_key="slide"), ValueError, "no coordinates"),
        (lambda: scvcell.tl.cycle_scores(scene.model, scene.spots, lifted=scene.lifted), TypeError, "spots come first"),
    ):
        with pytest.raises(error, match=message):
            call()
    assert fingerprint(scene.lifted) == before
