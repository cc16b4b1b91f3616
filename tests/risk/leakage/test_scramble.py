"""What a fit says of training cells does not move when test cells become noise; what peeks does."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

import scvcell
from scvcell import PerturbationKeys, risk
from scvcell._containers import view
from scvcell.risk import Effects, Split, States, scramble
from scvcell.risk.leakage import audit, with_noise
from scvcell.risk.leakage._scramble import MOST, _fewer


class Components:
    """Places cells by principal components of log counts of all cells, or of training cells alone."""

    def __init__(self, name, honest, held=None):
        self.name, self.honest, self.held = name, honest, held

    def fit(self, data, split, seed):
        self.data = data if self.held is None else self.held
        adata = view(self.data).modalities["rna"]
        x = np.log1p(adata.X.toarray())
        rows = adata.obs_names.isin(split.train) if self.honest else np.ones(adata.n_obs, bool)
        self.centre = x[rows].mean(0)
        self.axes = np.linalg.svd(x[rows] - self.centre, full_matrices=False)[2][:3]

    def predict(self, question):
        if not isinstance(question, risk.Place):
            return None
        placed = {}
        for modality, cells in question.cells.items():
            if modality == "rna":
                x = np.log1p(view(self.data).modalities["rna"][cells].X.toarray())
                placed[modality] = pd.DataFrame((x - self.centre) @ self.axes.T, cells)
        return States(placed)


class MeanEffect:
    """The mean difference of treated cells from controls, of all cells or of training cells alone."""

    def __init__(self, name, honest):
        self.name, self.honest = name, honest

    def fit(self, data, split, seed):
        seen = view(data)
        x = pd.DataFrame(np.log1p(seen.modalities["rna"].X.toarray()), seen.obs_names)
        rows = seen.obs_names.isin(split.train) if self.honest else np.ones(seen.n_obs, bool)
        treated = (seen.column("drug") != "no").to_numpy()
        self.effect = x[rows & treated].mean() - x[rows & ~treated].mean()

    def predict(self, question):
        return Effects(pd.DataFrame({"effect": self.effect})) if isinstance(question, risk.Effect) else None


@pytest.fixture(scope="module")
def cell_state(quick):
    """A mosaic, a split by chance, and how far answers of a cell-state latent move."""
    mdata = scvcell.datasets.simulate(200, n_genes=40, n_proteins=6, paired=0.7, keep_truth=False, seed=1)
    names = mdata.obs_names[np.random.default_rng(0).permutation(mdata.n_obs)]
    split = Split(names[:150], names[:0], names[150:], "other cells")
    predictor = risk.ModelPredictor(options={"batch_key": "batch", "train": quick})
    return SimpleNamespace(mdata=mdata, split=split, predictor=predictor, moved=scramble(predictor, mdata, split))


def test_a_fit_does_not_move_at_all(cell_state):
    assert cell_state.moved == 0
    assert cell_state.predictor.model is None, "the predictor that was given is not the one that was fitted"
    assert "X_csl" not in cell_state.mdata.obsm
    hidden = cell_state.mdata.copy()
    peeks = scramble(Components("peeks", honest=False), hidden, cell_state.split)
    assert peeks > 0.01, "the same test sees it where there is something to see"


@pytest.mark.parametrize("honest", [True, False])
def test_honest_and_peeking_baselines(donors, honest):
    for make in (Components("PCA", honest), lambda: Components("PCA", honest)):
        moved = scramble(make, donors.adata, donors.split)
        assert (moved == 0) == honest
    effects = MeanEffect("mean", honest)
    assert (scramble(effects, donors.adata, donors.split, perturbation=donors.keys) == 0) == honest
    assert scramble(Components("PCA", False), donors.adata, donors.split, taken_out=True) == 0


def test_what_holds_the_data_is_found_though_test_cells_are_taken_out(donors):
    hidden = Components("hidden", honest=False, held=donors.adata)
    assert scramble(hidden, donors.adata, donors.split, taken_out=True) > 0
    assert hidden.held is donors.adata


def test_where_nothing_is_answered_nothing_is_known(donors):
    assert np.isnan(scramble(MeanEffect("mean", honest=True), donors.adata, donors.split))


def test_verdicts_of_predictors(donors):
    class Broken(MeanEffect):
        def fit(self, data, split, seed):
            raise KeyError("gone")

    predictors = [
        *(Components("honest", True), Components("all it is given", False)),
        *(Components("hidden", False, donors.adata), Broken("broken", True), risk.Translator("mean profile")),
    ]
    found = audit(donors.adata, donors.split, perturbation=donors.keys, predictors=predictors)
    rows = found.table[found.table["check"] == "scramble"].set_index("predictor")
    assert rows["verdict"].to_dict() == {
        **{"honest": "green", "all it is given": "amber", "hidden": "red", "broken": "amber"},
        "mean profile": "amber",
    }
    assert rows.loc["honest", "value"] == 0
    assert "KeyError: 'gone'" in rows.loc["broken", "says"]
    assert "answers no question" in rows.loc["mean profile", "says"]
    assert found.blocks("hidden").startswith("scramble: hidden has seen the test cells")
    assert not found.blocks("honest")


def test_noise_has_the_values_of_training_cells_and_touches_no_other_cell(donors):
    adata, split = donors.adata, donors.split
    adata.layers["counts"] = adata.X.toarray()
    adata.obsm["X_pca"] = np.arange(2.0 * adata.n_obs).reshape(-1, 2)
    adata.raw = adata
    before, noisy = adata.copy(), with_noise(adata, split, np.random.default_rng(0))
    test = adata.obs_names.isin(split.test)
    assert sp.issparse(noisy.X)
    assert noisy.X.dtype == adata.X.dtype
    for here, there in ((noisy.X, adata.X), (noisy.layers["counts"], adata.X), (noisy.raw.X, adata.X)):
        one, other = (x.toarray() if sp.issparse(x) else x for x in (here, there))
        np.testing.assert_array_equal(one[~test], other[~test])
        assert (one[test] != other[test]).mean() > 0.4
        for j in range(0, adata.n_vars, 10):
            assert set(one[test, j]) <= set(other[~test, j])
    assert not np.isin(noisy.obsm["X_pca"][test], adata.obsm["X_pca"][test]).any()
    assert (adata.X != before.X).nnz == 0
    np.testing.assert_array_equal(noisy.layers["counts"], noisy.X.toarray())


def test_noise_of_several_assays(mosaic):
    mdata = mosaic(90)
    split = Split(mdata.obs_names[:60], mdata.obs_names[:0], mdata.obs_names[60:], "other cells")
    noisy = with_noise(mdata, split, np.random.default_rng(0))
    assert isinstance(noisy, MuData)
    for name in ("rna", "adt"):
        moved = np.asarray((noisy[name].X != mdata[name].X).sum(1)).ravel() > 0
        np.testing.assert_array_equal(moved, mdata[name].obs_names.isin(split.test))


def test_questions_of_an_axis(mosaic):
    mdata = mosaic(90)
    paired = mdata["rna"].obs_names.intersection(mdata["adt"].obs_names)
    split = Split(mdata.obs_names.difference(paired[:10]), paired[:0], paired[:10], "hidden pairing")
    axis = risk.axes.Modality("rna", "adt")
    assert np.isnan(scramble(risk.Translator("mean profile"), mdata, split, axis)), "all are about test cells"


def test_a_predictor_may_hold_other_data(donors, mosaic):
    """Of several assays too, in a mapping as well as by itself; what it holds is not what its copy works on."""
    held = mosaic(60)
    makes = [Components("held", True), Components("held", True)]
    makes[0].other, makes[1].other = held, {"reference": held}
    for make in makes:
        assert scramble(make, donors.adata, donors.split) == 0
    assert makes[0].other is held


def test_contexts_are_those_that_the_predictor_reads():
    """The axis knows of donors, the predictor of their cell types, of which one has treated cells alone here."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"drug": rng.choice(["no", "A"], 400), "donor": rng.choice(["d1", "d2"], 400)})
    obs["cell_type"] = rng.choice(["T", "B"], 400)
    obs.index = [f"c{i}" for i in range(400)]
    obs.iloc[:3] = [["no", "d1", "rare"], ["A", "d1", "rare"], ["A", "d2", "rare"]]
    adata = AnnData(rng.poisson(2, (400, 5)).astype(np.float32), obs)
    test = adata.obs_names[(adata.obs["drug"] == "A") & (adata.obs["donor"] == "d1")]
    split = Split(adata.obs_names.difference(test), test[:0], test, "other donor")
    keys = PerturbationKeys("drug", control="no", context=("donor", "cell_type"))
    small = _fewer(adata, split, keys, 0)
    assert {"c0", "c1"} <= set(small.obs_names), "the one control of a context is kept"
    assert "c2" not in small.obs_names, "nothing to compare it with"


def test_a_large_screen_keeps_all_its_actions():
    drug = np.random.default_rng(0).choice(["no", "A", "B"], 3000)
    obs = pd.DataFrame({"drug": drug}, index=[f"c{i}" for i in range(3000)])
    adata = AnnData(np.ones((3000, 2), np.float32), obs)
    adata.obs.loc[adata.obs_names[:3], "drug"] = "rare"
    split = Split(adata.obs_names[:2000], adata.obs_names[2000:2500], adata.obs_names[2500:], "other cells")
    keys = PerturbationKeys("drug", control="no")
    small = _fewer(adata, split, keys, 0)
    assert small.n_obs == sum(MOST.values())
    assert (small.obs["drug"] == "rare").sum() == 3
    assert small.obs_names.equals(adata.obs_names[adata.obs_names.isin(small.obs_names)])
