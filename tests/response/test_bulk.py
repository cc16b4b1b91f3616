"""Bulk samples of a screen, two replicates of twelve drugs at three doses and two times, whose effects are known."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

import scvcell
from scvcell import Action, PerturbationKeys, TrainConfig
from scvcell.response._novelty import NOVELTIES

DRUGS, FEATURES = 12, 40
HELD = "drug 3"
KEYS = PerturbationKeys("drug", control="none", dose="dose", time="hours", context="batch")


def screen(seed=0, replicates=2):
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(DRUGS, 3)) @ rng.normal(size=(3, FEATURES)) * 0.5
    rows, values, truth = [], [], {}
    for k in range(DRUGS):
        for hours in (8, 24):
            batch = f"{k} {hours}"
            for dose in (0, 0.1, 0.3, 1.0):
                effect = direction[k] * dose / (dose + 0.3) * np.sqrt(hours / 24)
                truth[f"drug {k}", dose, hours] = effect
                rows += [(f"drug {k}" if dose else "none", dose, float(hours), batch)] * replicates
                values += [effect + 0.1 * rng.normal(size=FEATURES) for _ in range(replicates)]
    obs = pd.DataFrame(rows, columns=["drug", "dose", "hours", "batch"], index=[f"s{i}" for i in range(len(rows))])
    var = pd.DataFrame(index=[f"f{i}" for i in range(FEATURES)])
    return AnnData(np.array(values, np.float32) + 5, obs=obs, var=var), truth


@pytest.fixture(scope="module")
def fitted():
    adata, truth = screen()
    seen = adata[~((adata.obs["drug"] == HELD) & (adata.obs["dose"] == 1.0))].copy()
    mdata = MuData({"profile": seen})
    train = TrainConfig(max_epochs=20, accelerator="cpu", progress=False)
    return mdata, scvcell.tl.fit(mdata, perturbation=KEYS, train=train), truth


def ask(fitted, dose, hours=24, drug=HELD):
    mdata, model, truth = fitted
    cells = mdata.obs_names[
        (mdata["profile"].obs["batch"] == f"{drug.split()[1]} {hours}") & (mdata["profile"].obs["drug"] == "none")
    ]
    found = scvcell.tl.effects(mdata, model, Action({drug: dose}, hours), cells=cells, groupby=[])
    return found, truth.get((drug, dose, hours))


def test_a_higher_dose_than_any_seen_is_predicted_with_an_honest_interval(fitted):
    found, truth = ask(fitted, 1.0)
    below = fitted[2][HELD, 0.3, 24]
    error = ((found["lfc"] - truth) ** 2).sum()
    assert error < 0.6 * ((below - truth) ** 2).sum()
    assert error < 0.1 * (truth**2).sum()
    assert ((truth > found["lower"]) & (truth < found["upper"])).mean() > 0.85


def test_every_shift_that_the_screen_allows_is_left_out(fitted):
    response = fitted[1].response
    codes = set(response.calibration["profile"][:, 4].astype(int))
    allowed = {"higher dose", "lower dose", "dose between", "later", "earlier"}
    assert codes == {0} | {1 + NOVELTIES.index(shift) for shift in allowed}
    assert set(response.anchors["profile"].stack) == allowed


def test_intervals_are_those_of_the_shift(fitted):
    model = fitted[1]
    before = ask(fitted, 1.0)[0]
    rows = model.response.calibration["profile"]
    wide = rows.copy()
    wide[rows[:, 4] == 1 + NOVELTIES.index("higher dose"), 1] *= 16
    model.response.calibration["profile"] = wide
    try:
        after, seen = ask(fitted, 1.0)[0], ask(fitted, 0.3)[0]
    finally:
        model.response.calibration["profile"] = rows
    assert ((after["upper"] - after["lower"]) > 2 * (before["upper"] - before["lower"])).all()
    pd.testing.assert_frame_equal(seen, ask(fitted, 0.3)[0])


def test_saved_and_loaded_it_says_the_same(fitted, tmp_path):
    mdata, model, _ = fitted
    model.save(tmp_path / "model")
    again = scvcell.CSL.load(tmp_path / "model", mdata)
    pd.testing.assert_frame_equal(ask((mdata, again, {}), 1.0)[0], ask(fitted, 1.0)[0])


def test_without_replicates_the_noise_is_learned():
    adata, truth = screen(1, replicates=1)
    mdata = MuData({"profile": adata})
    train = TrainConfig(max_epochs=5, accelerator="cpu", progress=False)
    model = scvcell.tl.fit(mdata, perturbation=KEYS, train=train)
    assert model.response.anchors["profile"].nugget > 0
    errors, total = 0.0, 0.0
    for k in range(DRUGS):
        found, effect = ask((mdata, model, truth), 1.0, drug=f"drug {k}")
        errors, total = errors + ((found["lfc"] - effect) ** 2).sum(), total + (effect**2).sum()
    assert errors < 0.1 * total
