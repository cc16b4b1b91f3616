"""Whether the order of two actions matters: distances of mean states, their null, and refusals."""

import numpy as np
import pytest

import scvcell
from scvcell.response import compared, contrasts, design_of
from scvcell.scale import Membership


def pairs_of(dosed, monkeypatch, make):
    """Take `make` of the conditions of the data for those in which both orders were measured."""
    monkeypatch.setattr("scvcell.tl._order.both_orders", lambda units, first, second: make(units))
    seen = dosed.model.view(dosed.data)
    design = compared(design_of(seen, dosed.model.response), dosed.model.response)
    units = [u for u in contrasts(design, np.ones(seen.n_obs, bool)) if len(u.treated) >= 10]
    return units, design, dosed.model.get_latent_representation(dosed.data).astype(float)


def test_kappa_is_the_distance_of_both_orders_over_the_steps_of_the_targets(dosed, monkeypatch):
    """Two conditions of one context stand for the two orders of one action."""

    def make(units):
        return [(a, b) for a in units for b in units if a.context == b.context and a.action != b.action][:1]

    units, design, latent = pairs_of(dosed, monkeypatch, make)
    ((a, b),) = make(units)
    name = design.contexts[a.context]
    table = scvcell.tl.order_effect(dosed.data, dosed.model, "T1", "T2", n_null=19).set_index("group")
    assert list(table.index) == [name]
    assert table.loc[name, "compared"] == "cells"
    assert table.loc[name, "n_cells"] == len(a.treated) + len(b.treated)
    steps = {}
    inside = [u for u in units if u.context == a.context]
    for unit in inside if len({u.action.targets for u in inside}) == 2 else units:
        step = latent[unit.treated].mean(0) - latent[unit.controls].mean(0)
        steps.setdefault(unit.action.targets, []).append(np.linalg.norm(step))
    apart = np.linalg.norm(latent[a.treated].mean(0) - latent[b.treated].mean(0))
    assert table.loc[name, "kappa"] == pytest.approx(apart / sum(map(np.mean, steps.values())), rel=1e-4)


def test_the_same_cells_in_both_orders_do_not_differ(dosed, monkeypatch):
    pairs_of(dosed, monkeypatch, lambda units: [(units[0], units[0])])
    table = scvcell.tl.order_effect(dosed.data, dosed.model, "T1", "T2", n_null=9)
    assert table["kappa"].tolist() == pytest.approx([0], abs=1e-6)
    assert table["p"].tolist() == [1]
    assert table["lower"].tolist() == [0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("T1", "T1"), "Give two different targets; both are 'T1'"),
        (("T1", "T9"), "no 10 cells of one context that got 'T9' alone"),
        (("T9", "aggregate"), "'T9' alone"),
    ],
)
def test_refused(dosed, arguments, message):
    with pytest.raises(ValueError, match=message):
        scvcell.tl.order_effect(dosed.data, dosed.model, *arguments)
    with pytest.raises(ValueError, match="n_null must be a whole number >= 1"):
        scvcell.tl.order_effect(dosed.data, dosed.model, "T1", "T2", n_null=0)


def test_cells_are_pooled_to_what_by_says(dosed):
    """Of units that are the batches the answer is that of batches; others give another one."""
    seen = dosed.model.view(dosed.data)
    options = {"n_null": 2, "cells": seen.column("cell_type").eq("type1").to_numpy()}
    half = seen.column("action").astype(str)
    half[:] = np.where(np.arange(seen.n_obs) % 2, "odd", "even")

    def kappas(by):
        return scvcell.tl.order_effect(dosed.data, dosed.model, "T1", "aggregate", by=by, **options)["kappa"]

    np.testing.assert_allclose(kappas(Membership.groups(half.map(lambda _: "all"))), kappas(None), rtol=1e-6)
    assert abs(kappas(Membership.groups(half)) - kappas(None)).max() > 1e-4


def test_units_that_cannot_be_pooled_are_refused(dosed):
    seen = dosed.model.view(dosed.data)
    whole = Membership.groups(seen.column("cell_type"))

    def ask(by, second="aggregate"):
        scvcell.tl.order_effect(dosed.data, dosed.model, "T1", second, by=by, n_null=1)

    with pytest.raises(ValueError, match=r"by= says what cells are pooled to; it goes with 'aggregate', not with 'T2'"):
        ask(whole, "T2")
    with pytest.raises(ValueError, match=r"are not the .* cells of the data"):
        ask(Membership(whole.matrix[:, 1:], whole.coarse, whole.fine[1:]))
    with pytest.raises(ValueError, match="the weights of by= must be 1"):
        ask(Membership(whole.matrix / 2, whole.coarse, whole.fine))
    with pytest.raises(ValueError, match="has two untreated cells of a group"):
        ask(Membership.groups(seen.obs_names.to_series(), "cell"))
    with pytest.raises(KeyError, match="No obs column 'sections'"):
        ask("sections")
    with pytest.raises(ValueError, match="by must be a whole number >= 2"):
        ask(1)
    with pytest.raises(ValueError, match="no coordinates"):
        ask(5)
