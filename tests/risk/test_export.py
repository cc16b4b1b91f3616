"""What is written for cell-eval2: whole counts at real depths, measured controls, the same actions on both sides."""

import sys
from dataclasses import dataclass, field
from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest

import scvcell
from scvcell import risk
from scvcell.risk import Effects, Split, save_cell_eval, score_cell_eval
from scvcell.risk._export import counts_after
from scvcell.risk.axes import Modality, Perturbation
from scvcell.risk.baselines import EffectBaseline

KEYS = scvcell.PerturbationKeys("action", control="control", context="cell_type")


@pytest.fixture(scope="module")
def screen():
    """A screen in two contexts, whose pairs are hidden."""
    data = scvcell.datasets.simulate_actions(600, n_targets=3, n_genes=30, n_proteins=4, n_types=2, seed=1)["rna"]
    pairs = data.obs_names[data.obs["action"].astype(str).str.contains(r"\+")]
    return data, Split(data.obs_names.difference(pairs), data.obs_names[:0], pairs, "pairs")


@pytest.fixture(scope="module")
def written(screen, tmp_path_factory):
    data, split = screen
    folder = tmp_path_factory.mktemp("pairs") / "additive"
    return save_cell_eval(EffectBaseline("additive", KEYS), Perturbation(KEYS), data, split, folder)


def log_shares(table):
    counts = table.to_df()
    return np.log1p(1e4 * counts.div(counts.sum(axis=1), axis=0))


def test_both_files_have_the_same_actions_features_and_measured_controls(screen, written):
    data, _ = screen
    folders = sorted(path for path in written.iterdir() if path.is_dir())
    assert len(folders) == 2, "one for each context"
    for folder in folders:
        pred, real = (anndata.read_h5ad(folder / f"{name}.h5ad") for name in ("pred", "real"))
        assert list(pred.var_names) == list(real.var_names) == list(data.var_names)
        counts = [table.obs["perturbation"].value_counts().to_dict() for table in (pred, real)]
        assert counts[0] == counts[1]
        assert set(counts[0]) == {"control", "T1+T2", "T1+T3", "T2+T3"}
        untreated = [table[table.obs["perturbation"] == "control"].X.toarray() for table in (pred, real)]
        np.testing.assert_array_equal(*untreated)
        names = real.obs_names[real.obs["perturbation"] == "control"].str.extract(r"(cell\d+)")[0]
        assert data.obs.loc[names, "cell_type"].nunique() == 1
        np.testing.assert_array_equal(data[names].X.toarray(), untreated[0])
        for table in (pred, real):
            x = table.X.toarray()
            assert (x == x.round()).all()
            assert (x >= 0).all()
        treated = pred.obs["perturbation"] != "control"
        depths = np.asarray(pred[treated].X.sum(1)).ravel()
        assert set(depths) <= set(untreated[0].sum(1)), "predicted cells are as deep as measured ones"


def test_predicted_cells_show_the_predicted_effect(screen, written):
    data, split = screen
    axis, predictor = Perturbation(KEYS), EffectBaseline("additive", KEYS)
    predictor.fit(axis.hide(data, split), split, 0)
    found, said = [], []
    for test in axis.stress_tests(data, split):
        kind = test.name.split(" in ")[1]
        for folder in (written / "0", written / "1"):
            pred = anndata.read_h5ad(folder / "pred.h5ad")
            values = log_shares(pred)
            names = pred.obs_names[pred.obs["perturbation"] == "control"].str.extract(r"(cell\d+)")[0]
            if data.obs.loc[names[0], "cell_type"] != kind:
                continue
            mean = values.groupby(pred.obs["perturbation"].astype(str)).mean()
            found.append(mean.loc[str(test.question.action)] - mean.loc["control"])
            said.append(predictor.predict(test.question).change["effect"])
    assert len(found) == 6
    assert np.corrcoef(np.concatenate(found), np.concatenate(said))[0, 1] > 0.9


CONTROLS = pd.DataFrame(np.random.default_rng(0).poisson(5, (40, 6)), columns=list("abcdef")).astype(float)


def test_whole_counts_are_taken_as_they_are():
    after = CONTROLS[list("fedcba")] + 1
    drawn = counts_after(Effects(pd.DataFrame(), after), CONTROLS, 25, np.random.default_rng(0))
    assert drawn.shape == (25, 6)
    assert not drawn.duplicated().any()
    rows = {tuple(row) for row in (CONTROLS + 1).to_numpy()}
    assert all(tuple(row) in rows for row in drawn.to_numpy())
    many = counts_after(Effects(pd.DataFrame(), after), CONTROLS, 90, np.random.default_rng(0))
    assert len(many) == 90
    assert many.drop_duplicates().shape[0] == CONTROLS.drop_duplicates().shape[0]


