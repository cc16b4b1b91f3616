"""Cells as they would be later, by a field that is known."""

import numpy as np
import pytest
import torch

import scvcell


class Straight:
    """A field along which every state moves by the same step per unit of time; its members are a little off."""

    unit, columns, references = "day", (), ()

    def __init__(self, n_latent, support=1.0, spread=0.0):
        self.step = np.linspace(-0.1, 0.1, n_latent)
        self.held, self.spread = support, spread

    def flow(self, start, time):
        end = start + time * self.step
        members = np.stack([end - self.spread, end + self.spread])
        return end, members, np.full(len(start), self.held)

    def trusted(self, latent):
        return np.ones(len(latent), bool)


@pytest.fixture
def field(small, monkeypatch):
    """Give the model of `small` a field."""

    def give(**options):
        drift = Straight(small.model.n_latent, **options)
        monkeypatch.setattr(small.model, "parts", {**small.model.parts, "drift": drift})
        return drift

    return give


def test_states_follow_the_field_and_values_are_those_expected_there(small, field):
    drift, cells = field(), small.mdata.obs_names[[3, 250, 120]]
    later = scvcell.tl.forecast(small.mdata, small.model, time=2.0, cells=list(cells))
    start = small.mdata.obsm["X_csl"][small.mdata.obs_names.get_indexer(cells)]
    np.testing.assert_allclose(later.obsm["X_csl"], start + 2 * drift.step, atol=1e-4)
    assert later.obs["source_cell"].tolist() == cells.tolist()
    assert later.obs_names.tolist() == [f"{name}-2" for name in cells]
    assert set(later.obs["forecast_time"]) == {2.0}
    assert set(later.obs["action"]) == {"none"}
    readout = small.model.readout(small.model.view().subset(small.mdata.obs_names.get_indexer(cells)), "rna")
    with torch.no_grad():
        z = torch.tensor(later.obsm["X_csl"])
        expected = readout.operator.predictive(z, readout.at(np.arange(3))).mean
    np.testing.assert_allclose(later["rna"].X, expected, rtol=1e-4)


def test_members_that_agree_have_no_interval_and_others_have_one_around_the_value(small, field):
    field()
    sure = scvcell.tl.forecast(small.mdata, small.model, time=1.0)["adt"]
    np.testing.assert_allclose(sure.layers["lower"], sure.X, rtol=1e-4)
    field(spread=0.2)
    wide, narrow = (scvcell.tl.forecast(small.mdata, small.model, time=1.0, level=v)["adt"] for v in (0.95, 0.5))
    assert (wide.layers["lower"] <= narrow.layers["lower"] + 1e-6).all()
    assert (wide.layers["upper"] >= narrow.layers["upper"] - 1e-6).all()
    assert (wide.layers["upper"] > wide.X).any()


def test_what_the_data_do_not_support_is_refused_or_not_trusted(small, field):
    field(support=0.2)
    with pytest.raises(scvcell.errors.OutOfSupport, match=r"Every cell leaves what the data support within 3 \(day\)"):
        scvcell.tl.forecast(small.mdata, small.model, time=3)
    drift = field()
    drift.flow = lambda start, time: (start, np.stack([start, start]), np.linspace(0, 1, len(start)))
    found = scvcell.tl.forecast(small.mdata, small.model, time=1)
    assert (found.obs["trusted"] == (found.obs["support"] >= 0.5)).all()


@pytest.mark.parametrize(("time", "error"), [(-1, ValueError), (float("inf"), ValueError)])
def test_times_are_from_now_on(small, field, time, error):
    field()
    with pytest.raises(error, match="time must be 0 or later"):
        scvcell.tl.forecast(small.mdata, small.model, time=time)
