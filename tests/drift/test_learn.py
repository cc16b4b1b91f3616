"""What a drift is learned from: which cells, which columns; no model is fitted, states are given."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

from scvcell._containers import view
from scvcell.drift import Drift, _learn, kinetics_of
from scvcell.measure import MEASUREMENTS
from scvcell.testing import example_summary


@pytest.fixture
def cells():
    """Cells that move by one along the first axis in a day, and a model that knows their states."""
    rng = np.random.default_rng(0)
    day = np.repeat([0.0, 1.0, 2.0], 40)
    z = np.stack([day, np.tile(rng.normal(0, 0.05, 40), 3)], 1).astype(np.float32)
    obs = pd.DataFrame({"day": day, "clone": np.tile(np.arange(40), 3)}, index=[f"c{i}" for i in range(120)])
    states = pd.DataFrame(z, index=obs.index)

    def posterior(part):
        return SimpleNamespace(mean=torch.tensor(states.loc[part.obs_names].to_numpy()))

    model = SimpleNamespace(
        posterior=posterior,
        split_={"train": obs.index[:], "validation": [], "test": []},
        network=SimpleNamespace(operators={"rna": None}),
        schema=SimpleNamespace(modalities={"rna": None}),
        view=view,
    )
    return AnnData(np.ones((120, 3), np.float32), obs=obs), model, z.astype(float)


def test_times_and_clones_tell_the_velocity(cells):
    adata, model, z = cells
    for keys in ({}, {"clone_key": "clone"}):
        found = Drift.learn(model, adata, time_key="day", **keys)
        ahead = found.velocity(z[40:80])
        np.testing.assert_allclose(ahead[:, 0], 1, atol=0.15)
        np.testing.assert_allclose(ahead[:, 1], 0, atol=0.15)
        assert (found.unit, found.time_key, found.clone_key) == ("unit of day", "day", keys.get("clone_key", ""))
        assert found.trusted(z).all()


def test_only_training_cells_with_a_time_teach(cells):
    adata, model, z = cells
    hidden = np.arange(0, 120, 4)
    model.split_["train"] = np.delete(adata.obs_names, hidden)
    one = Drift.learn(model, adata, time_key="day")
    wrong = adata.copy()
    wrong.obs.iloc[hidden, 0] = 2 - wrong.obs.iloc[hidden, 0]
    missing = adata.copy()
    missing.obs.iloc[hidden, 0] = np.nan
    for other in (wrong, missing, adata[np.delete(np.arange(120), hidden)].copy()):
        np.testing.assert_array_equal(Drift.learn(model, other, time_key="day").velocity(z), one.velocity(z))
    model.split_["train"] = pd.Index(["another cell"])
    assert np.isfinite(Drift.learn(model, view(adata), time_key="day").velocity(z)).all()


def test_what_is_kept_makes_it_again_and_its_source_is_cited(cells):
    adata, model, z = cells
    found = Drift.learn(model, adata, time_key="day")
    plain, arrays = found.dump()
    assert plain == {}
    assert all(isinstance(value, np.ndarray) for value in arrays.values())
    again = Drift.restore(plain, arrays, 2)
    assert type(again) is Drift
    np.testing.assert_array_equal(again.members(z), found.members(z))
    assert "flow-based" in found.references[0]
    assert "RNA velocity" in Drift.fit(z, [(z, 0 * z)], 0, "", "").references[0]


def test_what_cannot_tell_is_refused(cells):
    adata, model, _ = cells
    with pytest.raises(ValueError, match=r"The model measures no kinetics.*time_key="):
        Drift.learn(model, adata)
    with pytest.raises(ValueError, match="clone_key= needs time_key="):
        Drift.learn(model, adata, clone_key="clone")
    model.schema.modalities["turnover"] = None
    model.network.operators["turnover"] = MEASUREMENTS["kinetics"](2, example_summary())
    assert kinetics_of(model) == "turnover"
    with pytest.raises(ValueError, match="The data have no kinetics"):
        Drift.learn(model, adata)


def test_kinetics_of_training_cells_are_asked(cells, monkeypatch):
    adata, model, _ = cells
    model.network.operators["rna"] = MEASUREMENTS["kinetics"](2, example_summary())
    model.split_["train"] = adata.obs_names[:90]
    model.readout = lambda part, name: SimpleNamespace(
        cells=part.obs_names, name=name, operator=model.network.operators[name]
    )
    asked = []

    def by_turnover(readout, z, rng):
        asked.append((list(readout.cells), z))
        return z.astype(float), [np.ones(z.shape)] * 3, np.ones(len(z))

    monkeypatch.setattr(_learn, "by_turnover", by_turnover)
    monkeypatch.setattr(_learn, "MAX_CELLS", 60)
    found = Drift.learn(model, adata)
    ((names, z),) = asked
    assert len(set(names)) == 60
    assert set(names) <= set(adata.obs_names[:90])
    np.testing.assert_array_equal(z, model.posterior(SimpleNamespace(obs_names=names)).mean)
    assert (found.time_key, found.unit) == ("", "lifetime of a typical mRNA")
    assert found.trusted(z.astype(float)).mean() > 0.9
