"""Effects on treated cells, on simulated cells where treatment depends on the state and every true effect is known."""

import anndata
import numpy as np
import pandas as pd
import pytest

import scvcell
from scvcell import PerturbationKeys, TrainConfig
from scvcell.datasets import simulate_actions

KEYS = PerturbationKeys("action", control="control")


@pytest.fixture(scope="module")
def confounded():
    """Cells that were treated by their state, their model, and the effect of T1 on each of those that had it."""
    cells = simulate_actions(1200, n_targets=2, pairs=False, n_genes=120, confounding=1.0, seed=1)["rna"]
    adata = cells.copy()
    del adata.layers["before"], adata.layers["rate"]
    adata.obs["lane"] = np.where(np.arange(len(adata)) % 2, "a", "b")
    train = TrainConfig(max_epochs=50, accelerator="cpu", progress=False)
    model = scvcell.tl.fit(adata, perturbation=KEYS, train=train)
    found = scvcell.tl.match_counterfactual(adata, model, "T1", covariates=("cell_type", "lane"), n_boot=2, seed=1)
    return cells, adata, model, found


def scaled(x):
    x = x.toarray() if hasattr(x, "toarray") else x
    return np.log2(1 + 1e4 * x / x.sum(1, keepdims=True))


def test_effects_are_those_of_the_action_and_not_of_who_was_treated(confounded):
    cells, *_, found = confounded
    treated = cells[found.obs_names]
    true = scaled(treated.layers["rate"]) - scaled(treated.layers["before"])
    assert set(treated.obs["action"]) == {"T1"}
    control = scaled(cells[cells.obs["action"] == "control"].X).mean(0)
    plain = scaled(treated.X).mean(0) - control
    error = np.sqrt(np.square(found.X - true).mean())
    assert error < 0.7 * np.sqrt(np.square(plain - true).mean())
    assert np.corrcoef(found.X.ravel(), true.ravel())[0, 1] > 0.85
    assert found.uns["csl_match"]["params"]["confounded"]


def test_matching_balances_what_differed(confounded):
    *_, found = confounded
    balance, params = (found.uns["csl_match"][key] for key in ("balance", "params"))
    types = balance[balance["variable"].str.startswith("cell_type")]
    assert types["smd_before"].abs().max() > 0.3
    assert types["smd_after"].abs().max() < 0.8 * types["smd_before"].abs().max()
    basal = balance[balance["variable"].str.startswith("basal")]
    assert basal["smd_after"].abs().max() < 0.1 < basal["smd_before"].abs().max()
    lane = balance[balance["variable"].str.startswith("lane")]
    assert types["p_value"].min() < 1e-3 < lane["p_value"].min()
    assert params["auc"] > 0.52
    assert params["effective_controls"] < (confounded[1].obs["action"] == "control").sum()


def test_result_is_complete_and_can_be_written(confounded, tmp_path):
    _, adata, _, found = confounded
    np.testing.assert_allclose(found.layers["upper"] - found.X, found.X - found.layers["lower"], atol=1e-5)
    assert (found.layers["upper"] > found.layers["lower"]).all()
    assert adata.obs.loc[found.obs["matched_cell"], "action"].eq("control").all()
    assert (found.obs["effective_matches"] >= 1 - 1e-5).all()
    assert found.obs["overlap"].mean() > 0.5
    np.testing.assert_allclose(found.obs["effect_size"], np.sqrt(np.square(found.X).mean(1)), rtol=1e-5)
    effects = found.uns["csl_match"]["effects"]
    np.testing.assert_allclose(effects["lfc"], found.X.mean(0), atol=1e-5)
    assert set(effects["group"]) == {"all"}
    near = np.corrcoef(found.layers["matched"].mean(0), found.layers["counterfactual"].mean(0))[0, 1]
    assert near > 0.99
    found.write_h5ad(tmp_path / "found.h5ad")
    again = anndata.read_h5ad(tmp_path / "found.h5ad")
    pd.testing.assert_frame_equal(again.uns["csl_match"]["balance"], found.uns["csl_match"]["balance"])


def test_seeds_repeat_and_data_are_not_changed(confounded, fingerprint):
    _, adata, model, found = confounded
    before = fingerprint(adata)
    again = scvcell.tl.match_counterfactual(adata, model, "T1", n_boot=2, seed=1)
    assert fingerprint(adata) == before
    np.testing.assert_array_equal(again.X, found.X)
    np.testing.assert_array_equal(again.layers["lower"], found.layers["lower"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"action": "T3"}, ValueError, "No cell had the action 'T3'; treated cells had 'T1'|'T2'"),
        ({"action": "control"}, ValueError, "No cell had the action"),
        ({"covariates": "donor"}, KeyError, "No obs column 'donor'"),
        ({"level": 1.0}, ValueError, "level must lie between 0 and 1"),
        ({"n_boot": 1}, ValueError, "n_boot must be a whole number >= 2"),
    ],
)
def test_refused(confounded, arguments, error, message):
    _, adata, model, _ = confounded
    with pytest.raises(error, match=message):
        scvcell.tl.match_counterfactual(adata, model, **{"action": "T1"} | arguments)


def test_too_few_cells_and_no_controls_are_refused(confounded):
    _, adata, model, _ = confounded
    few = np.flatnonzero(adata.obs["action"] == "T1")[:5]
    part = adata[np.r_[few, np.flatnonzero(adata.obs["action"] == "control")]].copy()
    with pytest.raises(ValueError, match=r"5 cells with 'T1' and \d+ controls are too few"):
        scvcell.tl.match_counterfactual(part, model, "T1")
    with pytest.raises(ValueError, match="No cell is known to be untreated"):
        scvcell.tl.match_counterfactual(adata[adata.obs["action"] == "T1"].copy(), model, "T1")
