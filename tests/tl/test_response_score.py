"""tl.response_score on simulated cells of which a known part escaped."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import scvcell
from scvcell import PerturbationKeys, TrainConfig

COLUMNS = ("csl_response", "csl_response_sd", "csl_response_probability")


@pytest.fixture(scope="module")
def escaped():
    mdata = scvcell.datasets.simulate_actions(
        700, n_targets=2, pairs=False, escape=0.4, effect=2.0, n_types=2, n_genes=80, seed=1
    )
    keys = PerturbationKeys("action", control="control", context="cell_type")
    model = scvcell.tl.fit(
        mdata, perturbation=keys, train=TrainConfig(max_epochs=20, accelerator="cpu", progress=False)
    )
    return mdata, model, scvcell.tl.response_score(mdata, model)


def test_cells_that_escaped_are_found(escaped):
    mdata, _, table = escaped
    obs = mdata.obs[mdata.obs["action"] != "control"]
    responded = obs["strength"] > 0
    assert roc_auc_score(responded, obs["csl_response_probability"]) > 0.85
    assert obs["csl_response"][responded].mean() > 2 * obs["csl_response"][~responded].mean()
    assert len(table) == 4
    true = obs.assign(responded=responded).groupby(["action", "cell_type"], observed=True)["responded"].mean()
    found = table.set_index(["action", "group"])["share"]
    assert np.abs(found - true.reindex(found.index)).mean() < 0.15
    assert (table["size"] > 1).all()


def test_the_frame(escaped):
    _, _, table = escaped
    for name in ("response", "share", "size", "dispersion"):
        assert (table[f"{name}_lower"] <= table[f"{name}_upper"]).all()
    assert (table["n_cells"] >= 10).all()
    assert set(table["level"]) == {0.9}


def test_only_its_columns_are_written(escaped, fingerprint):
    mdata, model, _ = escaped
    mdata = mdata.copy()
    before = fingerprint(mdata)
    scvcell.tl.response_score(mdata, model, "T1", key_added="kicked")
    after = fingerprint(mdata)
    assert {k for k in after if before.get(k) != after[k]} == {
        ".obs/kicked",
        ".obs/kicked_sd",
        ".obs/kicked_probability",
    }
    scored = mdata.obs["kicked"].notna()
    assert (mdata.obs["action"][scored] == "T1").all()
    assert scored.sum() == (mdata.obs["action"] == "T1").sum()


def test_controls_are_not_scored(escaped):
    mdata, _, _ = escaped
    control = mdata.obs["action"] == "control"
    assert mdata.obs.loc[control, list(COLUMNS)].isna().all(axis=None)
    assert mdata.obs.loc[~control, list(COLUMNS)].notna().all(axis=None)


def test_groups_of_one_cell_are_left_out(escaped, caplog):
    mdata, model, _ = escaped
    kind, action = mdata.obs["cell_type"], mdata.obs["action"]
    few = mdata.obs_names[(kind == "type1") & (action == "T1")][1:]
    part = mdata[~mdata.obs_names.isin(few)].copy()
    table = scvcell.tl.response_score(part, model)
    assert len(table) == 3
    assert "1 of 4 conditions have fewer than 10 treated or control cells, e.g. T1 in type1" in caplog.text
    alone = part[(part.obs["cell_type"] == "type1") & (part.obs["action"] != "T2")].copy()
    with pytest.raises(ValueError, match="No action has 10 treated and 10 control cells"):
        scvcell.tl.response_score(alone, model)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d, m: scvcell.tl.response_score(d, m, "Z"), "Nothing is known of the target 'Z'"),
        (
            lambda d, m: scvcell.tl.response_score(d, m, "T1+T2"),
            r"No cell of the data was given 'T1\+T2'; cells",
        ),
        (lambda d, m: scvcell.tl.response_score(d, m, level=1), "level"),
        (lambda d, m: scvcell.tl.response_score(d[d.obs["action"] == "control"].copy(), m), "Every cell is a control"),
    ],
)
def test_refused(escaped, call, message):
    mdata, model, _ = escaped
    with pytest.raises(ValueError, match=message):
        call(mdata, model)


def test_a_model_without_actions(small):
    with pytest.raises(ValueError, match="learned no perturbation"):
        scvcell.tl.response_score(small.mdata, small.model)
