"""What cannot be used is refused before any fit: what was given, what is allowed, what to do next."""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from mudata import MuData

from scvcell import PerturbationKeys, pp, risk
from scvcell.risk import RiskConfig, Split
from scvcell.risk._plan import axes_of
from scvcell.risk.axes import ContextTranslation, Modality, Perturbation, Scale

KEYS = PerturbationKeys("drug", control="no")


class Never:
    """A predictor that must not be asked."""

    name = "never"

    def fit(self, data, split, seed):
        raise AssertionError("fitted before the check")

    def predict(self, question):
        raise AssertionError("asked before the check")


@pytest.fixture(scope="module")
def data():
    drug = np.repeat(["no", "a", "b", "c"], 12)
    obs = pd.DataFrame({"drug": drug}, index=[f"cell{i:02d}" for i in range(48)])
    obs["half"] = np.arange(48) % 2
    genes = pd.DataFrame(index=[f"gene{i}" for i in range(12)])
    return AnnData(np.random.default_rng(0).poisson(2.0, (48, 12)).astype(np.float32), obs, genes)


@pytest.fixture(scope="module")
def split(data):
    hidden = data.obs_names[(data.obs["drug"] == "a").to_numpy()]
    return Split(data.obs_names.difference(hidden), hidden[:0], hidden, "new target")


@pytest.fixture(autouse=True)
def soon():
    """What is refused is refused before any work."""
    start = time.process_time()
    yield
    assert time.process_time() - start < 2


@pytest.fixture
def evaluate(data, split):
    def run(predictors=None, **given):
        standard = {"split": split, "axes": [Perturbation(KEYS)], "config": RiskConfig(n_boot=20)}
        return risk.evaluate(Never() if predictors is None else predictors, data, **standard | given)

    return run


NETWORK = pd.DataFrame({"source": ["s"] * 6 + ["t"] * 6, "target": [f"other{i}" for i in range(12)]})


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"axes": []}, ValueError, "axes is empty. Give 'auto', or some of"),
        ({"axes": "auto"}, ValueError, "No axis suggests itself"),
        ({"axes": "perturbaton"}, KeyError, "Did you mean 'perturbation'"),
        ({"axes": "perturbation"}, ValueError, "needs to know what was done to cells"),
        ({"axes": "context translation"}, ValueError, "needs by"),
        ({"axes": [3]}, TypeError, "An axis is a name"),
        ({"axes": [Perturbation(KEYS), Perturbation(KEYS)]}, ValueError, "A mapping gives them names"),
        ({"axes": "context", "predictors": None}, ValueError, "needs to know"),
        ({"split": None}, ValueError, "only a fitted model carries one"),
        ({"split": "a"}, TypeError, "split takes a Split"),
        ({"split": []}, TypeError, "split takes a Split"),
        ({"readouts": ["efect"]}, KeyError, "Did you mean 'effect'"),
        ({"readouts": [3]}, TypeError, "A readout is a name"),
        ({"readouts": ["pathway"]}, ValueError, "its network"),
        ({"readouts": ["effect", "effect"]}, ValueError, "same name"),
        ({"readouts": [risk.Activity(NETWORK)]}, ValueError, "Name both alike"),
        ({"baselines": ["meen"]}, ValueError, "Did you mean 'mean'"),
        ({"baselines": 3}, TypeError, "takes 'all' or names"),
        ({"alpha": {"perturbation": -1}}, ValueError, "from 0 on"),
        ({"alpha": {"perturbation": float("nan")}}, ValueError, "from 0 on, not nan"),
        ({"alpha": {"perturbation": 0}}, ValueError, "0 for all axes"),
        ({"alpha": {"context": 1}}, ValueError, "not among the axes"),
        ({"groups": ["half"]}, ValueError, "No unit of these axes lies within one value"),
        ({"axes": [Perturbation(KEYS, level=0.5)]}, ValueError, "Give both the same: config=RiskConfig.level=0.5"),
        ({"groups": ["donor"]}, ValueError, "no column 'donor' of groups. It has drug"),
        ({"predictors": []}, ValueError, "There is no predictor"),
        ({"predictors": [Never(), Never()]}, ValueError, "Two predictors are called 'never'"),
        ({"predictors": {"replicate": Never()}}, ValueError, "name of the anchor"),
        ({"predictors": {"mean": Never()}}, ValueError, "as a baseline is"),
        ({"predictors": Never}, TypeError, "is no predictor"),
        ({"predictors": "scvcell"}, TypeError, "is no predictor"),
        ({"config": 3}, TypeError, "config must be a RiskConfig"),
        ({"axes": 3}, TypeError, "An axis is a name"),
        ({"readouts": 3}, TypeError, "A readout is a name"),
        ({"groups": 3}, TypeError, "groups takes names of obs columns, not 3"),
        ({"axes": [Perturbation(KEYS, modality="adt")]}, ValueError, "The data have no 'adt'. They have rna"),
    ],
)
def test_it_is_refused_before_any_fit(evaluate, given, error, says):
    with pytest.raises(error, match=says):
        evaluate(**given)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"n_boot": 1}, "n_boot"),
        ({"level": 1.0}, "level must lie between 0 and 1"),
        ({"level": 0}, "level must lie between 0 and 1"),
        ({"n_partitions": -1}, "n_partitions"),
        ({"seed": -1}, "seed"),
        ({"executor": "dask"}, "executor takes a concurrent.futures.Executor, .* not 'dask'"),
    ],
)
def test_settings_out_of_range(given, says):
    with pytest.raises((TypeError, ValueError), match=says):
        RiskConfig(**given)


