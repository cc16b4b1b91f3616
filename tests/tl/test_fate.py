"""In which group cells end, by a field that leads there."""

import numpy as np
import pytest

import scvcell


class Towards:
    """A field that leads every state to one point."""

    columns, references = (), ()

    def __init__(self, goal, trusted=True):
        self.goal, self.sure = goal, trusted

    def velocity(self, latent):
        return self.goal - latent

    def members(self, latent):
        return [self.velocity(latent)] * 3

    def trusted(self, latent):
        return np.full(len(latent), self.sure)


@pytest.fixture
def lead(small, monkeypatch):
    """Give the model of `small` a field to the mean state of a type."""

    def give(kind, **options):
        here = (small.mdata.obs["celltype"] == kind).to_numpy()
        goal = small.mdata.obsm["X_csl"][here].mean(0).astype(float)
        monkeypatch.setattr(small.model, "parts", {"drift": Towards(goal, **options)})
        return small.mdata, small.model

    return give


def ends(mdata):
    """A few cells of two types are ends; all others are on the way."""
    kind = mdata.obs["celltype"].astype(str).to_numpy(copy=True).astype(object)
    few = np.arange(len(kind)) % 4 == 0
    return np.where(few & np.isin(kind, ["alpha", "beta"]), kind, None)


def test_cells_end_where_the_field_leads(lead, monkeypatch):
    """All cells are neighbours, so that each can reach both ends."""
    monkeypatch.setattr("scvcell._stats._walk.N_NEIGHBOURS", 299)
    found = {}
    for goal in ("alpha", "beta"):
        mdata, model = lead(goal)
        data = mdata.copy()
        data.obs["end"] = ends(mdata)
        table = scvcell.tl.fate(data, model, groupby="end", terminal=["alpha", "beta"])
        np.testing.assert_allclose(table.X.sum(1), 1, atol=1e-6)
        np.testing.assert_allclose(table.layers["lower"], table.layers["upper"])
        own = data.obs["end"].to_numpy() == "alpha"
        assert (table[own, "alpha"].X == 1).all()
        found[goal] = table.to_df()["alpha"][data.obs["end"].isna()].mean()
    assert found["alpha"] > found["beta"] + 0.1


def test_without_trust_no_end_is_named(lead):
    mdata, model = lead("alpha", trusted=False)
    with pytest.raises(ValueError, match=r"as far as velocities are trusted \(0% of cells.*terminal="):
        scvcell.tl.fate(mdata, model, groupby="celltype")


def test_unknown_groups_are_named(lead):
    mdata, model = lead("alpha")
    with pytest.raises(ValueError, match=r"no group 'alphaa'. Did you mean 'alpha'\? Groups: alpha, beta, gamma"):
        scvcell.tl.fate(mdata, model, groupby="celltype", terminal="alphaa")
    with pytest.raises(KeyError, match="No obs column 'cluster'"):
        scvcell.tl.fate(mdata, model, groupby="cluster")


def test_a_model_without_a_field_says_what_to_run(small):
    with pytest.raises(scvcell.errors.NotLearned, match=r"Run `scvcell.tl.velocity"):
        scvcell.tl.fate(small.mdata, small.model, groupby="celltype")
