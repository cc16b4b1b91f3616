"""The terms of eq. 2 against loops over cells and views, and the weights that make special cases."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from scvcell.objective import TERMS, Weights, info_nce, mmd
from scvcell.objective._obs import MIN_MATCH_CELLS
from scvcell.state._posterior import Posterior


@pytest.fixture(scope="module")
def problem(mosaic, quick):
    """A trained module, a mini-batch with all patterns of assays, and its state."""
    import scvcell

    mdata = mosaic(120)
    model = scvcell.tl.fit(mdata, batch_key="batch", train=quick)
    (batch,) = model.batches(model.source(model.view()))
    torch.manual_seed(0)
    with torch.no_grad():
        state = model.module.inference(batch)
    return model.module, batch, state


def test_weights_of_a_cells_views_sum_to_one(problem):
    _, batch, state = problem
    total = torch.zeros(len(batch))
    for view in state.views:
        total[view.rows] += view.weight
    torch.testing.assert_close(total, torch.ones(len(batch)))


def test_likelihood_is_the_loop_over_views(problem):
    module, batch, state = problem
    with torch.no_grad():
        terms = TERMS["likelihood"](module, batch, state)
        for name, observed in batch.observed.items():
            operator, total = module.operators[name], 0.0
            x = observed.x.to_dense()
            row_of = {int(r): i for i, r in enumerate(observed.rows)}
            for view in state.views:
                for i, cell in enumerate(view.rows.tolist()):
                    if cell in row_of:
                        at = row_of[cell]
                        context = batch.context.at(torch.tensor([cell])).measured(observed.depth[[at]])
                        value = operator.log_prob(x[[at]], view.z[[i]], context)
                        value = value - operator.depth_error(view.z[[i]], context)
                        total -= float(view.weight[i] * value)
            expected = module.modality_weight[name] * (
                total / len(batch) + float(operator.regulariser()) / module.n_train
            )
            assert float(terms[name]) == pytest.approx(expected, rel=1e-4)


def test_small_panels_are_weighted_up(problem):
    module, _, _ = problem
    assert module.modality_weight == {"rna": 1.0, "adt": pytest.approx(np.sqrt(60 / 6))}


def test_kl_is_the_weighted_mean_over_views(problem):
    module, batch, state = problem
    expected = 0.0
    for view in state.views:
        for mean, var, weight in zip(*view.posterior, view.weight, strict=True):
            expected += float(weight * 0.5 * (mean**2 + var - 1 - var.log()).sum())
    assert float(TERMS["kl"](module, batch, state)) == pytest.approx(expected / len(batch), rel=1e-4)


def pairs(batch, state):
    for (_, (rows_a, a)), (_, (rows_b, b)) in combinations(state.experts.items(), 2):
        both = sorted(set(rows_a.tolist()) & set(rows_b.tolist()))
        yield (
            both,
            [a.at(torch.tensor([rows_a.tolist().index(c)])) for c in both],
            [b.at(torch.tensor([rows_b.tolist().index(c)])) for c in both],
        )


def test_paired_cells_are_found(problem):
    _, batch, state = problem
    (_, _, a, b, rows), ((both, ours, theirs),) = state.pairs[0], list(pairs(batch, state))
    assert rows.tolist() == both
    torch.testing.assert_close(a.mean, torch.cat([q.mean for q in ours]))
    torch.testing.assert_close(b.var, torch.cat([q.var for q in theirs]))


def surer(a, b):
    """Loop over cells and dimensions: KL from the posterior (with the prior) of the smaller variance to the other."""
    total = 0.0
    for m1, v1, m2, v2 in zip(*(t.flatten().tolist() for t in (a.mean, a.var, b.mean, b.var)), strict=True):
        m1, v1, m2, v2 = m1 / (1 + v1), v1 / (1 + v1), m2 / (1 + v2), v2 / (1 + v2)
        if v1 > v2:
            m1, v1, m2, v2 = m2, v2, m1, v1
        total += 0.5 * (v1 / v2 + (m1 - m2) ** 2 / v2 - 1 - np.log(v1 / v2))
    return total


@pytest.mark.parametrize(("paired", "one_way"), [(0.0, 0), (0.2, 0), (0.25, 0.25), (0.4, 1), (1.0, 1)])
def test_agreement_goes_one_way_where_many_cells_are_pairs(problem, monkeypatch, paired, one_way):
    module, batch, state = problem
    monkeypatch.setattr(module, "paired", paired)
    both = sum(
        0.5 * float(a.kl_to(b) + b.kl_to(a)) for _, qa, qb in pairs(batch, state) for a, b in zip(qa, qb, strict=True)
    )
    sure = sum(surer(a, b) for _, qa, qb in pairs(batch, state) for a, b in zip(qa, qb, strict=True))
    expected = (one_way * sure + (1 - one_way) * both) * min(1, 0.2 / max(paired, 0.2)) / len(batch)
    assert float(TERMS["agreement"](module, batch, state)) == pytest.approx(expected, rel=1e-4)


def factor(module):
    """What terms of pairs are multiplied with: their share counts up to one in five."""
    assert module.paired == pytest.approx(1 / 3, abs=0.02)
    return 0.2 / module.paired


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_agreement_of_many_pairs_teaches_nobody_to_forget(problem, shift, monkeypatch):
    module, batch, state = problem
    monkeypatch.setattr(module, "paired", 1.0)
    torch.manual_seed(1)
    rows = state.pairs[0][-1]
    known, guess = torch.randn(len(rows), 4), torch.randn(len(rows), 4)
    sure = Posterior(known.requires_grad_(), torch.full((len(rows), 4), 0.1).requires_grad_())
    vague = Posterior((guess + shift).requires_grad_(), torch.full((len(rows), 4), 0.9).requires_grad_())
    for a, b in ((sure, vague), (vague, sure)):
        value = TERMS["agreement"](module, batch, replace(state, pairs=[("a", "b", a, b, rows)]))
        grads = torch.autograd.grad(value, [*sure, *vague], allow_unused=True)
        assert all(g is None or (g == 0).all() for g in grads[:2])
        assert all((g != 0).any() for g in grads[2:])
        # the one that knows less is drawn towards what the other knows
        assert float((grads[2] * (guess + shift - known).detach()).sum()) > 0


def test_contrast_scales_with_the_share_of_paired_cells(problem):
    module, batch, state = problem
    _, _, a, b, rows = state.pairs[0]
    with torch.no_grad():
        loss = info_nce(a.mean, b.mean, module.log_tau, batch.context.batch[rows])
        assert float(TERMS["contrast"](module, batch, state)) == pytest.approx(
            float(loss) * len(rows) / len(batch) * factor(module), rel=1e-5
        )


def test_match_compares_assays_within_batch_only(problem):
    module, batch, state = problem
    (rows_a, a), (rows_b, b) = state.experts.values()
    code, expected = batch.context.batch, 0.0
    for value in code.unique():
        in_a, in_b = code[rows_a] == value, code[rows_b] == value
        n = min(int(in_a.sum()), int(in_b.sum()))
        assert n >= MIN_MATCH_CELLS
        expected += float(mmd(a.mean[in_a], b.mean[in_b])) * n / len(batch)
    assert float(TERMS["match"](module, batch, state)) == pytest.approx(expected, rel=1e-4)


def test_loss_is_the_sum_of_its_weighted_terms(problem):
    module, batch, _ = problem
    with torch.no_grad():
        torch.manual_seed(5)
        state = module.inference(batch)
        torch.manual_seed(5)
        terms = module.terms(batch)
        torch.manual_seed(5)
        total = module.loss(batch)
        assert float(total) == pytest.approx(sum(map(float, terms.values())), rel=1e-5)
        for name, term in TERMS.in_order():
            value, weight = term(module, batch, state), module.weights.of(name)
            if isinstance(value, dict):
                assert {k: float(v) * weight for k, v in value.items()} == pytest.approx(
                    {k: float(terms[k]) for k in value}, rel=1e-5
                )
            elif weight:
                assert float(terms[name]) == pytest.approx(weight * float(value), rel=1e-5)


@pytest.mark.parametrize(
    ("weights", "terms"),
    [
        (Weights(align=0), {"rna", "adt", "kl"}),
        (Weights(likelihood=0, match=0), {"kl", "contrast", "agreement"}),
        (Weights(likelihood=0, kl=0, agreement=0, match=0), {"contrast"}),
        (Weights(match=1), {"rna", "adt", "kl", "contrast", "agreement", "match"}),
    ],
    ids=["plain VAE", "dual encoder", "contrast only", "everything"],
)
def test_special_cases_are_weights(mosaic, quick, weights, terms):
    import scvcell

    mdata = mosaic(90)
    model = scvcell.tl.fit(mdata, train=quick, weights=weights)
    assert {k.removesuffix("_train") for k in model.history if k.endswith("_train")} == {*terms, "loss"}
    assert np.isfinite(mdata.obsm["X_csl"]).all()


def test_without_cross_only_the_joint_view_is_decoded(mosaic, quick):
    import scvcell

    model = scvcell.tl.fit(mosaic(90), train=quick, weights=Weights(cross=0))
    (batch,) = model.batches(model.source(model.view()))
    (view,) = model.module.inference(batch).views
    assert view.rows.tolist() == list(range(len(batch)))
    assert (view.weight == 1).all()
