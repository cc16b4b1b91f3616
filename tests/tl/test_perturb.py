"""Perturbation verbs on simulated cells whose effects are known: two types, targets A and B alone and together."""

import copy
import logging
from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData
from mudata import MuData

import scvcell
from scvcell import Action, PerturbationKeys, TrainConfig
from scvcell.perturb import read_design
from scvcell.prior import TargetKernel
from scvcell.response._controls import Controls
from scvcell.screen import _order

GENES, PROTEINS = 80, 6
LABELS = ("ctrl", "A", "B", "A+B")
QUICK = TrainConfig(max_epochs=20, accelerator="cpu", progress=False)


def simulate(n=700, seed=0):
    rng = np.random.default_rng(seed)
    kind, label = rng.integers(2, size=n), rng.choice(LABELS, n)
    base = rng.normal(1.0, 0.8, GENES)
    log = base + np.outer(kind, np.r_[np.full(20, 1.0), np.zeros(GENES - 20)])
    effect = np.zeros((2, GENES))
    effect[0, 30:40], effect[1, 50:60] = 1.5, -1.5
    given = np.array([[part in name.split("+") for part in "AB"] for name in label], float)
    log += given @ effect
    size = rng.gamma(20, 0.05, (n, 1))
    protein = np.exp(
        2 + 1.2 * np.outer(kind, np.arange(PROTEINS) % 2) + 1.0 * np.outer(given[:, 0], np.eye(PROTEINS)[0])
    )
    obs = pd.DataFrame({"drug": label, "type": np.array(["x", "y"])[kind]}, index=[f"c{i}" for i in range(n)])
    rna = AnnData(sp.csr_matrix(rng.poisson(np.exp(log) * size).astype(np.float32)), obs=obs.copy())
    adt = AnnData(rng.poisson(protein * size).astype(np.float32), obs=obs.copy())
    rna.var_names, adt.var_names = [f"g{i}" for i in range(GENES)], [f"p{i}" for i in range(PROTEINS)]
    mdata = MuData({"rna": rna, "adt": adt})
    mdata.obs = obs.loc[mdata.obs_names]
    return mdata, effect


KEYS = PerturbationKeys("drug", control="ctrl", context="type")


@pytest.fixture(scope="module")
def fitted():
    """Data whose type y never saw A+B, and their model."""
    mdata, effect = simulate()
    held = mdata.obs_names[(mdata.obs["drug"] == "A+B") & (mdata.obs["type"] == "y")]
    table = pd.DataFrame(np.eye(3)[[0, 1, 0]], index=["A", "B", "C"])
    priors = TargetKernel(table, ridge=0.1)
    model = scvcell.tl.fit(mdata, perturbation=KEYS, split=held, train=QUICK, priors=priors)
    return mdata, model, effect


def test_no_action_returns_the_cells_themselves(fitted):
    mdata, model, _ = fitted
    same = scvcell.tl.perturb(mdata, model, Action())
    controls = mdata[mdata.obs["drug"] == "ctrl"]
    for name in ("rna", "adt"):
        before = controls[name][same.obs["source_cell"]].X
        difference = same[name].X - before
        assert abs(difference).max() == 0
    assert (same.obs["support"] == 1).all()