def test_an_effect_alone_is_put_on_the_untreated_cells():
    effect = pd.Series([1.0, 0, 0, 0, 0, -1.0], index=list("abcdef"))
    drawn = counts_after(Effects(pd.DataFrame({"effect": effect[::-1]})), CONTROLS, 4000, np.random.default_rng(0))
    assert (drawn == drawn.round()).all(axis=None)
    change = drawn.sum() / drawn.sum().sum() / (CONTROLS.sum() / CONTROLS.sum().sum())
    ratio = change / change["c"]
    np.testing.assert_allclose(ratio[["a", "f"]], np.exp([1.0, -1.0]), rtol=0.1)
    np.testing.assert_allclose(ratio[["b", "d", "e"]], 1, rtol=0.1)
    assert set(drawn.sum(axis=1)) <= set(CONTROLS.sum(axis=1))


class Some:
    """Answers one action only, with its effect alone."""

    name = "some"

    def fit(self, data, split, seed):
        self.features = data.var_names

    def predict(self, question):
        if str(question.action) != "T1+T2":
            return None
        return Effects(pd.DataFrame({"effect": 0.0}, self.features))


def test_what_is_not_answered_is_left_out_of_both(screen, tmp_path, caplog):
    data, split = screen
    folder = save_cell_eval(Some(), Perturbation(KEYS), data, split, tmp_path / "some")
    for name in ("pred", "real"):
        table = anndata.read_h5ad(folder / "0" / f"{name}.h5ad")
        assert set(table.obs["perturbation"]) == {"control", "T1+T2"}
    assert "some does not answer T1+T3 in type" in caplog.text


def test_an_axis_without_effects_is_refused(screen, tmp_path):
    mdata = scvcell.datasets.simulate(80, n_genes=20, n_proteins=4, paired=1.0, seed=3)
    split = risk.hide_pairing(mdata, "rna", "adt")
    with pytest.raises(ValueError, match="The axis 'modality' asks nothing about effects of actions"):
        save_cell_eval(risk.Translator(), Modality(), mdata, split, tmp_path / "none")
    data, split = screen
    with pytest.raises(ValueError, match="CCA answers no question of the axis 'perturbation'"):
        save_cell_eval(risk.LinearMatch(), Perturbation(KEYS), data, split, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_without_the_package_it_says_how_to_install_it(written, monkeypatch):
    monkeypatch.setitem(sys.modules, "cell_eval2", None)
    with pytest.raises(ImportError, match=r"needs cell-eval2, which is not installed: pip install 'scvcell\[eval\]'"):
        score_cell_eval(written)


@dataclass
class Config:
    """The fields of cell-eval2's settings that are set here."""

    preset: str = ""
    pert_col: str = ""
    control: str = ""
    device: str = ""
    num_threads: int = -1
    de: SimpleNamespace = field(default_factory=lambda: DE())
    target_gene_map: dict | None = None

    @classmethod
    def from_preset(cls, name):
        return cls(name)


@dataclass
class DE:
    backend: str = "auto"


def test_the_scorer_is_given_both_files_and_which_targets_are_features(written, tmp_path, monkeypatch):
    asked = []

    def compute_metrics(pred, real, config):
        asked.append((pred, real, config))
        table = pd.DataFrame({"perturbation": ["T1+T2"], "metric": ["pds"], "value": [0.5 * len(asked)]})
        return SimpleNamespace(to_dict=lambda as_series: table.to_dict("list"))

    package = SimpleNamespace(EvalConfig=Config, compute_metrics=compute_metrics)
    monkeypatch.setitem(sys.modules, "cell_eval2", package)
    found = score_cell_eval(written)
    assert list(found.columns) == ["context", "perturbation", "metric", "value"]
    assert found["value"].tolist() == [0.5, 1.0]
    assert found["context"].tolist() == ["0", "1"]
    pred, real, config = asked[0]
    assert (pred, real) == (str(written / "0" / "pred.h5ad"), str(written / "0" / "real.h5ad"))
    assert (config.preset, config.pert_col, config.control) == ("vcc2026", "perturbation", "control")
    assert config.de.backend == "scanpy"
    assert config.target_gene_map == {"*": None}
    with pytest.raises(FileNotFoundError, match=r"has no pairs\.json. Write it with scvcell\.risk\.save_cell_eval"):
        score_cell_eval(tmp_path)


def test_real_scores_tell_a_good_prediction_from_none(screen, written, tmp_path):
    pytest.importorskip("cell_eval2", reason="needs the extra eval")
    data, split = screen
    nothing = save_cell_eval(EffectBaseline("control", KEYS), Perturbation(KEYS), data, split, tmp_path / "control")
    good, none = (score_cell_eval(path).groupby("metric")["value"].mean() for path in (written, nothing))
    assert good["pds_cosine"] > none["pds_cosine"]
    assert good["de_wilcoxon_lfc_nmae"] < none["de_wilcoxon_lfc_nmae"]
