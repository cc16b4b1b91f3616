"""tl.potency on counts whose dose of half the effect is known: .5 for A, which raises some genes and lowers others."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scvcell
from scvcell import PerturbationKeys, TrainConfig

GENES, HALF = 200, 0.5
KEYS = PerturbationKeys("drug", control="none", dose="dose", context="type")


def simulate(seed, n=240, doses=(0.1, 0.4, 1.6, 6.4)):
    rng = np.random.default_rng(seed)
    effect = np.where(np.arange(GENES) < 40, rng.normal(0, 1, GENES), 0)
    levels = np.repeat([0.0, *doses], n // 2)
    levels = np.tile(levels, 2)
    kind = np.repeat(["x", "y"], len(levels) // 2)
    log = np.outer(levels / (levels + HALF), effect) + rng.normal(1.0, 0.5, GENES)
    rate = np.exp(log) * rng.gamma(10, 0.1, (len(levels), 1))
    obs = pd.DataFrame({"drug": np.where(levels > 0, "A", "none"), "dose": [f"{d:g} uM" for d in levels], "type": kind})
    obs.index = [f"c{i}" for i in range(len(obs))]
    return AnnData(rng.poisson(rate).astype(np.float32), obs=obs), effect


@pytest.fixture(scope="module")
def model():
    train = TrainConfig(max_epochs=1, accelerator="cpu", progress=False)
    return scvcell.tl.fit(simulate(0, n=40, doses=(1.0,))[0], perturbation=KEYS, train=train)


def test_intervals_hold_the_truth(model):
    inside, found = [], []
    for seed in range(8):
        adata, effect = simulate(seed)
        row = scvcell.tl.potency(adata, model, pool=True).iloc[0]
        inside.append(row["ec50_lower"] <= HALF <= row["ec50_upper"])
        found.append(row["ec50"])
        size = np.sqrt((effect**2).mean()) / np.log(2)
        assert row["emax"] == pytest.approx(size, rel=0.25)
        assert row["emax_lower"] < row["emax"] < row["emax_upper"]
    assert np.mean(inside) >= 0.75
    assert np.median(found) == pytest.approx(HALF, rel=0.25)


def test_one_row_per_context_and_a_narrower_one_for_all(model):
    adata, _ = simulate(1)
    each, together = scvcell.tl.potency(adata, model, "A"), scvcell.tl.potency(adata, model, "A", pool=True)
    assert each["group"].tolist() == ["x", "y"]
    assert together["group"].tolist() == ["all"]
    assert (each["unit"] == "uM").all()
    assert each["n_doses"].tolist() == [4, 4]
    width = np.log(each["ec50_upper"] / each["ec50_lower"]).mean()
    assert np.log(together["ec50_upper"] / together["ec50_lower"]).iloc[0] < width
    pd.testing.assert_frame_equal(each, scvcell.tl.potency(adata, model, ["A"]))


def test_doses_that_do_not_tell_have_open_intervals(model):
    adata, _ = simulate(2, doses=(20, 60, 180))
    assert scvcell.tl.potency(adata, model, pool=True)["ec50_lower"].iloc[0] == 0
    adata, _ = simulate(2, doses=(0.0005, 0.001, 0.002))
    assert scvcell.tl.potency(adata, model, pool=True)["ec50_upper"].iloc[0] == np.inf


def test_no_target_with_enough_doses_is_refused(model):
    adata, _ = simulate(3, doses=(0.1, 1.0))
    with pytest.raises(ValueError, match="No target was given alone at 3 doses or more"):
        scvcell.tl.potency(adata, model)
    with pytest.raises(ValueError, match="'B' was given alone at 3 doses or more"):
        scvcell.tl.potency(simulate(3)[0], model, "B")