@pytest.mark.parametrize("modalities", [["rna", "adt"], ["rna"]])
def test_cells_on_disk_are_those_in_memory(fitted, tmp_path, monkeypatch, modalities):
    from scvcell._containers import _blocks
    from scvcell.response import _counterfactual

    mdata, model, _ = fitted
    model = copy.copy(model)
    part = copy.copy(model.parts["response"])
    part.anchors = {m: part.anchors[m] for m in modalities}
    model.parts = {**model.parts, "response": part}
    monkeypatch.setattr(_counterfactual, "DRAWN_AT_ONCE", 50)
    asked = {"cells": mdata.obs_names[:300][::-1], "n_samples": 2, "seed": 3}
    truth = scvcell.tl.perturb(mdata, model, "A", **asked)
    monkeypatch.setattr(_blocks, "blocks", lambda n, _: np.split(np.arange(n), range(17, n, 17)))
    found = scvcell.tl.perturb(mdata, model, "A", **asked, out=tmp_path / "a.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]
    for m in modalities:
        own, true = (each[m] if len(modalities) > 1 else each for each in (found, truth))
        assert not sp.issparse(own.X), "it stays on disk"
        own = own.to_memory()
        assert abs(own.X - true.X).max() == 0
        np.testing.assert_array_equal(own.layers["expected"], true.layers["expected"])
        assert list(own.obs_names) == list(true.obs_names)
    np.testing.assert_array_equal(found.obsm["X_csl"], truth.obsm["X_csl"])
    assert list(found.obs) == list(truth.obs)
    assert (found.obs == truth.obs).all(axis=None)


def test_what_out_cannot_be_is_refused_before_any_work(fitted, tmp_path):
    mdata, model, _ = fitted
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(FileExistsError, match=r"a\.zarr exists already"):
        scvcell.tl.perturb(mdata, model, "A", out=tmp_path / "a.zarr")
    with pytest.raises(ValueError, match=r"out= takes the folder of a zarr store"):
        scvcell.tl.perturb(mdata, model, "A", out=tmp_path / "a.h5ad")


def test_counterfactual_cells(fitted):
    mdata, model, effect = fitted
    found = scvcell.tl.perturb(mdata, model, "A+B", cells="type == 'y'", n_samples=2, seed=1)
    n = ((mdata.obs["drug"] == "ctrl") & (mdata.obs["type"] == "y")).sum()
    assert found["rna"].shape == (2 * n, GENES)
    counts = found["rna"].X.toarray()
    assert (counts >= 0).all()
    assert (counts == np.round(counts)).all()
    assert found.obsm["X_csl"].shape == (2 * n, model.n_latent)
    assert set(found.obs["action"]) == {"A+B"}
    assert found["rna"].layers["expected"].shape == found["rna"].shape
    start = mdata["rna"][found["rna"].obs["source_cell"][:n]].X.toarray()
    fold = np.log((counts.mean(0) + 0.1) / (start.mean(0) + 0.1))
    assert np.corrcoef(fold, effect.sum(0))[0, 1] > 0.9
    assert fold[30:40].mean() > 0.9
    again = scvcell.tl.perturb(mdata, model, "A+B", cells="type == 'y'", n_samples=2, seed=1)
    assert abs(again["rna"].X - found["rna"].X).max() == 0


def test_treated_cells_among_the_chosen_are_left_out_however_they_are_chosen(fitted, caplog):
    mdata, model, _ = fitted
    mask = mdata.obs["type"] == "y"
    treated = int((mask & (mdata.obs["drug"] != "ctrl")).sum())
    found = []
    for cells in ("type == 'y'", mask, mask.to_numpy(), mask.tolist(), mdata.obs_names[mask], mask[::-1]):
        caplog.clear()
        with caplog.at_level("INFO", logger="scvcell"):
            found.append(scvcell.tl.perturb(mdata, model, "A", cells=cells))
        assert f"{treated} of the {mask.sum()} chosen cells were treated" in caplog.text
    assert set(found[0].obs["source_cell"]) == set(mdata.obs_names[mask & (mdata.obs["drug"] == "ctrl")])
    for other in found[1:]:
        assert list(other.obs_names) == list(found[0].obs_names)
        assert abs(other["rna"].X - found[0]["rna"].X).max() == 0


def test_cells_in_any_order_and_twice_are_themselves(fitted):
    mdata, model, _ = fitted
    controls = mdata[mdata.obs["drug"] == "ctrl"].copy()
    rng = np.random.default_rng(0)
    names = controls.obs_names[rng.integers(controls.n_obs, size=controls.n_obs)]
    found = scvcell.tl.perturb(controls, model, "A", cells=names)
    whole = scvcell.tl.perturb(controls, model, "A")
    assert list(found.obs["source_cell"]) == list(names)
    assert found.obs_names.is_unique
    states = pd.DataFrame(whole.obsm["X_csl"], index=whole.obs["source_cell"]).loc[names]
    np.testing.assert_allclose(found.obsm["X_csl"], states, atol=1e-4)
    assert set(found.obs["drug"]) == {"A"}
    assert list(found.obs["type"]) == list(controls.obs.loc[names, "type"])
    effects = [
        scvcell.tl.effects(controls, model, "A", cells=cells)["lfc"]
        for cells in (None, rng.permutation(controls.obs_names))
    ]
    np.testing.assert_allclose(*effects, atol=1e-4)


@pytest.fixture
def told(fitted, monkeypatch):
    """The data and model as if doses (nM and uM), times and schedules had been told; targets in a column "action"."""
    mdata, model, _ = fitted
    told = mdata.copy()
    obs = told.obs.rename(columns={"drug": "action"})
    obs.loc[obs.index[obs["action"] == "ctrl"][30:40], "action"] = "none"
    obs["action"] = obs["action"].astype("category")
    obs["dose"], obs["hours"], obs["plan"] = "0 nM", 6.0, None
    for label, dose in {"A": "1 uM", "B": "10 nM", "A+B": "100 nM+10 nM"}.items():
        obs.loc[obs["action"] == label, ["dose", "hours"]] = [dose, 24.0]
    for part in (told, *told.mod.values()):
        part.obs = obs.loc[part.obs_names].copy()
    keys = PerturbationKeys("action", ("ctrl", "none"), "dose", "hours", schedule="plan", context="type")
    monkeypatch.setattr(model.response, "keys", keys)
    monkeypatch.setattr(model.response, "dose_units", {"A": "nM", "B": "nM"})
    monkeypatch.setattr(model.response.flow, "largest", {"A": 1000.0, "B": 10.0})
    monkeypatch.setattr(model.response.flow, "span", 24.0)
    return told, model


def test_cells_after_an_action_are_labelled_as_the_data_are(told):
    mdata, model = told
    schedule = Action.schedule([("B", "0.01 uM", 0, 6), ("A", 1000, 6, 12)])
    asked = ["A", "B+A", {"A": "0.5 uM", "B": 2}, {"A": "500"}, Action({"B": "5 nM"}, 12), schedule, "none", "A+ctrl"]
    written = ["A 1000 nM, until 24", "A 1000 nM + B 10 nM, until 24", "A 500 nM + B 2 nM, until 24"]
    written += ["A 500 nM, until 24", "B 5 nM, until 12", "B 10 nM from 0 to 6, A 1000 nM from 6 to 12, until 12"]
    written += ["control", "A 1000 nM, until 24"]
    keys, units = model.response.keys, model.response.dose_units
    for action, text in zip(asked, written, strict=True):
        after = scvcell.tl.perturb(mdata, model, action, cells=mdata.obs_names[mdata.obs["action"] == "ctrl"][:20])
        for part in (after, *after.mod.values()):
            both = pd.concat([mdata.obs, part.obs])
            design = read_design(keys, both.__getitem__, units=units)
            found = {design.actions[code] if code >= 0 else Action() for code in design.code[mdata.n_obs :]}
            assert list(map(str, found)) == [text]
            assert list(part.obs["type"]) == list(mdata.obs.loc[part.obs["source_cell"], "type"])
            assert set(design.code[: mdata.n_obs]) == {-1, 0, 1, 2}
    assert set(scvcell.tl.effects(mdata, model, {"A": "1 uM"})["action"]) == {"A 1000 nM, until 24"}
    again = scvcell.tl.perturb(mdata, model, "A", n_samples=2)
    assert list(again.obs["action"].unique()) == ["A"]
    assert set(again.obs["dose"]) == {"1 uM"}
    assert again.obs_names.is_unique
    for verb in (scvcell.tl.response_score, scvcell.tl.match_counterfactual):
        with pytest.raises(ValueError, match="A 10 nM, until 24"):
            verb(mdata, model, {"A": "0.01 uM"})
    with pytest.raises(ValueError, match="'1 mg/ml', others in 'nM'"):
        scvcell.tl.perturb(mdata, model, {"A": "1 mg/ml"})


def test_results_hold_actions_in_files(told, tmp_path):
    mdata, model = told
    for action in ("A", {"A": 3, "B": "1 pM"}, Action.schedule([("A", 1, 0, 6), ("B", 1, 6, 12)])):
        after = scvcell.tl.perturb(mdata, model, action, cells=mdata.obs_names[mdata.obs["action"] == "ctrl"][:5])
        after["rna"].write_h5ad(tmp_path / "after.h5ad")
        read = anndata.read_h5ad(tmp_path / "after.h5ad").obs
        for name in ("action", "dose", "hours", "plan"):
            assert read[name].astype(object).where(read[name].notna(), None).tolist() == [
                value if pd.notna(value) else None for value in after["rna"].obs[name]
            ]


def test_cells_without_a_label_are_left_out_and_counted(fitted, caplog):
    mdata, model, _ = fitted
    untreated = mdata.obs_names[mdata.obs["drug"] == "ctrl"]
    blank = mdata.copy()
    for part in (blank, *blank.mod.values()):
        part.obs["drug"] = part.obs["drug"].astype(object)
        part.obs.loc[untreated[:7], "drug"] = np.nan
    for cells in (None, list(untreated)):
        with caplog.at_level(logging.WARNING, "scvcell"):
            found = scvcell.tl.perturb(blank, model, "A", cells=cells)
        assert caplog.text.count("7 of 700 cells have no label in obs['drug']") == 1
        assert set(found.obs["source_cell"]) == set(untreated[7:])
        caplog.clear()
    with pytest.raises(ValueError, match="No cell is known to be untreated"):
        scvcell.tl.perturb(blank, model, "A", cells=list(untreated[:7]))


@pytest.mark.parametrize("wrong", [None, 3])
@pytest.mark.parametrize("verb", ["perturb", "effects", "synergy", "match_counterfactual"])
def test_what_is_no_action_is_refused(fitted, verb, wrong):
    mdata, model, _ = fitted
    with pytest.raises(TypeError, match=r"text such as 'A\+B', .* an scvcell.Action, not"):
        getattr(scvcell.tl, verb)(mdata, model, wrong)


def log_counts(x):
    """Mean over cells of log1p of counts per 10,000."""
    x = x.toarray() if sp.issparse(x) else np.asarray(x)
    return np.log1p(1e4 * x / x.sum(1, keepdims=True)).mean(0)


@pytest.mark.parametrize("action", ["A", "B", "A+B"])
def test_cells_meet_the_predicted_effects_as_far_as_shares_can(fitted, action):
    mdata, model, _ = fitted
    effects = scvcell.tl.effects(mdata, model, action, cells="type == 'x'", groupby=[]).set_index("modality").loc["rna"]
    found = scvcell.tl.perturb(mdata, model, action, cells="type == 'x'", n_samples=10, seed=0)["rna"]
    wanted = effects["lfc"].to_numpy() * np.log(2)
    off = log_counts(found.X) - log_counts(mdata["rna"][found.obs["source_cell"].unique()].X) - wanted
    assert off.std() < 0.08 * wanted.std()


def test_effects_of_a_combination_left_out(fitted):
    mdata, model, effect = fitted
    frame = scvcell.tl.effects(mdata, model, "A+B")
    here = frame[(frame["group"] == "y") & (frame["modality"] == "rna")]
    assert len(here) == GENES
    assert np.corrcoef(here["lfc"], effect.sum(0))[0, 1] > 0.9
    assert (here["lower"] <= here["lfc"]).all()
    assert np.isfinite(here["upper"]).all()
    assert here["trusted"].to_numpy()[30:40].mean() > 0.8
    label, kind = mdata.obs["drug"].to_numpy(), mdata.obs["type"].to_numpy()
    x = mdata["rna"][mdata.obs_names].X.toarray()
    x = np.log2(1 + 1e4 * x / x.sum(1, keepdims=True))
    true = np.subtract(*(x[(label == name) & (kind == "y")].mean(0) for name in ("A+B", "ctrl")))
    assert ((true >= here["lower"]) & (true <= here["upper"])).mean() > 0.8
    protein = frame[(frame["group"] == "y") & (frame["modality"] == "adt")].set_index("feature")["lfc"]
    assert protein.idxmax() == "p0"


def test_wider_intervals_at_higher_levels(fitted):
    mdata, model, _ = fitted
    frames = [scvcell.tl.effects(mdata, model, "A", level=level).query("modality == 'rna'") for level in (0.5, 0.95)]
    widths = [(frame["upper"] - frame["lower"]).mean() for frame in frames]
    assert widths[0] < widths[1]
    for name, lowest in (("held", 0.9), ("held_strongest", 0.5)):
        told = frames[1][name]
        assert told.nunique() == 1
        assert lowest <= told.iloc[0] <= 1
        assert frames[0][name].iloc[0] <= told.iloc[0], "a lower level holds less"


def test_unseen_target_with_side_information(fitted, caplog):
    mdata, model, _ = fitted
    with caplog.at_level(logging.WARNING, "scvcell"):
        like, known = (scvcell.tl.effects(mdata, model, name, groupby=[]) for name in ("C", "A"))
    assert "'C' was never perturbed" in caplog.text
    assert np.corrcoef(like["lfc"], known["lfc"])[0, 1] > 0.9
    assert like["support"].iloc[0] < 1


def test_synergy_is_small_where_effects_add(fitted):
    mdata, model, _ = fitted
    frame = scvcell.tl.synergy(mdata, model, "A+B")
    rna = frame[frame["modality"] == "rna"]
    assert rna["interaction"].abs().mean() < 0.3 * rna["lfc"].abs().mean() + 0.1
    np.testing.assert_allclose(frame["interaction"], frame["lfc"] - frame["additive"])


def test_order_of_additive_effects_does_not_matter(fitted):
    mdata, model, _ = fitted
    table = scvcell.tl.order_effect(mdata, model, "A", "B", n_null=3)
    assert (table["compared"] == "operator").all()
    assert (table["kappa"] < 0.3).all()
    assert table["null"].gt(0).all()
    assert table["p"].between(0.25, 1).all()
    assert (table["lower"] <= table["upper"]).all()
    again = scvcell.tl.order_effect(mdata, model, "A", "B", n_null=3)
    pd.testing.assert_frame_equal(table, again)


def test_both_orders_are_compared_where_they_were_measured(fitted, monkeypatch):
    """Cells of A+B get one or the other order at random; in type x some of B alone join one of them."""
    mdata, model, _ = fitted
    label = mdata.obs["drug"].astype(str).to_numpy(copy=True)
    both, alone = np.flatnonzero(label == "A+B"), np.flatnonzero((label == "B") & (mdata.obs["type"] == "x"))
    orders = {"A then B": [("A", None, 0, 1), ("B", None, 1, 2)], "B then A": [("B", None, 0, 1), ("A", None, 1, 2)]}
    label[both], label[both[::2]], label[alone[::2]] = "B then A", "A then B", "A then B"
    told = mdata.copy()
    told.obs["drug"], told.obs["plan"] = label, [orders.get(name) for name in label]
    monkeypatch.setattr(model.response, "keys", replace(KEYS, schedule="plan"))
    table = scvcell.tl.order_effect(told, model, "A", "B", n_null=99).set_index("group")
    assert (table["compared"] == "cells").all()
    assert table.loc["x", "p"] == 0.01
    assert table.loc["x", "lower"] > table.loc["x", "null"]
    assert table.loc["y", "p"] > 0.05
    assert table["n_cells"].sum() == np.isin(label, list(orders)).sum()
    exchanged = scvcell.tl.order_effect(told, model, "B", "A", n_null=9).set_index("group")
    np.testing.assert_allclose(exchanged["kappa"], table["kappa"])


@pytest.mark.parametrize("what", ["aggregate", "measure"])
def test_pooling_and_measuring_commute_with_additive_effects(fitted, what):
    mdata, model, _ = fitted
    table = scvcell.tl.order_effect(mdata, model, "B", what, n_null=3)
    assert (table["compared"] == "operator").all()
    assert table["kappa"].between(0, 2 * table["null"]).all()
    assert table["null"].gt(0).all()
    assert table["p"].between(0.25, 1).all()


def test_pooling_and_measuring_commute_with_doing_nothing(fitted):
    """A flow that moves nothing: bulks, and states that are read anew, stay where they were."""
    mdata, model, _ = fitted
    start = Controls(mdata, model)
    flow = copy.deepcopy(model.response.flow)
    with torch.no_grad():
        for parameter in (flow.offset, flow.out, flow.into):
            parameter.zero_()
    group = np.arange(len(start.index))
    assert _order._against_pooling(start, Action("B"), group, 0)(flow) == pytest.approx(0, abs=1e-6)
    # the size of the action, by which kappa is divided, is 0 as well, and is taken for 1e-12
    assert _order._against_measuring(start, Action("B"), group, 0)(flow) * 1e-12 == pytest.approx(0, abs=1e-5)


def test_order_effect_needs_both_targets_alone(fitted):
    mdata, model, _ = fitted
    with pytest.raises(ValueError, match="two different targets"):
        scvcell.tl.order_effect(mdata, model, "A", "A")
    with pytest.raises(ValueError, match="'C' alone"):
        scvcell.tl.order_effect(mdata, model, "A", "C")
    with pytest.raises(ValueError, match="n_null"):
        scvcell.tl.order_effect(mdata, model, "A", "B", n_null=0)
    untreated = mdata[np.asarray(mdata.obs["drug"] == "ctrl")].copy()
    with pytest.raises(ValueError, match="Every cell is a control"):
        scvcell.tl.order_effect(untreated, model, "A", "B")


def test_the_action_that_made_them_ranks_first(fitted):
    mdata, model, _ = fitted
    goal = (mdata.obs["drug"] == "B") & (mdata.obs["type"] == "x")
    table = scvcell.tl.rank_actions(
        mdata, model, goal.to_numpy(), cells="type == 'x'", actions=["A", "B", "A+B", Action()]
    )
    assert table["action"].iloc[0] == "B"
    assert table["progress"].iloc[0] > 0.5
    assert ((table["lower"] <= table["progress"]) & (table["progress"] <= table["upper"])).all()
    assert table.set_index("action").loc["control", "progress"] == pytest.approx(0, abs=1e-6)
    assert len(scvcell.tl.rank_actions(mdata, model, "drug == 'A'", n_boot=5)) == 3


def test_cells_are_matched_within_their_context_in_every_assay(fitted):
    mdata, model, effect = fitted
    found = scvcell.tl.match_counterfactual(mdata, model, "A", n_boot=2)
    assert set(found.mod) == {"rna", "adt"}
    assert list(found.obs_names) == list(mdata.obs_names[mdata.obs["drug"] == "A"])
    matched = mdata.obs.loc[found["rna"].obs["matched_cell"]]
    assert (matched["type"].to_numpy() == mdata.obs.loc[found.obs_names, "type"].to_numpy()).all()
    effects = found.uns["csl_match"]["effects"]
    assert set(effects["group"]) == {"x", "y"}
    for _, rows in effects[effects["modality"] == "rna"].groupby("group"):
        assert np.corrcoef(rows["lfc"], effect[0])[0, 1] > 0.85
    protein = effects[effects["modality"] == "adt"].groupby("feature")["lfc"].mean()
    assert protein.idxmax() == "p0"


def test_saved_and_loaded(fitted, tmp_path):
    mdata, model, _ = fitted
    model.save(tmp_path / "model")
    loaded = scvcell.CSL.load(tmp_path / "model", mdata)
    expected, found = (scvcell.tl.effects(mdata, m, "A+B") for m in (model, loaded))
    pd.testing.assert_frame_equal(expected, found)
    assert loaded.response.actions == model.response.actions
    assert loaded.response.keys == KEYS
    scvcell.tl.effects(mdata, loaded, "C")


def test_its_sources_are_cited(fitted, small):
    assert any("Energy statistics" in line for line in scvcell.cite(fitted[1]))
    assert not any("Energy statistics" in line for line in scvcell.cite(small.model))


def test_data_without_labels_are_controls_where_the_user_says_so(fitted):
    mdata, model, _ = fitted
    new = mdata[mdata.obs["drug"] == "ctrl"].copy()
    for part in (new, *new.mod.values()):
        del part.obs["drug"]
    everything = np.ones(new.n_obs, bool)
    labelled = new.copy()
    labelled.obs["drug"] = "ctrl"
    del labelled.obs["type"]
    for part in labelled.mod.values():
        del part.obs["type"]
    assert scvcell.tl.perturb(labelled, model, "A").n_obs == new.n_obs
    assert len(scvcell.tl.effects(new, model, "A", cells=everything)) == 2 * (GENES + PROTEINS)
    found = scvcell.tl.perturb(new[:5].copy(), model, "A", cells=list(new.obs_names[:5]))
    assert set(found.obs["drug"]) == {"A"}
    assert set(scvcell.tl.perturb(new, model, "ctrl", cells="type == 'x'").obs["drug"]) == {"ctrl"}
    for verb in (scvcell.tl.perturb, scvcell.tl.effects, scvcell.tl.synergy):
        with pytest.raises(ValueError, match=r"no column obs\['drug'\].*Add it \('ctrl'.*or say by cells="):
            verb(new, model, "A+B")


def test_an_assay_that_the_data_lack_is_drawn(fitted):
    mdata, model, _ = fitted
    new = MuData({"rna": mdata["rna"][mdata["rna"].obs["drug"] == "ctrl"].copy()})
    found = scvcell.tl.perturb(new, model, "A")
    assert found["adt"].shape == (new.n_obs, PROTEINS)
    assert found["adt"].X.sum() > 0
    assert np.isfinite(scvcell.tl.effects(new, model, "A")["lfc"]).all()


def test_a_target_that_only_held_out_cells_had_is_unknown(caplog):
    mdata, _ = simulate(200)
    held = mdata.obs_names[mdata.obs["drug"].isin(["B", "A+B"])]
    quick = TrainConfig(max_epochs=1, accelerator="cpu", progress=False)
    few = mdata.obs_names[mdata.obs["drug"] == "A"][3:]
    with caplog.at_level(logging.WARNING, "scvcell"):
        model = scvcell.tl.fit(mdata, perturbation=KEYS, split=held.union(few), train=quick)
    assert "fewer than 10 treated or control cells" in caplog.text
    assert model.response.flow.targets == ("A",)
    with pytest.raises(ValueError, match="Nothing is known of the target 'B'"):
        scvcell.tl.perturb(mdata, model, "B")


def test_data_are_not_changed(fitted, fingerprint):
    mdata, model, _ = fitted
    before = fingerprint(mdata)
    scvcell.tl.perturb(mdata, model, "A")
    scvcell.tl.effects(mdata, model, "A")
    assert fingerprint(mdata) == before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda d, m: scvcell.tl.perturb(d, m, "Z"),
            "Nothing is known of the target 'Z': the model was trained on A, B",
        ),
        (
            lambda d, m: scvcell.tl.perturb(d, m, "A", cells=d.obs["drug"] == "A"),
            "No untreated cell is chosen: all .* were treated",
        ),
        (lambda d, m: scvcell.tl.perturb(d, m, "A", cells=["nobody"]), "names that the data lack"),
        (lambda d, m: scvcell.tl.perturb(d, m, "A", cells=np.ones(3, bool)), "mask of 3 entries"),
        (lambda d, m: scvcell.tl.perturb(d, m, "A", cells="type == 'q'"), "No untreated cell"),
        (lambda d, m: scvcell.tl.perturb(d, m, "A", n_samples=0), "n_samples"),
        (lambda d, m: scvcell.tl.effects(d, m, "A", level=2), "level"),
        (lambda d, m: scvcell.tl.rank_actions(d, m, ["nobody"]), "goal has 1 names that the data lack"),
        (lambda d, m: scvcell.tl.rank_actions(d, m, "drug == 'none'"), "are too few"),
        (lambda d, m: scvcell.tl.rank_actions(d, m, "drug == 'A'", level=0), "level"),
        (lambda d, m: scvcell.tl.synergy(d, m, "A"), "at least two targets"),
        (lambda d, m: scvcell.tl.dose_response(d, m, "A"), "no doses in training"),
    ],
)
def test_refused(fitted, call, message):
    mdata, model, _ = fitted
    with pytest.raises(ValueError, match=message):
        call(mdata, model)


