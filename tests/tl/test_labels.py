"""Verbs understand annotation in whatever type it is held, whatever is given for it, and leave out what is missing."""

import logging

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import scvcell
from scvcell import Action, PerturbationKeys, TrainConfig
from scvcell.pl._tables import part
from scvcell.response._controls import Controls, asked, compared, design_of
from scvcell.tl._match import _columns

QUICK = TrainConfig(max_epochs=2, progress=False, accelerator="cpu")
HELD = {
    "float32": lambda s: s.astype("float32"),
    "Int64": lambda s: s.astype("Int64"),
    "Float64": lambda s: s.astype("Float64"),
    "object": lambda s: s.astype(object),
    "text": lambda s: s.astype(str),
    "string": lambda s: s.astype(str).astype("string"),
    "category": lambda s: s.astype("category"),
    "category of floats": lambda s: s.astype(float).astype("category"),
    "category of text": lambda s: s.astype(str).astype("category"),
}
COLUMNS = ["drug", "line", "day", "batch"]


@pytest.fixture(scope="module")
def screen():
    """Targets 1 and 2 and controls, 0, in lines 1 and 2 on days 0 and 1; every column whole numbers."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        rng.permutation(np.stack(np.meshgrid([0, 1, 2], [1, 2], [0, 1]), -1).reshape(-1, 3).repeat(12, 0))
    )
    obs = obs.set_axis(COLUMNS[:3], axis=1).set_axis([f"c{i}" for i in range(len(obs))])
    obs["batch"] = rng.integers(2, size=len(obs))
    log = 1 + np.outer(obs["line"] == 1, np.arange(30) < 6) + np.outer(obs["drug"] == 1, np.arange(30) > 20)
    adata = AnnData(sp.csr_matrix(rng.poisson(np.exp(log)).astype(np.float32)), obs=obs)
    keys = PerturbationKeys("drug", control=0, context=("line", "day"))
    return adata, scvcell.tl.fit(adata, perturbation=keys, batch_key="batch", train=QUICK)


def held_as(adata, make, columns=COLUMNS):
    out = adata.copy()
    for name in columns:
        out.obs[name] = make(adata.obs[name])
    return out


@pytest.fixture(params=list(HELD))
def other(screen, request):
    """The same cells, their annotation held in another type."""
    return held_as(screen[0], HELD[request.param])


def test_annotation_of_another_type_changes_no_answer(screen, other, monkeypatch):
    adata, model = screen
    monkeypatch.setattr("scvcell.scale._amortise.N_STEPS", 3)
    monkeypatch.setattr("scvcell.scale._amortise.N_MIXTURES", 50)
    for verb in (
        lambda data: scvcell.tl.effects(data, model, 1, groupby="line"),
        lambda data: scvcell.tl.effects(data, model, "2"),
        lambda data: scvcell.tl.impact(data, model, actions=[1.0]),
        lambda data: scvcell.tl.translate(data, model, to="rna", batch=1).to_df(),
        lambda data: model.get_normalized_expression(data, transform_batch=[0, 1.0]),
        lambda data: scvcell.tl.project(data, model, by="day").to_df(),
        lambda data: pd.DataFrame(scvcell.tl.project(data, model, by="drug").obsm["X_csl"]),
        lambda data: scvcell.tl.lift(data, model, labels_key="line", groups_key="drug").to_df("upper"),
    ):
        first, second = verb(adata), verb(other)
        if "group" in first:
            first, second = (x.assign(group=x["group"].astype(str).str.removesuffix(".0")) for x in (first, second))
        pd.testing.assert_frame_equal(first, second, rtol=1e-4, atol=1e-5)
    assert [model.schema.context(model.view(data))[1].tolist() for data in (adata, other)] == [
        adata.obs["batch"].tolist()
    ] * 2


def test_groups_are_named_as_they_are_in_the_data(screen, other):
    _, model = screen
    one = "1" if isinstance(other.obs["line"].iloc[0], str) else 1
    frame = scvcell.tl.effects(other, model, 1, groupby="line")
    assert (frame["group"] == one).sum() == 30
    for asks in (1, 1.0, "1", np.int8(1)):
        here, title, of = part(frame, asks, "rna")
        assert (here["group"] == one).all()
        assert (title, of) == ("1 in 1", "1 of 2 groups")
    with pytest.raises(ValueError, match=r"no group '3'; it has \['1', '2'\]"):
        part(frame, 3, None)
    table = model.differential_expression(other, groupby="line", group1=1, group2=2.0)
    assert (table["group1"] == one).all()
    assert len(table) == 30
    scvcell.tl.transfer_labels(other, model, key="line")
    assert (other.obs["line_transferred"] == one).any()


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA, " "])
def test_cells_without_a_label_are_in_no_group(screen, gap, caplog):
    adata, model = screen
    lost = (np.arange(adata.n_obs) % 9 == 0) & (adata.obs["drug"] == 0).to_numpy()
    gaps = held_as(adata, lambda column: column.astype(str).astype(object), ["line"])
    gaps.obs.loc[lost, "line"] = gap
    rest = adata[~lost]
    said = f"{lost.sum()} of {(adata.obs['drug'] == 0).sum()} cells have no label in obs['line']"
    for data in (gaps, held_as(gaps, lambda column: column.astype("category"), ["line"])):
        for verb in (
            lambda data: scvcell.tl.effects(data, model, 1, groupby="line"),
            lambda data: scvcell.tl.effects(data, model, 1),
            lambda data: scvcell.tl.perturb(data, model, 1).to_df(),
        ):
            caplog.clear()
            with caplog.at_level(logging.WARNING, logger="scvcell"):
                found = verb(data)
            assert said in caplog.text
            expected = verb(held_as(rest, lambda column: column.astype(str), ["line"]))
            pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-5)
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="scvcell"):
            table = scvcell.tl.impact(data, model)
        assert f"{lost.sum()} of {adata.n_obs} cells have no label in obs['line'] or obs['day']" in caplog.text
        assert table["n_controls"].sum() < scvcell.tl.impact(adata, model)["n_controls"].sum()
        assert len(scvcell.tl.rank_actions(data, model, data.obs_names[:20], n_boot=2)) == 2
        assert len(model.differential_expression(data, groupby="line")) == 60, "no group of missing ones"
        with pytest.raises(ValueError, match=r"None of the \d+ cells has a label in obs\['none'\]"):
            scvcell.tl.effects(_all_missing(data), model, 1, groupby="none")


def _all_missing(adata):
    out = adata.copy()
    out.obs["none"] = pd.Series([None] * adata.n_obs, adata.obs_names, dtype=object)
    return out


def test_a_context_without_controls_is_left_out_of_verbs(screen, caplog):
    adata, model = screen
    some = adata[(adata.obs["drug"] != 0) | (adata.obs["line"] == 1)]
    with caplog.at_level(logging.WARNING, logger="scvcell"):
        table = scvcell.tl.impact(some, model)
    lonely = ((some.obs["drug"] != 0) & (some.obs["line"] == 2)).sum()
    assert f"{lonely} of {(some.obs['drug'] != 0).sum()} treated cells have no control of their own" in caplog.text
    assert set(table["group"]) == {"1 0", "1 1"}
    apart = some[(some.obs["drug"] == 0) == (some.obs["line"] == 1)]
    with pytest.raises(ValueError, match=r"No treated cell has a control of its own obs\['line'\] and obs\['day'\]"):
        compared(design_of(model.view(apart), model.response), model.response)


def test_controls_alone_are_enough_where_an_action_starts(screen):
    adata, model = screen
    controls = adata[adata.obs["drug"] == 0]
    start = Controls(controls, model)
    assert len(start.index) == len(controls)
    assert [name for name, _ in start.groups()] == ["1 0", "1 1", "2 0", "2 1"]


def test_blanks_in_labels_make_no_two_contexts_one(screen):
    adata, model = screen
    text = adata.copy()
    text.obs["line"] = np.where(adata.obs["line"] == 1, "T", "T cell")
    text.obs["day"] = np.where(adata.obs["line"] == 1, "cell 1", "1")
    names = scvcell.tl.effects(text, model, 1)["group"].unique()
    assert sorted(names) == ["T cell | 1", "T | cell 1"]
    assert set(scvcell.tl.impact(text, model)["group"]) == set(names)


def test_actions_are_given_as_their_labels_are_held(screen):
    response = screen[1].response
    for given in (1, 1.0, np.int64(1), "1", " 1 ", [1], {1: None}, {"1": None}, Action("1"), [1.0, 0]):
        assert asked(response, given) == Action("1"), given
    for control in (0, "0", [0], np.float32(0), "control", []):
        assert asked(response, control) == Action(), control
    assert asked(response, "2+1") == asked(response, [1, 2.0]) == Action("1+2")
    for wrong in (7, None, True):
        with pytest.raises(TypeError, match="An action is text"):
            asked(response, wrong)


def test_what_results_show_of_an_action_can_be_given(screen):
    from dataclasses import replace

    response = screen[1].response
    actions = (Action({"1": 0.1, "2": 3}, 24), Action.schedule([("1", 2, 0, 6), ("2", 1, 6, 12)]), Action("1+2"))
    known = replace(response, actions=actions, keys=replace(response.keys, separator="_"))
    for action in actions:
        assert asked(known, str(action)) == action


def test_covariates_of_a_matching_are_labels_or_numbers(screen, caplog):
    adata, model = screen
    data = held_as(adata, lambda column: column.astype("category"), ["batch"])
    data.obs.loc[data.obs_names[:5], "batch"] = None
    data.obs["age"] = pd.array(np.arange(data.n_obs), dtype="Int64")
    data.obs.loc[data.obs_names[3], "age"] = pd.NA
    with caplog.at_level(logging.WARNING, logger="scvcell"):
        found = _columns(model.view(data), ["batch", "age"])
    assert list(found) == ["batch=0", "batch=1", "age"]
    assert found.isna().sum().tolist() == [5, 5, 1]
    assert "5 of 144 cells have no label in obs['batch']" in caplog.text
