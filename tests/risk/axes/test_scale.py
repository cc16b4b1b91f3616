"""The axis of scales: sums tell nothing but themselves, and scores are those of the answer."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from mudata import MuData
from scipy.optimize import nnls
from scipy.spatial import KDTree

import scvcell
from scvcell import risk
from scvcell.risk import Values
from scvcell.risk.axes import AXES, Axis, Scale

AXIS = Scale(sizes=(1, 4, 9), n_patches=40, section_key="section", keep=("section",), seed=3)


@pytest.fixture(scope="module")
def world():
    cells = scvcell.datasets.simulate_tissue(400, n_genes=60, seed=2)["cells"]
    return cells, risk.hold_out(cells, "donor", "donor2")


def truths(world, axis=AXIS):
    return {test.name: (test.question, test.truth()) for test in axis.stress_tests(*world)}


class Told:
    """Answers by a function of the question."""

    name = "told"

    def __init__(self, answer):
        self.answer = answer

    def fit(self, data, split, seed):
        self.data = data

    def predict(self, question):
        return self.answer(self.data, question)


def value(found, metric, test):
    return found.loc[(found["metric"] == metric) & (found["test"] == test), "value"].item()


def test_it_is_registered_and_plain():
    assert AXES["scale"] is Scale
    assert issubclass(Scale, Axis)
    assert hash(AXIS) == hash(Scale(sizes=(1, 4, 9), n_patches=40, section_key="section", keep=("section",), seed=3))


def test_nothing_of_the_test_cells_is_left_but_sums(world):
    cells, split = world
    before = cells.X.copy()
    seen = AXIS.hide(cells, split)
    assert set(seen.mod) == {"rna", "patches"}
    assert sorted(seen["rna"].obs_names) == sorted(split.train)
    assert set(seen["rna"].obs) == {"cell_type", "section"}
    assert set(seen["patches"].obs) == {"section"}
    for part in seen.mod.values():
        assert not part.obsm
        assert not part.layers
        assert not part.uns
    assert seen["patches"].n_obs == 120
    withheld = set(cells.var_names) - set(seen["patches"].var_names)
    assert len(withheld) == 12
    order = list(seen["patches"].obs_names)
    assert order != sorted(order)
    assert (before != cells.X).nnz == 0


def test_patches_are_the_nearest_cells_of_one_section(world):
    cells, split = world
    two = cells.copy()
    two.obs["section"] = np.where(two.obsm["spatial"][:, 0] > 150, "far", "near") + two.obs["donor"].astype(str)
    test = two[split.test]
    answers = truths((two, split))
    seen = AXIS.hide(two, split)["patches"]
    question, shares = answers["cell_type, patches of 4"]
    hidden = answers["hidden features, patches of 4"][1]
    whole = pd.concat([seen.to_df().loc[shares.index], hidden.loc[shares.index]], axis=1)[two.var_names]
    pools = {}
    for section in test.obs["section"].unique():
        here = test[test.obs["section"] == section]
        near = KDTree(here.obsm["spatial"]).query(here.obsm["spatial"], k=4)[1]
        for row in near:
            types = here.obs["cell_type"].iloc[row].value_counts() / 4
            pools[tuple(np.asarray(here.X[row].sum(0)).ravel())] = (section, types)
    assert len(shares) == 40
    for name in shares.index:
        section, types = pools[tuple(whole.loc[name])]
        assert seen.obs["section"][name] == section
        assert shares.loc[name].to_dict() == pytest.approx(types.reindex(shares.columns).fillna(0).to_dict())
    assert list(question.cells) == sorted(shares.index)


def test_questions_hold_no_answer_and_get_harder(world):
    tests = list(AXIS.stress_tests(*world))
    assert [t.severity for t in tests] == [0, 0, 3, 3, 8, 8]
    assert {t.question.to for t in tests} == {"cell_type", "rna"}
    sizes = {}
    for test in tests:
        for unit in test.units:
            sizes.setdefault(unit, set()).add(test.severity)
    assert all(len(found) == 1 for found in sizes.values()), "a unit is at one point of a curve"
    assert all(t.question.source == "patches" for t in tests)


def test_who_knows_the_answer_is_right_in_any_order(world):
    answers = truths(world)
    rng = np.random.default_rng(0)

    def answer(data, question, shuffled):
        (true,) = [t for q, t in answers.values() if q.to == question.to and q.cells.equals(question.cells)]
        wide = 0.1 if question.to == "cell_type" else 1.0
        frames = [true, (true - wide).clip(lower=0), true + wide]
        if shuffled:
            rows, columns = rng.permutation(len(true)), rng.permutation(true.shape[1])
            frames = [frame.iloc[rows, columns] for frame in frames]
        return Values(*frames)

    found, again = (risk.ask(Told(lambda data, q, s=s: answer(data, q, s)), AXIS, *world) for s in (False, True))
    pd.testing.assert_frame_equal(found, again)
    assert (found.loc[found["metric"] == "answered", "value"] == 1).all()
    assert (found.loc[found["metric"] == "rmse", "value"] == 0).all()
    assert (found.loc[found["metric"] == "coverage", "value"] == 1).all()
    assert set(found["axis"]) == {"scale"}


def test_kinds_that_are_not_named_are_none_and_silence_is_no_answer(world):
    answers = truths(world)
    name = "cell_type, patches of 9"
    true = answers[name][1]

    def answer(data, question):
        if question.to != "cell_type" or not question.cells.equals(answers[name][0].cells):
            return None
        some = true.drop(columns=[true.columns[0]])
        some.iloc[:10] = np.nan
        return Values(some)

    found = risk.ask(Told(answer), AXIS, *world)
    assert value(found, "answered", name) == 0.75
    off = np.zeros((30, true.shape[1]))
    off[:, 0] = true.iloc[10:, 0]
    assert value(found, "rmse", name) == pytest.approx(np.sqrt((off**2).mean()))
    assert "coverage" not in set(found["metric"])
    assert value(found, "answered", "hidden features, patches of 9") == 0
    empty = Told(lambda data, q: Values(pd.DataFrame(index=q.cells)))
    found = risk.ask(empty, AXIS, *world)
    assert (found["value"] == 0).all(), "a table without columns answers nothing"


def test_types_that_mix_are_told_better_than_by_their_mean(world):
    """Least squares on the mean counts of kinds beats the mean composition, as its answer goes with the patch."""

    def profiles(data):
        kind = data["rna"].obs["cell_type"]
        return data["rna"].to_df().groupby(kind, observed=True).mean()[data["patches"].var_names]

    def fitted(data, question):
        if question.to != "cell_type":
            return None
        mean = profiles(data)
        root = np.sqrt(mean.mean(axis=0).to_numpy() + 1e-3)
        x = data["patches"].to_df().loc[question.cells].to_numpy()
        found = np.array([nnls((mean / root).T.to_numpy(), row / root)[0] for row in x])
        return Values(pd.DataFrame(found / found.sum(1, keepdims=True), question.cells, mean.index))

    def constant(data, question):
        if question.to != "cell_type":
            return None
        share = data["rna"].obs["cell_type"].value_counts(normalize=True)
        return Values(pd.DataFrame(np.tile(share, (len(question.cells), 1)), question.cells, share.index))

    scores = [risk.ask(Told(answer), AXIS, *world) for answer in (fitted, constant)]
    for name in ("cell_type, patches of 4", "cell_type, patches of 9"):
        assert value(scores[0], "rmse", name) < 0.8 * value(scores[1], "rmse", name)
        assert value(scores[1], "pearson", name) == pytest.approx(0, abs=1e-6)


def test_other_containers_and_orders_give_the_same_patches_of_one_cell(world):
    cells, split = world
    whole = Scale(sizes=(1,), n_patches=400, section_key="section")
    rng = np.random.default_rng(0)
    other = cells[rng.permutation(cells.n_obs)].copy()
    other.X = sp.csc_matrix(other.X.astype(np.float64))
    sums = []
    for data in (cells, MuData({"rna": other})):
        (_, shares), (_, hidden) = truths((data, split), whole).values()
        table = pd.concat([shares, hidden.loc[shares.index]], axis=1)
        sums.append(table.sort_values(list(table.columns)).to_numpy())
    np.testing.assert_array_equal(*sums)


def test_what_cannot_be_asked_is_refused(world):
    cells, split = world
    with pytest.raises(ValueError, match="hidden is a share of the features, between 0 and 1, not 1"):
        Scale(hidden=1)
    with pytest.raises(ValueError, match="sizes must be a whole number >= 1"):
        Scale(sizes=(0,))
    with pytest.raises(ValueError, match=r"have no 'adt'\. They have rna"):
        Scale(modality="adt").hide(cells, split)
    with pytest.raises(KeyError, match="No obs column 'type'"):
        Scale(kind="type").hide(cells, split)
    with pytest.raises(ValueError, match="Fewer than two test cells have 900"):
        Scale(sizes=(900,)).hide(cells, split)
    bare = cells.copy()
    del bare.obsm["spatial"]
    with pytest.raises(ValueError, match="The data have no coordinates"):
        AXIS.hide(bare, split)