@pytest.mark.parametrize("make", [Modality, Scale, partial(Perturbation, KEYS), partial(ContextTranslation, "batch")])
@pytest.mark.parametrize("level", [0, 1.5, float("nan")])
def test_levels_of_axes_out_of_range(make, level):
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        make(level=level)


def test_assays_that_are_not_there(evaluate):
    tables = {name: AnnData(np.ones((9, 3), np.float32)) for name in ("rna", "adt")}
    for name, table in tables.items():
        table.var_names = [f"{name}{i}" for i in range(3)]
    mdata = MuData(tables)
    split = Split(mdata.obs_names[:4], mdata.obs_names[:0], mdata.obs_names[4:])
    for axis in (Modality("rna", "at"), ContextTranslation("batch", "rna", "at"), Scale(modality="at")):
        with pytest.raises(ValueError, match=r"The data have no 'at'\. Did you mean 'adt'\? They have rna, adt"):
            list(axis.stress_tests(mdata, split))


def test_one_unit_is_told_before_any_fit(data, split, caplog):
    class Silent(Never):
        """Says how much was told when it is fitted."""

        def fit(self, data, split, seed):
            told.append([record.getMessage() for record in caplog.records])

        def predict(self, question):
            return None

    told = []
    more = data.obs_names[data.obs["drug"].isin(["a", "b"]).to_numpy()]
    both = Split(data.obs_names.difference(more), more[:0], more, "new target")
    for each, n in ((split, 1), (both, 0)):
        caplog.clear()
        with caplog.at_level("WARNING", logger="scvcell"):
            config = RiskConfig(n_boot=20, n_partitions=0)
            risk.evaluate(Silent(), data, split=each, axes=[Perturbation(KEYS)], baselines=(), config=config)
        assert sum("there is one unit, 'a'" in message for message in told[-1]) == n


def test_a_split_that_hides_nothing_of_the_kind(evaluate, data):
    controls = data.obs_names[(data.obs["drug"] == "no").to_numpy()][:5]
    hidden = Split(data.obs_names.difference(controls), controls[:0], controls)
    with pytest.raises(ValueError, match="hides no condition along the axis 'perturbation'"):
        evaluate(split=hidden)
    others = Split(pd.Index(["x"]), pd.Index([]), pd.Index(["y"]))
    with pytest.raises(ValueError, match="that the data lack"):
        evaluate(split=others)
    with pytest.raises(TypeError, match="Pairs are cells with two modalities"):
        evaluate(axes=[Modality()])


def test_cells_of_other_data(data, evaluate):
    split = pp.split(data, "drug", test=["a"])
    other = data.copy()
    other.var_names = [f"other{i}" for i in range(12)]
    with pytest.raises(ValueError, match=r"made for other data: modality 'rna' had 12 features.*Make it for these"):
        risk.evaluate(Never(), other, split=split, axes=[Perturbation(KEYS)])


def test_values_that_are_not_in_memory_and_paths(data, split, tmp_path):
    path = tmp_path / "cells.h5ad"
    data.write_h5ad(path)
    backed, corpus = read_h5ad(path, backed="r"), pp.read_corpus([path])
    hidden = risk.hold_out(corpus, "drug", "a")
    axis = Perturbation(KEYS)
    for held, of in ((backed, split), (corpus, hidden)):
        for ask in (
            partial(risk.evaluate, Never(), held, split=of, axes=[axis]),
            partial(risk.ask, Never(), axis, held, of),
            partial(risk.save_questions, axis, held, of, tmp_path / "questions"),
        ):
            with pytest.raises(ValueError, match=r"'rna' are not in memory .*to_memory\(\)"):
                ask()
    backed.file.close()
    for given in (str(path), [path], None):
        with pytest.raises(TypeError, match="Expected AnnData, MuData or SpatialData, got"):
            risk.evaluate(Never(), given, split=split, axes=[axis])


def test_a_cache_of_something_else(evaluate, tmp_path):
    with pytest.raises(OSError, match="cannot be written to"):
        evaluate(config=RiskConfig(cache="/proc/records"))
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds something else than records"):
        evaluate(config=RiskConfig(cache=tmp_path))


def test_names_of_predictors():
    from scvcell.risk._plan import predictors_of

    one = Never()
    assert predictors_of(one) == {"never": one}
    assert list(predictors_of({"a": one, "b": Never()})) == ["a", "b"]


def test_data_and_models_are_told_apart(data):
    from scvcell.risk._plan import digest_of, identity

    other = data.copy()
    other.X[0, 0] += 1
    assert digest_of(data) == digest_of(data.copy()) != digest_of(other)

    @dataclass
    class Held:
        of: object
        name: str

    assert identity(Held(object(), "a")) == identity(Held(object(), "a")) != identity(Held(object(), "b"))
    assert identity(risk.EffectBaseline("mean", KEYS)) != identity(risk.EffectBaseline("linear", KEYS))


def test_axes_suggest_themselves_by_what_any_predictor_reads(data, split):
    """A model that is still to be fitted, a baseline, or a predictor of your own with `keys` names columns too."""
    own = Never()
    own.keys = KEYS
    for who in (risk.ModelPredictor(options={"perturbation": KEYS}), risk.baselines.EffectBaseline("mean", KEYS), own):
        found = axes_of("auto", {"first": Never(), "who": who}, [split], data, RiskConfig())
        assert {axis.keys for axis in found.values()} == {KEYS}
        assert "perturbation" in found
    with pytest.raises(ValueError, match="No axis suggests itself"):
        axes_of("auto", {"first": Never()}, [split], data, RiskConfig())