def test_a_model_without_actions_says_what_to_do(small):
    with pytest.raises(ValueError, match=r"learned no perturbation. Fit with perturbation="):
        scvcell.tl.perturb(small.mdata, small.model, "A")


def test_bad_keys_are_refused_before_any_work():
    mdata, _ = simulate(60)
    with pytest.raises(ValueError, match="No cell has the control label"):
        scvcell.tl.fit(mdata, perturbation=PerturbationKeys("drug", control="DMSO"), train=QUICK)
    with pytest.raises(TypeError, match="perturbation must be a PerturbationKeys"):
        scvcell.tl.fit(mdata, perturbation="drug", train=QUICK)
    with pytest.raises(ValueError, match="perturbation= with it"):
        scvcell.tl.fit(mdata, priors=TargetKernel(pd.DataFrame([[1.0]], index=["A"])), train=QUICK)
    assert "X_csl" not in mdata.obsm


def test_confounded_batches_are_said(caplog):
    mdata, _ = simulate(60)
    mdata.obs["lane"] = (mdata.obs["drug"] == "ctrl").astype(str)
    quick = TrainConfig(max_epochs=1, accelerator="cpu", progress=False)
    with caplog.at_level(logging.WARNING, "scvcell"):
        scvcell.tl.fit(mdata, perturbation=KEYS, batch_key="lane", train=quick)
    assert "effects look like batch effects" in caplog.text


def test_labels_that_tell_of_no_treatment_are_said_once_at_the_fit(caplog):
    mdata, _ = simulate(80)
    for part in (mdata, *mdata.mod.values()):
        part.obs["drug"] = part.obs["drug"].astype(object)
        part.obs.loc[["c1", "c2", "c3"], "drug"] = ["unassigned", "", None]
    quick = TrainConfig(max_epochs=1, accelerator="cpu", progress=False)
    with caplog.at_level(logging.WARNING, "scvcell"):
        model = scvcell.tl.fit(mdata, perturbation=KEYS, train=quick)
    assert caplog.text.count("2 of 80 cells have no label in obs['drug']") == 1
    assert caplog.text.count("targets whose name tells of no treatment: 'unassigned' (1 cell)") == 1
    assert "data.obs.loc[data.obs['drug'].isin(['unassigned']), 'drug'] = None" in caplog.text
    assert "unassigned" in model.response.flow.targets
