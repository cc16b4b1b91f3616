"""How far matched effects are off: bootstrap samples, and experiments whose true effects are given."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scvcell import Action
from scvcell.perturb import AffineFlow
from scvcell.response import Bulk, Contrast
from scvcell.screen import Origin, _rehearsal
from scvcell.screen._rehearsal import _drawn, _halfway, draws_of, rehearse
from scvcell.state import Posterior

A = Action("A")
SHIFT = torch.tensor([1.0, -1.0, 0.0, 0.5])


@pytest.fixture
def experiment(monkeypatch):
    """Controls and cells that a known flow has moved, in two contexts."""
    monkeypatch.setattr(_rehearsal, "REFIT_STEPS", 3)
    rng = np.random.default_rng(0)
    latent = torch.from_numpy(0.3 * rng.normal(size=(120, 4)).astype(np.float32))
    units = [Contrast(A, 0, np.arange(30, 50), np.arange(30)), Contrast(A, 1, np.arange(90, 120), np.arange(50, 90))]
    for unit in units:
        latent[unit.treated] += SHIFT
    flow = AffineFlow(4, ("A",))
    with torch.no_grad():
        flow.offset[0] = SHIFT
    return units, latent, Origin(A, flow, latent[:30].mean(0), torch.zeros(4))


def test_bootstrap_draws_cells_of_their_context_as_often_as_there_are(experiment):
    units, latent, origin = experiment
    posterior = Posterior(latent, torch.full_like(latent, 0.01))
    cells = np.concatenate([u.treated for u in units])
    draws = list(draws_of(units, cells, posterior, origin, range(6), 0))
    assert len(draws) == 6
    for z, before, times in draws:
        assert times[:20].sum() == 20
        assert times[20:].sum() == 30
        np.testing.assert_allclose((z - before).mean(0), SHIFT, atol=0.3)
    spread = torch.stack([z for z, *_ in draws]) - latent[cells]
    assert float(spread.std()) == pytest.approx(0.1, rel=0.1)
    assert np.var([times for *_, times in draws]) == pytest.approx(1, rel=0.3)
    again = list(draws_of(units, cells, posterior, origin, range(6), 0))
    for one, two in zip(draws, again, strict=True):
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b)


def test_experiments_draw_controls_of_the_context_by_their_odds_of_treatment(experiment):
    units, latent, origin = experiment
    origin.tilt = torch.tensor([3.0, 0.0, 0.0, 0.0])
    drawn = np.concatenate([_drawn(units[0], latent, origin, np.random.default_rng(s)) for s in range(200)])
    assert set(drawn) <= set(units[0].controls)
    odds = np.exp(3 * latent[:30, 0].numpy().astype(float))
    share = np.bincount(drawn, minlength=30) / len(drawn)
    np.testing.assert_allclose(share, odds / odds.sum(), atol=0.03)


def rehearsed(units, latent, origin, bulks, encode, seed=0):
    start = SimpleNamespace(encode=encode, model=SimpleNamespace(progress=False))
    return rehearse(start, units, bulks, latent, origin, seed)


def test_an_experiment_that_is_read_without_error_is_off_by_the_refit_alone(experiment, readout, monkeypatch):
    units, latent, origin = experiment
    bulks = {"profile": Bulk(readout("profile", np.zeros((120, 8), np.float32)))}
    moved = {}

    def moved_values(bulk, cells, before, after, rng):
        moved["after"] = after
        return np.zeros((len(cells), 8))

    found = {}
    monkeypatch.setattr(_rehearsal, "moved_values", moved_values)
    for name, fit in (("true", origin), ("none", None)):
        if fit is None:
            still = AffineFlow(4, ("A",))
            fit = Origin(A, still, origin.center, origin.tilt)
        monkeypatch.setattr(_rehearsal, "fit_origin", lambda *a, fit=fit, **k: fit)
        found[name] = rehearsed(units, latent, origin, bulks, lambda cells, values: moved["after"])["profile"]
    for square in found["true"]:
        np.testing.assert_allclose(square, 0, atol=1e-10)
    of_cells, of_means = found["none"]
    assert of_cells.shape == (8,)
    assert of_means.shape == (2, 8)
    # A fit that sees no effect is off by all of it, which is nearly the same in all cells.
    cells, bulk = np.r_[units[0].controls, units[1].controls], bulks["profile"]
    effect = bulk.level(cells, latent[cells] + SHIFT) - bulk.level(cells, latent[cells])
    np.testing.assert_allclose(of_cells, _halfway(np.square(effect).mean(0)), rtol=0.25)


def test_all_of_it_runs_with_a_fit_of_its_own_and_repeats(experiment, readout, monkeypatch):
    monkeypatch.setattr(_rehearsal, "N_REHEARSALS", 2)
    units, latent, origin = experiment
    bulks = {"profile": Bulk(readout("profile", np.zeros((120, 8), np.float32)))}
    one, two = (
        rehearsed(units, latent, origin, bulks, lambda cells, values: latent[cells] + SHIFT)["profile"]
        for _ in range(2)
    )
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a > 0).all()


def test_halfway_between_a_feature_and_all():
    square = np.array([[1.0, 3.0], [0.0, 8.0]])
    np.testing.assert_allclose(_halfway(square), [[1.5, 2.5], [2.0, 6.0]])
