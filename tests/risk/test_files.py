"""Answers in files are those of whoever wrote them, whatever the order; what cannot be an answer is refused."""

import json

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scvcell
from scvcell import risk, score
from scvcell.risk import Effect, FilesPredictor, LinearMatch, Split, StressTest, Translator, save_questions
from scvcell.risk._files import LEVELS, as_plain
from scvcell.risk.axes import Axis, Modality


@pytest.fixture(scope="module")
def world():
    mdata = scvcell.datasets.simulate(150, n_genes=30, n_proteins=8, paired=0.8, seed=0)
    return mdata, risk.hide_pairing(mdata, "rna", "adt", share=0.3, seed=1), Modality("rna", "adt")


@pytest.fixture(scope="module")
def answered(world, tmp_path_factory):
    """A folder that CCA and ridge regression answered, knowing only what stands in it; rows and columns mixed."""
    mdata, split, axis = world
    folder = save_questions(axis, mdata, split, tmp_path_factory.mktemp("answers") / "others")
    about = json.loads((folder / "questions.json").read_text())
    seen = mudata.read_h5mu(folder / about["data"])
    match, translate = LinearMatch(), Translator()
    rng = np.random.default_rng(0)
    for question in about["questions"]:
        for predictor in (match, translate):
            predictor.fit(seen, Split(*(pd.Index(about["split"][part]) for part in about["split"])), 0)
        if question["kind"] == "Place":
            cells = {m: pd.Index(names) for m, names in question["cells"].items()}
            states = match.predict(risk.Place(cells)).of
            every = pd.Index(np.concatenate(list(cells.values())))[::-1]
            table = AnnData(obs=pd.DataFrame(index=every))
            for m, frame in states.items():
                table.obsm[f"X_{m}"] = frame.reindex(every).to_numpy()
        else:
            asked = risk.Translate(question["source"], question["to"], pd.Index(question["cells"]), question["level"])
            point = np.maximum(translate.predict(asked).point, 0)
            point = point.iloc[rng.permutation(len(point)), rng.permutation(point.shape[1])]
            quantiles = {key: (0.5 + level) * point for key, level in LEVELS.items()}
            table = AnnData(point, layers={"lower": 0.5 * point, "upper": 2 * point + 1} | quantiles)
        table.write_h5ad(folder / question["answer"])
    return folder


def test_answers_in_files_score_as_their_makers(world, answered):
    mdata, split, axis = world
    found = risk.ask(FilesPredictor(answered), axis, mdata, split).set_index(["test", "metric"])["value"]
    match, translate = (
        risk.ask(p, axis, mdata, split).set_index(["test", "metric"]) for p in (LinearMatch(), Translator())
    )
    for maker in (match, translate):
        theirs = maker["value"][maker["value"].index.get_level_values("metric") != "answered"]
        assert len(theirs) > 2
        pd.testing.assert_series_equal(found[theirs.index], theirs, rtol=1e-5, check_names=False)
    assert (found.xs("answered", level="metric") == 1).all()
    (test,) = [test for test in axis.stress_tests(mdata, split) if test.name == "rna to adt"]
    predictor, true = Translator(), test.truth()
    predictor.fit(axis.hide(mdata, split), split, 0)
    point = np.maximum(predictor.predict(test.question).point.loc[true.index, true.columns], 0)
    inside = (true >= 0.5 * point) & (true <= 2 * point + 1)
    assert found["rna to adt", "coverage"] == pytest.approx(inside.to_numpy().mean(), abs=0.01)
    at = [np.log1p((0.5 + level) * point.to_numpy()) for level in LEVELS.values()]
    expected = score.crps_quantiles(np.log1p(true.to_numpy()), np.array(at), np.array(list(LEVELS.values()))).mean()
    assert found["rna to adt", "crps_quantiles"] == pytest.approx(expected, rel=1e-4)
    assert FilesPredictor(answered).name == "others"
    assert FilesPredictor(answered, "mine").name == "mine"


def test_what_is_seen_holds_no_truth(world, answered):
    mdata, split, _ = world
    seen = mudata.read_h5mu(answered / "seen.h5mu")
    assert not seen.obs_names.isin(split.test).any()
    assert seen["rna"].n_obs == mdata["rna"].n_obs


@pytest.fixture
def asked(world, answered):
    """The question from RNA to proteins, its file, and a function that asks after the file was changed."""
    mdata, split, axis = world
    (test,) = [test for test in axis.stress_tests(mdata, split) if test.name == "rna to adt"]
    predictor = FilesPredictor(answered)
    predictor.fit(axis.hide(mdata, split), split, 0)
    (file,) = answered.glob("*-rna-to-adt.h5ad")
    before = file.read_bytes()

    def ask(change):
        change(anndata.read_h5ad(file)).write_h5ad(file)
        return predictor.predict(test.question)

    yield ask
    file.write_bytes(before)


def set_value(table, value):
    table.X[2, 3] = value
    return table


def renamed(table, axis, name):
    """The first cell or feature under another name; none: that of the second."""
    names = getattr(table, axis).to_list()
    names[0] = names[1] if name is None else name
    setattr(table, axis, names)
    return table


def crossed(table):
    table.layers["lower"] = np.asarray(table.layers["upper"]) + 1
    return table


def one_end(table):
    del table.layers["lower"]
    return table


