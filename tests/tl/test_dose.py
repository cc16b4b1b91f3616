"""Effects over doses and times."""

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scvcell
from scvcell import Action, PerturbationKeys, TrainConfig
from scvcell.perturb import read_design

QUICK = TrainConfig(max_epochs=20, accelerator="cpu", progress=False)


def test_doses():
    rng = np.random.default_rng(0)
    n = 600
    dose = rng.choice([0.0, 0.1, 1.0, 10.0], n)
    log = np.ones((n, 30)) + np.outer(dose / (dose + 1), np.r_[np.full(6, 2.0), np.zeros(24)])
    obs = pd.DataFrame({"drug": np.where(dose > 0, "A", "ctrl"), "dose": [f"{d:g} uM" for d in dose]})
    obs.index = obs.index.astype(str)
    adata = AnnData(rng.poisson(np.exp(log)).astype(np.float32), obs=obs)
    keys = PerturbationKeys("drug", control="ctrl", dose="dose")
    model = scvcell.tl.fit(adata, perturbation=keys, train=QUICK)
    curve = scvcell.tl.dose_response(adata, model, "A", doses=[0, 0.1, 1, 10], features=["0"])
    assert curve["lfc"].iloc[0] == 0
    assert (np.diff(curve["lfc"]) > 0).all()
    assert set(curve["unit"]) == {"uM"}
    half = (
        scvcell.tl.effects(adata, model, {"A": 1.0})["lfc"][:6].mean()
        / scvcell.tl.effects(adata, model, {"A": 10.0})["lfc"][:6].mean()
    )
    assert 0.3 < half < 0.85
    same = scvcell.tl.effects(adata, model, {"A": "1000 nM"})
    pd.testing.assert_frame_equal(same, scvcell.tl.effects(adata, model, {"A": 1.0}))
    assert set(same["action"]) == {"A 1 uM"}
    assert set(scvcell.tl.effects(adata, model, "A")["action"]) == {"A 10 uM"}
    pd.testing.assert_frame_equal(
        curve, scvcell.tl.dose_response(adata, model, "A", doses=["0", "100 nM", 1, "1e1 uM"], features=["0"])
    )
    after = scvcell.tl.perturb(adata, model, {"A": 4})
    design = read_design(keys, anndata.concat([adata, after], index_unique="-").obs.__getitem__)
    assert [design.actions[code] for code in set(design.code[n:])] == [Action({"A": "4 uM"})]
    assert set(after.obs["action"]) == {"A 4 uM"}


def test_nine_doses_from_a_hundredth_of_the_largest(dosed):
    table = scvcell.tl.dose_response(dosed.data, dosed.model, "T1", features="gene01")
    top = dosed.model.response.flow.largest["T1"]
    assert top == 10
    found = table["dose"].drop_duplicates().to_numpy()
    np.testing.assert_allclose(found, np.geomspace(top / 100, top, 9), rtol=1e-4)
    assert set(table["feature"]) == {"gene01"}
    assert set(table["unit"]) == {"uM"}
    assert len(table) == 9 * table["group"].nunique()


def test_each_dose_is_the_effect_of_that_action(dosed):
    table = scvcell.tl.dose_response(dosed.data, dosed.model, "T2", doses=["5000 nM", 0])
    expected = scvcell.tl.effects(dosed.data, dosed.model, {"T2": 5.0})
    ours = table[table["dose"] == 5].drop(columns=["dose", "unit", "time"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(ours, expected)
    assert (table.loc[table["dose"] == 0, "lfc"] == 0).all()


def test_a_target_without_doses_is_named(dosed):
    with pytest.raises(ValueError, match=r"'T9' has no doses in training; those that have are \['T1', 'T2'\]"):
        scvcell.tl.dose_response(dosed.data, dosed.model, "T9")
