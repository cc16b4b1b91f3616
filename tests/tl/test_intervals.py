"""Intervals of effects where no condition can be left out: one context, every target in one condition."""

import logging

import numpy as np
import pytest

import scvcell
from scvcell import PerturbationKeys, TrainConfig
from scvcell.datasets import simulate_actions
from scvcell.response._conditions import Conditions, measured_row
from scvcell.response._intervals import sampling_halfwidth


def one_draw(rng, effect, n, m):
    """Effects measured in training and anew from counts, and their sampling variances."""
    base = np.full(len(effect), 1.0)
    before, after, again, control = (
        np.log1p(rng.poisson(np.exp(base + shift), (cells, len(effect))))
        for shift, cells in ((0, n), (effect, n), (effect, m), (0, m))
    )
    trained = before.var(0, ddof=1) / n + after.var(0, ddof=1) / n
    return after.mean(0) - before.mean(0), again.mean(0) - control.mean(0), trained, trained * n / m


@pytest.mark.parametrize("shrink", [1.0, 0.6, 0.0])
def test_coverage_holds_for_all_and_for_the_strongest_however_much_was_shrunk(shrink):
    rng = np.random.default_rng(0)
    held, top = [], []
    for _ in range(40):
        effect = np.where(rng.random(200) < 0.1, rng.normal(0, 0.6, 200), 0)
        measured, new, trained, fresh = one_draw(rng, effect, 40, 40)
        value = shrink * measured
        half = sampling_halfwidth(measured - value, trained, fresh, 0.9, 39)
        inside = np.abs(new - value) <= half
        held.append(inside.mean())
        top.append(inside[np.argsort(-np.abs(value if shrink else measured))[:10]].mean())
    assert np.mean(held) >= 0.88
    assert np.mean(top) >= 0.85


def test_widths_fall_with_the_root_of_cells_and_follow_their_features():
    rng = np.random.default_rng(1)
    miss, trained, new = rng.normal(size=30) * 0.1, rng.random(30), rng.random(30)
    half = sampling_halfwidth(miss, trained, new, 0.9, 1e6)
    np.testing.assert_allclose(sampling_halfwidth(miss / 2, trained / 4, new / 4, 0.9, 1e6), half / 2)
    order = rng.permutation(30)
    np.testing.assert_array_equal(sampling_halfwidth(miss[order], trained[order], new[order], 0.9, 1e6), half[order])
    assert (sampling_halfwidth(miss, trained, new, 0.9, 5) > half).all()


def test_only_the_same_action_in_the_nearest_context_is_measured():
    place = np.array([[0.0], [0.0], [5.0]])
    units = Conditions(np.array([[1.0, 0], [0, 1], [1, 0]]), np.zeros((3, 2)), np.zeros(3), place)

    def asked(exposure, at):
        return measured_row(units, Conditions(np.array([exposure]), np.zeros((1, 2)), np.zeros(1), np.array([[at]])))

    assert asked([1.0, 0.0], 4.0) == 2
    assert asked([0.0, 1.0], 1.0) == 1
    assert asked([0.0, 1.0], 4.0) is None
    assert asked([0.5, 0.5], 0.0) is None


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
