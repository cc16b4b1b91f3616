"""Measured effects of conditions with their noise, against means and variances of cells."""

from types import SimpleNamespace

import numpy as np
import pytest

from scvcell import Action, PerturbationKeys
from scvcell.perturb import AffineFlow, Design
from scvcell.response import Response
from scvcell.screen import _impact
from scvcell.screen._impact import measure_effect

ACTIONS = (Action("A"), Action("B"))


@pytest.fixture
def screen(readout, monkeypatch):
    """Two lines with ten controls each, and ten cells of each drug in either; of B on y five lack the assay."""
    rng = np.random.default_rng(0)
    code, context = np.tile(np.repeat([-1, 0, 1], 10), 2), np.repeat([0, 1], 30)
    values = rng.normal(size=(60, 8)).astype(np.float32) + code[:, None]
    rows = np.arange(60)
    rows[55:] = -1
    design = Design(ACTIONS, code, ("x", "y"), context, {})
    response = Response(PerturbationKeys("drug", "none"), AffineFlow(4, ("A", "B")), ACTIONS, {})
    response.anchors = {"profile": None}
    monkeypatch.setattr(_impact, "learned", lambda model: response)
    monkeypatch.setattr(_impact, "design_of", lambda data, response: design)
    seen = readout("profile", values, rows=rows)
    model = SimpleNamespace(view=lambda data: data, readout=lambda data, name: seen)
    return model, values.astype(float), code, context


def test_effects_are_differences_and_noise_is_the_variance_of_means(screen):
    model, values, code, context = screen
    found = measure_effect(None, model, None, 0)["profile"]
    assert set(found) == {("A", "x"), ("B", "x"), ("A", "y")}, "five cells are fewer than groups"
    for (name, line), effect in found.items():
        here = context == "xy".index(line)
        treated, controls = values[here & (code == "AB".index(name))], values[here & (code == -1)]
        np.testing.assert_allclose(effect.value[0], treated.mean(0) - controls.mean(0), atol=1e-5)
        assert effect.value.shape == (11, 8)
        # Ten groups of one cell each: the jackknife of a mean is the variance over the number of cells.
        np.testing.assert_allclose(effect.shared, controls.var(0, ddof=1) / 10, rtol=1e-4)
        np.testing.assert_allclose(effect.noise - effect.shared, treated.var(0, ddof=1) / 10, rtol=1e-4)
        assert str(effect.unit.action) == name


def test_actions_of_one_context_share_their_controls(screen):
    model, *_ = screen
    found = measure_effect(None, model, None, 3)["profile"]
    np.testing.assert_array_equal(found["A", "x"].shared, found["B", "x"].shared)
    some = measure_effect(None, model, ["A"], 3)["profile"]
    assert set(some) == {("A", "x"), ("A", "y")}
    np.testing.assert_array_equal(some["A", "x"].value, found["A", "x"].value)
    again = measure_effect(None, model, None, 3)["profile"]
    np.testing.assert_array_equal(again["B", "x"].value, found["B", "x"].value)


def test_effects_on_counts_are_logs_to_base_two(screen, readout):
    model, _, code, context = screen
    counts = np.random.default_rng(1).poisson(30 * np.where(code[:, None] == 0, [2.0] + [1.0] * 7, 1.0), (60, 8))
    seen = readout("protein", counts.astype(np.float32))
    model.readout = lambda data, name: seen
    effect = measure_effect(None, model, ["A"], 0)["profile"]["A", "x"]
    here = context == 0
    means = [counts[here & (code == c)].mean(0) for c in (0, -1)]
    np.testing.assert_allclose(effect.value[0], np.log2((1 + means[0]) / (1 + means[1])), rtol=1e-4)
    assert effect.value[0, 0] == pytest.approx(1, abs=0.3)


def test_too_few_cells_with_the_assay_are_refused(screen, readout):
    model, values, *_ = screen
    few = np.arange(60)
    few[np.arange(60) % 10 > 7] = -1
    seen = readout("profile", values.astype(np.float32), rows=few)
    model.readout = lambda data, name: seen
    with pytest.raises(ValueError, match="No condition has 10 treated and 10 control cells with profile"):
        measure_effect(None, model, None, 0)
