"""What is compared are raw counts, wherever a model reads them; values that are none are refused before any fit."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from scvcell import PerturbationKeys, risk
from scvcell.risk._adapters import keys_read
from scvcell.risk._counts import counted

KEYS = PerturbationKeys("drug", control="no")


@pytest.fixture
def raw():
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"drug": np.repeat(["no", "a", "b"], 40)}, index=[f"cell{i}" for i in range(120)])
    mean = rng.gamma(2, 1, 15) * np.where(obs["drug"].to_numpy()[:, None] == "no", 1, rng.gamma(2, 0.5, 15))
    genes = pd.DataFrame(index=[f"gene{i}" for i in range(15)])
    return AnnData(sp.csr_matrix(rng.poisson(mean).astype(np.float32)), obs, genes)


def logged(adata):
    """As after sc.pp.normalize_total and sc.pp.log1p, with the counts in a layer."""
    out = adata.copy()
    out.layers["counts"] = adata.X.copy()
    out.X = sp.csr_matrix(np.log1p(adata.X.toarray() / adata.X.sum(1) * 1e4))
    return out


class Halves:
    """Half of the mean effect of what is seen, by the counts that `X` holds."""

    name = "halves"

    def __init__(self, **options):
        self.options = options

    def fit(self, data, split, seed):
        self.mean = risk.baselines.EffectBaseline("mean", KEYS)
        self.mean.fit(data, split, seed)

    def predict(self, question):
        told = self.mean.predict(question)
        return None if told is None else risk.Effects(told.change * 0.5)


def split_of(adata):
    test = adata.obs_names[(adata.obs["drug"] == "b").to_numpy()]
    return risk.Split(adata.obs_names.difference(test), test[:0], test, "new target")


def report(adata, who, **given):
    config = risk.RiskConfig(n_boot=20)
    return risk.evaluate(who, adata, split=split_of(adata), axes=[risk.axes.Perturbation(KEYS)], config=config, **given)


def test_counts_in_a_layer_give_the_report_of_counts_in_x(raw):
    data = logged(raw)
    before = data.copy()
    one, other = report(raw, Halves()), report(data, Halves(layers="counts"))
    for name in ("rows", "summary", "total"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    assert (data.X != before.X).nnz == 0
    assert list(data.layers) == list(before.layers)


def test_normalised_values_are_refused_and_where_counts_are_is_told(raw):
    data = logged(raw)
    with pytest.raises(ValueError, match=r"X of 'rna' .*not whole.*adata\.X = adata\.layers\['counts'\], or give a mo"):
        report(data, Halves())
    with pytest.raises(ValueError, match=r"reads layers\[.count.\] of .rna., which the data lack"):
        report(data, Halves(layers="count"))
    del data.layers["counts"]
    with pytest.raises(ValueError, match=r"not whole.*Raw counts are needed there\."):
        report(data, Halves())
    scaled = raw.copy()
    scaled.X = raw.X.toarray() - 1
    with pytest.raises(ValueError, match="negative values"):
        report(scaled, Halves())
    with pytest.raises(ValueError, match=r"one predictor reads layers\['counts'\] and another one X"):
        report(logged(raw), {"one": Halves(layers="counts"), "two": Halves(layers={})})


def test_files_of_questions_hold_counts(raw, tmp_path):
    with pytest.raises(ValueError, match="what is compared are raw counts"):
        risk.save_questions(risk.axes.Perturbation(KEYS), logged(raw), split_of(raw), tmp_path / "asked")
    assert not list(tmp_path.glob("asked/*"))


def test_each_assay_has_its_layer_and_what_is_no_assay_of_counts_stays(raw):
    profile = AnnData(np.random.default_rng(1).normal(size=(120, 4)), raw.obs.copy())
    data = MuData({"rna": logged(raw), "morphology": profile, "panel": logged(raw)})
    who = Halves(layers={"rna": "counts"}, measure={"morphology": "profile"})
    out = counted(data, [who])
    assert (out["rna"].X != raw.X).nnz == 0
    np.testing.assert_array_equal(out["morphology"].X, profile.X)
    assert (out["panel"].X != data["panel"].X).nnz == 0, "nobody says that these are counts"
    by_one_name = counted(data, [Halves(layers="counts")])
    assert (by_one_name["panel"].X != raw.X).nnz == 0, "one layer is that of all that have it"
    with pytest.raises(ValueError, match="what is compared are raw counts"):
        counted(data, [Halves(layers={"rna": "counts"}, measure={"panel": ("counts", {})})])
    assert counted(raw, [SimpleNamespace()]) is raw


def test_options_of_other_predictors_may_mean_what_they_will(raw):
    for options in ({"layers": 2}, {"layers": [128, 64], "perturbation": "drug"}):
        who = SimpleNamespace(options=options)
        assert counted(raw, [who]) is raw
        assert keys_read(who) is None
    assert keys_read(SimpleNamespace(options=["--fast"])) is None


def test_effects_are_those_of_counts(raw):
    profile = raw.copy()
    profile.X = np.random.default_rng(1).normal(size=raw.shape)
    data = MuData({"rna": raw, "morphology": profile})
    axis = risk.axes.Perturbation(KEYS, modality="morphology")
    with pytest.raises(ValueError, match="X of 'morphology' has negative values"):
        risk.evaluate(Halves(), data, split=split_of(raw), axes=[axis])