@pytest.mark.filterwarnings("ignore:.*names are not unique")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: set_value(t, np.nan), r"answers nan for 'hidden .*1 values that are not finite. Leave out cells"),
        (lambda t: set_value(t, -np.inf), r"gives infinite numbers in point of Values"),
        (lambda t: set_value(t, -2), r"answers -2 for .*1 values below 0; 'adt' has none"),
        (lambda t: t[:, 1:].copy(), r"lacks 1 of the 8 features of 'adt', e\.g\. 'protein\d'. Answer for all, in any"),
        (lambda t: renamed(t, "var_names", None), r"names 'protein\d' twice in point of Values"),
        (lambda t: renamed(t, "var_names", "CD3"), r"1 features that 'adt' does not have, e\.g\. 'CD3'; it has 8"),
        (lambda t: renamed(t, "obs_names", None), r"answers twice for the cell "),
        (
            lambda t: renamed(t, "obs_names", "me"),
            r"answers for 1 cells that were not asked for, e\.g\. 'me'",
        ),
        (lambda t: AnnData(obs=t.obs, var=t.var), r"rna-to-adt\.h5ad\) has no values in X"),
        (crossed, r"whose lower end lies above the upper one"),
        (one_end, r"Give both ends of the interval"),
    ],
)
def test_what_cannot_be_an_answer_is_refused(asked, change, message):
    with pytest.raises(ValueError, match=message):
        asked(change)


def test_cells_may_be_left_out(asked):
    every = len(asked(lambda table: table.copy()).point)
    assert len(asked(lambda table: table[3:].copy()).point) == every - 3


def test_a_question_without_a_file_is_not_answered(world, answered):
    mdata, split, axis = world
    (file,) = answered.glob("*-adt-to-rna.h5ad")
    kept = file.read_bytes()
    file.unlink()
    found = risk.ask(FilesPredictor(answered), axis, mdata, split).set_index(["test", "metric"])["value"]
    file.write_bytes(kept)
    assert found["adt to rna", "answered"] == 0
    assert found["rna to adt", "answered"] == 1


def test_folders_of_something_else_are_refused(world, answered, tmp_path):
    mdata, split, axis = world
    with pytest.raises(
        FileNotFoundError, match=r"has no questions\.json. Write the questions with scvcell\.risk\.save"
    ):
        FilesPredictor(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"has no answers. For each question write .*'0000-match-rna-and-adt\.h5ad'"
    ):
        FilesPredictor(save_questions(axis, mdata, split, tmp_path / "empty"))
    with pytest.raises(ValueError, match=r"holds questions already. Give a folder of its own"):
        save_questions(axis, mdata, split, answered)
    other = risk.hide_pairing(mdata, "rna", "adt", share=0.3, seed=2)
    with pytest.raises(ValueError, match=r"others' was written for other data, or another split of them"):
        risk.ask(FilesPredictor(answered), axis, mdata, other)
    with pytest.raises(ValueError, match=r"others' was written for other questions than this Translate. Write them"):
        risk.ask(FilesPredictor(answered), Modality("rna", "adt", level=0.8), mdata, split)


class OneEffect(Axis):
    """Asks one effect, to write and read it."""

    name, metrics = "one effect", ()

    def hide(self, data, split):
        return data

    def stress_tests(self, data, split):
        action = scvcell.Action({"T1": 10.0}, time=24)
        question = Effect(action, data.obs_names[:5], n_treated=20)
        yield StressTest(self.name, "T1 / 24 h", "", 0.0, "", question, lambda: None)

    def score(self, test, prediction):
        return {}


def test_effects_in_files(tmp_path):
    adata = scvcell.datasets.simulate(40, n_genes=10, n_proteins=4, seed=0)["rna"]
    split, axis = Split(adata.obs_names[:-1], adata.obs_names[:0], adata.obs_names[-1:]), OneEffect()
    folder = save_questions(axis, adata, split, tmp_path / "effects")
    (question,) = json.loads((folder / "questions.json").read_text())["questions"]
    assert question["label"] == "T1 10, until 24"
    assert question["n_treated"] == 20
    assert scvcell.Action.from_dict(question["action"]) == scvcell.Action({"T1": 10.0}, time=24)
    var = pd.DataFrame({"effect": np.arange(10.0), "lower": -1.0, "upper": 20.0}, adata.var_names)[::-1]
    AnnData(np.ones((3, 10)), var=var).write_h5ad(folder / question["answer"])
    (test,) = axis.stress_tests(adata, split)
    assert as_plain(test.question) | {"answer": question["answer"]} == question
    predictor = FilesPredictor(folder)
    predictor.fit(adata, split, 0)
    found = predictor.predict(test.question)
    np.testing.assert_array_equal(found.change.loc[adata.var_names, "effect"], np.arange(10.0))
    assert found.after.shape == (3, 10)
    for change, message in (
        (var.assign(effect=np.nan), "not finite"),
        (var.drop(columns="upper"), r"gives 'lower' of effects without the other end"),
        (var[["lower"]], r"has no var\['effect'\]; it has \['lower'\]"),
        (var[1:], r"lacks 1 of the 10 features of 'rna'"),
        (var.assign(lower=30.0), "whose lower end is above the upper one"),
    ):
        AnnData(var=change, obs=pd.DataFrame(index=pd.Index([], dtype=str))).write_h5ad(folder / question["answer"])
        with pytest.raises(ValueError, match=message):
            predictor.predict(test.question)
