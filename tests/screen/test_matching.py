"""Matches among controls, their balance, and effects on cells, against plain loops."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import mannwhitneyu

from scvcell import Action
from scvcell.perturb import AffineFlow
from scvcell.response import Bulk, Contrast
from scvcell.screen import Origin, _matching
from scvcell.screen._matching import Match, balance_of, effects_on_cells, matched_values
from scvcell.screen._transport import potential

NAMES = pd.Index([f"c{i}" for i in range(60)])


@pytest.fixture
def states(monkeypatch):
    monkeypatch.setattr(_matching, "CELLS_PER_BLOCK", 4)
    return torch.from_numpy(np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32))


@pytest.fixture
def match(states):
    """Ten treated cells and twenty controls, with any worth."""
    treated, controls = np.arange(30, 40), np.arange(5, 25)
    worth = torch.from_numpy(np.random.default_rng(1).normal(size=20).astype(np.float32))
    return Match(treated, controls, states[treated] + 0.1, states[controls], worth, 1.5, 2.0)


def odds_of(match):
    """Odds of each match by the formula."""
    out = np.empty((len(match.treated), len(match.controls)))
    for i, basal in enumerate(match.basal.numpy()):
        apart = np.square(match.there.numpy() - basal).sum(1)
        weight = np.exp(match.worth.numpy() - apart / match.scale)
        out[i] = weight / weight.sum()
    return out


def test_odds_masses_and_what_is_told_of_cells(match):
    odds = odds_of(match)
    np.testing.assert_allclose(np.concatenate([part for *_, part in match.rows()]), odds, rtol=1e-4)
    np.testing.assert_allclose(match.mass, odds.sum(0), rtol=1e-4)
    assert match.mass.sum() == pytest.approx(10)
    found = match.describe(NAMES)
    assert found.index.tolist() == NAMES[match.treated].tolist()
    assert found["matched_cell"].tolist() == NAMES[match.controls[odds.argmax(1)]].tolist()
    np.testing.assert_allclose(found["effective_matches"], 1 / (odds**2).sum(1), rtol=1e-4)
    nearest = [np.linalg.norm(match.there.numpy() - b, axis=1).min() for b in match.basal.numpy()]
    assert found["overlap"].tolist() == [apart <= 2.0 for apart in nearest]


def test_a_match_is_made_within_the_reach_of_controls_and_uses_each_as_it_is_needed(states):
    unit = Contrast(Action("A"), 0, np.arange(30, 40), np.arange(30))
    flow = AffineFlow(4, ("A",))
    origin = Origin(Action("A"), flow, torch.zeros(4), torch.zeros(4))
    basal = states[unit.treated]
    found = Match.make(unit, basal, states, origin, np.random.default_rng(0))
    among = torch.cdist(states[:30], states[:30]) + 1e9 * torch.eye(30)
    assert found.near == pytest.approx(float(np.quantile(among.min(1).values, 0.99)), rel=1e-4)
    nearest = torch.cdist(basal, states[:30]).square().min(1).values.median()
    assert found.scale == pytest.approx(0.3 * float(nearest), rel=1e-4)
    cost = torch.cdist(basal, states[:30]).square()
    worth = potential(cost, torch.full((30,), 1 / 30), 0.3 * float(nearest), float(nearest))
    torch.testing.assert_close(found.worth, worth, rtol=1e-3, atol=1e-3)
    plain = torch.softmax(-torch.cdist(basal, states[:30]).square() / found.scale, 1).sum(0).numpy()
    assert np.square(found.mass - 1 / 3).sum() < np.square(plain - 1 / 3).sum()


def test_the_order_of_cells_does_not_matter(match):
    order, columns = np.random.default_rng(2).permutation(10), np.random.default_rng(3).permutation(20)
    other = Match(
        match.treated[order],
        match.controls[columns],
        match.basal[order],
        match.there[columns],
        match.worth[columns],
        match.scale,
        match.near,
    )
    np.testing.assert_allclose(other.mass, match.mass[columns], rtol=1e-4)
    pd.testing.assert_frame_equal(other.describe(NAMES), match.describe(NAMES).iloc[order], rtol=1e-4)


def test_balance_is_the_difference_of_weighted_means_over_the_spread(match, states):
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"age": rng.normal(size=60), "lost": np.nan})
    table.loc[[7, 33], "age"] = np.nan
    found, auc = balance_of([match], states, match.treated, match.basal.numpy(), table)
    row = found.set_index("variable").loc["age"]
    age = table["age"].to_numpy()
    had, controls = ~np.isnan(age[match.controls]), age[match.controls]
    treated = age[match.treated][~np.isnan(age[match.treated])]
    spread = np.sqrt((treated.var() + controls[had].var()) / 2)
    weight = odds_of(match).sum(0)[had]
    assert row["smd_before"] == pytest.approx((treated.mean() - controls[had].mean()) / spread)
    assert row["smd_after"] == pytest.approx(
        (treated.mean() - weight @ controls[had] / weight.sum()) / spread, rel=1e-4
    )
    assert row["p_value"] == pytest.approx(mannwhitneyu(treated, controls[had]).pvalue)
    assert "lost" not in set(found["variable"])
    assert found["variable"].str.startswith("basal state").sum() == 4
    assert 0 <= auc <= 1
    far = match.basal.numpy() + 10
    assert balance_of([match], states, match.treated, far, table)[1] > 0.99


def test_effects_on_cells_and_groups_with_their_spread(readout, states):
    bulk = Bulk(readout("profile", np.zeros((60, 8), np.float32)))
    cells, groups = np.arange(30, 40), [np.arange(4), np.arange(4, 10)]
    rng = np.random.default_rng(5)
    after, before = states[cells], states[cells] - 0.5
    draws = [
        (after + 0.1 * torch.randn(10, 4), before + 0.1 * torch.randn(10, 4), rng.integers(1, 3, 10).astype(float))
        for _ in range(3)
    ]

    def level(z):
        with torch.no_grad():
            return bulk.operator.predict(z, bulk.at(cells)).numpy().astype(float)

    value, spread, counterfactual, mean, of_mean = effects_on_cells(bulk, cells, groups, after, before, draws)
    true = level(after) - level(before)
    np.testing.assert_allclose(value, true, atol=1e-5)
    np.testing.assert_allclose(counterfactual, level(before), atol=1e-5)
    each = [level(z) - level(z0) for z, z0, _ in draws]
    np.testing.assert_allclose(spread, np.sqrt(np.mean([(e - true) ** 2 for e in each], 0)), atol=1e-5)
    np.testing.assert_allclose(mean, [true[:4].mean(0), true[4:].mean(0)], atol=1e-5)
    for number, group in enumerate(groups):
        weighted = [w[group] @ e[group] / w[group].sum() for e, (*_, w) in zip(each, draws, strict=True)]
        np.testing.assert_allclose(of_mean[number], np.std(weighted, 0, ddof=1), atol=1e-5)


@pytest.mark.parametrize("kind", ["counts", "profile"])
def test_what_was_measured_in_matched_controls_is_their_mean_by_odds(readout, match, kind):
    rows = np.arange(60)
    rows[match.controls[::3]] = -1
    values = np.random.default_rng(6).poisson(4.0, (60, 8)).astype(np.float32)
    bulk = Bulk(readout(kind, values, rows=rows))
    has = rows[match.controls] >= 0
    share = odds_of(match)[:, has]
    share /= share.sum(1, keepdims=True)
    known = values[match.controls[has]].astype(float)
    expected = share @ (known / known.sum(1, keepdims=True) if kind == "counts" else known)
    expected = np.log1p(1e4 * expected) if kind == "counts" else expected
    np.testing.assert_allclose(matched_values(bulk, [match], match.treated), expected, rtol=1e-4)
    rows[match.controls] = -1
    none = matched_values(Bulk(readout(kind, values, rows=rows)), [match], match.treated)
    assert np.isnan(none).all()
