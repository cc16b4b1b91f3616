"""tl.impact and tl.effect_correlation on counts whose fold changes are known."""

import logging

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

import scvcell
from scvcell import PerturbationKeys, TrainConfig

GENES = 300
QUICK = TrainConfig(max_epochs=1, accelerator="cpu", progress=False)


def simulate(n=150, controls=150, seed=0):
    """Actions A, twice A, B, and one that does nothing; log2 fold changes are normal in a fifth of the genes."""
    rng = np.random.default_rng(seed)
    effect = {name: np.zeros(GENES) for name in ("none", "A", "twice", "B")}
    for name in ("A", "B"):
        effect[name][rng.permutation(GENES)[: GENES // 5]] = rng.normal(0, 0.5, GENES // 5)
    effect["twice"] = 2 * effect["A"]
    label = np.repeat(["control", *effect], [controls, *[n] * 4])
    log = np.stack([effect.get(name, np.zeros(GENES)) for name in label]) * np.log(2)
    rate = np.exp(log + rng.normal(1.5, 0.5, GENES)) * rng.gamma(10, 0.1, (len(label), 1))
    # Cells are more unlike than Poisson counts.
    counts = rng.poisson(rate * rng.gamma(2, 0.5, rate.shape)).astype(np.float32)
    adata = AnnData(counts, obs=pd.DataFrame({"drug": label}, index=[f"c{i}" for i in range(len(label))]))
    return adata, effect


@pytest.fixture(scope="module")
def fitted():
    adata, effect = simulate()
    keys = PerturbationKeys("drug", control="control")
    return adata, scvcell.tl.fit(adata, perturbation=keys, train=QUICK), effect


def test_noise_alone_has_no_impact_and_twice_the_effect_four_times(fitted):
    adata, model, effect = fitted
    table = scvcell.tl.impact(adata, model).set_index("action")
    true = {name: (value**2).mean() for name, value in effect.items()}
    assert table.loc["none", "lower"] < 0 < table.loc["none", "upper"]
    assert abs(table.loc["none", "impact"]) < 0.1 * true["A"]
    assert table.loc["twice", "impact"] / table.loc["A", "impact"] == pytest.approx(4, rel=0.2)
    for name in ("A", "B", "twice"):
        assert table.loc[name, "impact"] == pytest.approx(true[name], rel=0.2)
    noisy = (
        np.log2(adata[adata.obs["drug"] == "none"].X.sum(0) / adata[adata.obs["drug"] == "control"].X.sum(0)) ** 2
    ).mean()
    assert noisy > 5 * abs(table.loc["none", "impact"])


def test_effective_features(fitted):
    adata, model, _ = fitted
    table = scvcell.tl.impact(adata, model).set_index("action")
    assert np.isnan(table.loc["none", "effective"])
    assert table.loc[["A", "B", "twice"], "effective"].between(0.5 * GENES / 5, 2 * GENES / 5).all()
    assert (table["n_features"] == GENES).all()


def test_intervals_hold_zero_for_actions_that_do_nothing(fitted):
    adata, model, _ = fitted
    inside = []
    controls = adata[adata.obs["drug"].isin(["control", "none"])].copy()
    for seed in range(20):
        controls.obs["drug"] = np.random.default_rng(seed).permutation(controls.obs["drug"])
        row = scvcell.tl.impact(controls, model, seed=seed).iloc[0]
        inside.append(row["lower"] <= 0 <= row["upper"])
    assert np.mean(inside) > 0.75


def test_correlation_of_true_effects(fitted):
    adata, model, effect = fitted
    few = adata[(adata.obs["drug"] != "control") | (np.arange(adata.n_obs) < 20)].copy()
    table = scvcell.tl.effect_correlation(few, model).droplevel("group").droplevel("group", axis=1)
    assert table.loc["A", "twice"] == pytest.approx(1, abs=0.15)
    true = np.corrcoef(effect["A"], effect["B"])[0, 1]
    assert table.loc["A", "B"] == pytest.approx(true, abs=0.2)
    counts = {name: few[few.obs["drug"] == name].X.sum(0) for name in ("control", "A", "B")}
    plain = np.corrcoef(*(np.log2(counts[name] / counts["control"]) for name in "AB"))[0, 1]
    assert abs(table.loc["A", "B"] - true) < abs(plain - true)
    assert np.allclose(np.diag(table)[table.index != "none"], 1)


def test_some_actions_and_seeds(fitted):
    adata, model, _ = fitted
    one, two = (scvcell.tl.impact(adata, model, actions=["A"], seed=1) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    assert one["action"].tolist() == ["A"]
    assert one["n_cells"].tolist() == [150]


def test_data_are_not_changed(fitted, fingerprint):
    adata, model, _ = fitted
    before = fingerprint(adata)
    scvcell.tl.impact(adata, model)
    assert fingerprint(adata) == before


def test_an_action_of_one_cell_is_left_out(fitted, caplog):
    adata, model, _ = fitted
    few = adata.obs_names[adata.obs["drug"] == "B"][1:]
    with caplog.at_level(logging.WARNING, "scvcell"):
        table = scvcell.tl.impact(adata[~adata.obs_names.isin(few)].copy(), model)
    assert "B" not in set(table["action"])
    assert "1 of 4 conditions have fewer than 10" in caplog.text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d, m: scvcell.tl.impact(d, m, actions=["Z"]), "No cell of the data was given 'Z'; cells were given"),
        (lambda d, m: scvcell.tl.impact(d, m, level=0), "level"),
        (lambda d, m: scvcell.tl.impact(d[d.obs["drug"] == "control"].copy(), m), "Every cell is a control"),
        (lambda d, m: scvcell.tl.effect_correlation(d, m, modality="adt"), "Actions act on rna, not on 'adt'"),
    ],
)
def test_refused(fitted, call, message):
    adata, model, _ = fitted
    with pytest.raises(ValueError, match=message):
        call(adata, model)


def test_cells_that_lack_the_assay_do_not_count(fitted):
    adata, model, _ = fitted
    some = adata[adata.obs["drug"].isin(["control", "A"])]
    other = AnnData(np.ones((some.n_obs, 2), np.float32), obs=some.obs[["drug"]].copy())
    rna = some[: np.flatnonzero(some.obs["drug"] == "A")[0] + 5].copy()
    other.var_names = ["p0", "p1"]
    mdata = MuData({"rna": rna, "adt": other})
    mdata.obs["drug"] = other.obs["drug"].reindex(mdata.obs_names)
    with pytest.raises(ValueError, match="No condition has 10 treated and 10 control cells with rna"):
        scvcell.tl.impact(mdata, model)


def test_a_model_without_actions(small):
    for verb in (scvcell.tl.impact, scvcell.tl.effect_correlation):
        with pytest.raises(ValueError, match="learned no perturbation"):
            verb(small.mdata, small.model)
