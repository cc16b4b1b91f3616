"""Measured effects and their noise against means and variances in plain loops."""

import numpy as np
import pytest
import torch

from scvcell import Action
from scvcell.perturb import AffineFlow
from scvcell.response import Bulk, Contrast
from scvcell.response._effects import Effects


@pytest.fixture
def measured(readout):
    """Two contexts of which one has 15 and one 12 controls; three conditions, the last of few cells."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(80, 8)).astype(np.float32)
    seen = readout("profile", values)
    sizes = {"controls 0": 15, "controls 1": 12, "A 0": 20, "A 1": 11, "B 1": 4}
    ends = np.cumsum([0, *sizes.values()])
    at = {name: np.arange(a, b) for name, a, b in zip(sizes, ends, ends[1:], strict=False)}
    units = [
        Contrast(Action("A"), 0, at["A 0"], at["controls 0"]),
        Contrast(Action("A"), 1, at["A 1"], at["controls 1"]),
        Contrast(Action("B"), 1, at["B 1"], at["controls 1"]),
    ]
    latent = torch.from_numpy(rng.normal(size=(80, 4)).astype(np.float32))
    return values.astype(float), seen, at, units, latent


def test_effects_are_differences_of_means_and_noise_shares_the_variance(measured):
    values, seen, at, units, latent = measured
    found = Effects(Bulk(seen), units, latent)
    groups = [at[name] for name in ("A 0", "A 1", "B 1", "controls 0", "controls 1")]
    free = sum(len(g) - 1 for g in groups)
    pooled = sum(np.square(values[g] - values[g].mean(0)).sum(0) for g in groups) / free
    np.testing.assert_allclose(found.spread, pooled, rtol=1e-5)

    def noise(cells):
        own = values[cells].var(0, ddof=1)
        return (pooled if len(cells) < 10 else (own + pooled) / 2) / len(cells)

    for row, unit in enumerate(units):
        effect = values[unit.treated].mean(0) - values[unit.controls].mean(0)
        np.testing.assert_allclose(found.value[row], effect, atol=1e-6)
        np.testing.assert_allclose(found.noise[row], noise(unit.treated) + noise(unit.controls), rtol=1e-4)
        np.testing.assert_allclose(found.places[row], latent[unit.controls].mean(0), atol=1e-6)


def test_without_replicates_the_noise_is_not_known(measured):
    values, seen, _, _, latent = measured
    units = [Contrast(Action("A"), k, np.array([k]), np.array([k + 10])) for k in range(3)]
    found = Effects(Bulk(seen), units, latent)
    assert np.isnan(found.spread).all()
    assert np.isnan(found.noise).all()
    np.testing.assert_allclose(found.value, values[:3] - values[10:13], atol=1e-6)


def test_a_flow_predicts_what_is_expected_of_moved_controls(measured):
    _, seen, _, units, latent = measured
    found = Effects(Bulk(seen), units, latent)
    flow = AffineFlow(4, ("A", "B"))
    assert not found.by_flow(flow, np.arange(3)).any()
    with torch.no_grad():
        flow.offset[0], flow.offset[1] = 1.0, -2.0
    rows = np.array([2, 0])
    for row, effect in zip(rows, found.by_flow(flow, rows), strict=True):
        unit = units[row]
        z, step = latent[unit.controls], 1.0 if unit.action == Action("A") else -2.0
        with torch.no_grad():
            before, after = (seen.operator.predict(state, seen.at(unit.controls)) for state in (z, z + step))
        np.testing.assert_allclose(effect, (after - before).mean(0), atol=1e-5)
    assert found.describe(flow, rows).exposure.tolist() == [[0, 1], [1, 0]]


def test_cells_without_the_assay_do_not_count(measured, readout):
    values, _, at, units, latent = measured
    lost = at["A 0"][:5]
    rows = np.arange(80)
    rows[lost] = -1
    one = Effects(Bulk(readout("profile", values.astype(np.float32), rows=rows)), units, latent)
    fewer = [Contrast(u.action, u.context, np.setdiff1d(u.treated, lost), u.controls) for u in units]
    other = Effects(Bulk(readout("profile", values.astype(np.float32))), fewer, latent)
    for name in ("value", "noise", "spread"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-6)
