"""The network: modules by any name, posteriors of unimodal and joint views, vectors of a prior."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from scvcell.measure import LinkedDecoder
from scvcell.model._build import empty_summaries
from scvcell.model._module import ByModality, CSLModule
from scvcell.objective import TERMS, Weights
from scvcell.prior import GuidanceGraph, GuidancePrior
from scvcell.state import Posterior, fuse


@pytest.mark.parametrize("name", ["rna", "GEX.v3", "values", "train", "a/b", "gène", "", "m:x"])
def test_modules_by_names_that_torch_refuses(name):
    held = ByModality({name: nn.Linear(2, 3), "other": nn.Linear(1, 1)})
    assert list(held) == held.keys() == [name, "other"]
    assert held[name].out_features == 3
    assert name in held
    assert "nothing" not in held
    assert dict(held.items())[name] is held[name]
    again = ByModality({name: nn.Linear(2, 3), "other": nn.Linear(1, 1)})
    again.load_state_dict(held.state_dict())
    assert torch.equal(again[name].weight, held[name].weight)


@pytest.fixture
def problem(small):
    model = small.model
    (batch,) = model.batches(model.source(model.view()))
    return model.network, batch


def test_the_joint_posterior_is_the_product_of_the_experts_and_the_prior(problem):
    module, batch = problem
    with torch.no_grad():
        joint, experts = module.posterior(batch), module.experts(batch)
    precision, weighted = torch.ones_like(joint.mean), torch.zeros_like(joint.mean)
    for rows, expert in experts.values():
        for i, cell in enumerate(rows.tolist()):
            precision[cell] += 1 / expert.var[i]
            weighted[cell] += expert.mean[i] / expert.var[i]
    torch.testing.assert_close(joint.var, 1 / precision)
    torch.testing.assert_close(joint.mean, weighted / precision, rtol=1e-4, atol=1e-5)


def test_one_assay_alone_is_its_expert_with_the_prior(problem):
    module, batch = problem
    with torch.no_grad():
        alone = module.posterior(batch, ["adt"])
        ((rows, expert),) = module.experts(batch, ["adt"]).values()
    expected = fuse(len(batch), [(rows, expert)], expert.mean, module.n_latent)
    torch.testing.assert_close(alone.mean, expected.mean)
    lacking = np.setdiff1d(np.arange(len(batch)), rows)
    assert (alone.var[lacking] == 1).all()


def test_every_observed_assay_is_a_view_of_its_own(problem):
    module, batch = problem
    with torch.no_grad():
        state = module.inference(batch)
        points = module.generative(batch, state)
    assert [view.name for view in state.views] == ["", "rna", "adt"]
    (pair,) = state.pairs
    assert pair[:2] == ("rna", "adt")
    assert {m: tuple(v.shape) for m, v in points.items()} == {"rna": (300, 60), "adt": (300, 6)}


def test_a_step_decodes_a_large_modality_from_one_assay_and_expects_the_same(problem, monkeypatch):
    """Over many draws, the likelihood is that of all views; each draw decodes fewer states."""
    module, batch = problem
    monkeypatch.setattr(module, "large", ["rna"])
    for encoder in module.encoders.modules():
        monkeypatch.setattr(encoder, "training", False)  # no dropout, so that posteriors are the same
    monkeypatch.setattr(Posterior, "sample", lambda posterior: posterior.mean)

    def likelihood():
        with torch.no_grad():
            state = module.inference(batch)
            met = sum(len(view.sight.meets["rna"].rows) for view in state.views if "rna" in view.sight.meets)
            return met, torch.stack(list(TERMS["likelihood"](module, batch, state).values()))

    states, exact = likelihood()
    monkeypatch.setattr(module, "training", True)
    torch.manual_seed(0)
    found = [likelihood() for _ in range(60)]
    several = int((batch.layout.counts > 1).sum())
    assert {number for number, _ in found} == {states - several}
    values = torch.stack([value for _, value in found])
    torch.testing.assert_close(values[:, 1], exact[1].expand(60))
    assert abs(float(values[:, 0].mean() - exact[0])) < 4 * float(values[:, 0].std()) / 60**0.5
    assert float(values[:, 0].std()) > 0


def test_a_term_that_weighs_nothing_is_not_computed_and_a_new_one_is_added(problem, monkeypatch):
    module, batch = problem
    monkeypatch.setattr(module, "weights", Weights(match=0, contrast=0))
    monkeypatch.setitem(TERMS._items, "size", lambda network, batch, state: state.joint.mean.pow(2).mean())
    with torch.no_grad():
        terms = module.terms(batch)
        assert set(terms) == {"rna", "adt", "kl", "agreement", "size"}
        torch.testing.assert_close(terms["size"], module.posterior(batch).mean.pow(2).mean())


def test_a_prior_links_the_decoders_of_its_assays_and_hands_them_vectors(small):
    model = small.model
    ends = {"modality_a": "rna", "feature_a": "gene001", "modality_b": "adt", "feature_b": "protein002"}
    edges = GuidanceGraph(pd.DataFrame([ends])).index(model.linkable)
    known = empty_summaries(model)
    operators = {m: model.operator(m)(4, known[m]) for m in ("rna", "adt")}
    prior = GuidancePrior(model.nodes, edges, 4)
    module = CSLModule(operators, {}, 4, Weights(), prior=prior).eval()
    for name in ("rna", "adt"):
        decoder = module.operators[name].decoder
        assert isinstance(decoder, LinkedDecoder)
        torch.testing.assert_close(decoder.vectors, prior.vectors()[name])
        assert not decoder.vectors.requires_grad
