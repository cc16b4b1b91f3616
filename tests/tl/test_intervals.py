"""Intervals of effects where no condition can be left out: one context, every target in one condition."""

import logging

import numpy as np

import scvcell
from scvcell import PerturbationKeys, TrainConfig
from scvcell.datasets import simulate_actions


def test_a_screen_in_one_context_says_once_what_its_intervals_hold(caplog, tmp_path):
    mdata = simulate_actions(500, n_targets=3, pairs=False, n_genes=60, seed=0)
    rna = mdata["rna"].copy()
    rna.obs["action"] = mdata.obs["action"].to_numpy()
    quick = TrainConfig(max_epochs=5, accelerator="cpu", progress=False)
    with caplog.at_level(logging.WARNING, "scvcell"):
        model = scvcell.tl.fit(rna, perturbation=PerturbationKeys("action", control="control"), train=quick)
    said = [r for r in caplog.records if "Too few conditions could be left out" in r.getMessage()]
    assert len(said) == 1
    assert "T1" in said[0].getMessage()
    frame = scvcell.tl.effects(rna, model, "T1")
    assert np.isfinite(frame["lower"]).all()
    assert np.isfinite(frame["upper"]).all()
    assert frame["trusted"].all()
    few = scvcell.tl.effects(rna, model, "T1", n_cells=5)
    assert (few["upper"] - few["lower"] > frame["upper"] - frame["lower"]).all()
    unmeasured = scvcell.tl.effects(rna, model, "T1+T2")
    assert np.isinf(unmeasured["upper"]).all()
    assert not unmeasured["trusted"].any()
    shuffled = scvcell.tl.effects(rna[np.random.default_rng(0).permutation(rna.n_obs)].copy(), model, "T1")
    np.testing.assert_allclose(shuffled[["lfc", "lower", "upper"]], frame[["lfc", "lower", "upper"]], atol=0.02)
    model.save(tmp_path / "model")
    loaded = scvcell.tl.effects(rna, scvcell.CSL.load(tmp_path / "model", rna), "T1")
    np.testing.assert_allclose(loaded[["lower", "upper"]], frame[["lower", "upper"]], rtol=1e-4, atol=1e-5)
    assert "90% interval" in scvcell.pl.effects(frame).get_xlabel()
    assert "no interval" in scvcell.pl.effects(unmeasured).get_xlabel()
