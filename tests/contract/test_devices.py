"""One training step of every operator on a device other than the host's, which answers no question about values.

Tensors of torch's device ``meta`` have shapes and no values. A step that mixes devices fails there, and so does one
that waits for its device: that asks how many values are not zero, whether a flag is set, or what a number is.
"""

from contextlib import nullcontext

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from scvcell._containers import Matrix
from scvcell.measure import MEASUREMENTS
from scvcell.model._module import CSLModule
from scvcell.model._source import Source
from scvcell.objective import Weights
from scvcell.prior import GuidancePrior
from scvcell.prior._guidance import Edges
from scvcell.state import FrontEnd
from scvcell.testing import example_summary

CELLS, FEATURES, LATENT, BATCHES = 40, 8, 4, 2
OPTIONS = {
    "counts": [{}, {"likelihood": "zinb"}, {"likelihood": "poisson"}],
    "atac": [{}, {"likelihood": "bernoulli"}],
    "profile": [{}, {"likelihood": "student"}],
    "kinetics": [{}, {"time": 2.0}],
    "endpoint": [{"kind": "categorical"}, {"kind": "continuous"}],
}
CASES = [(name, options) for name in MEASUREMENTS for options in OPTIONS.get(name, [{}])]


def step(operators, share=0.7, *, panel=False, prior=None):
    """A network, and a mini-batch of a mosaic of such assays: some cells lack some of them."""
    rng = np.random.default_rng(0)
    built = {m: cls(LATENT, example_summary(), **options) for m, (cls, options) in operators.items()}
    fronts = {m: FrontEnd(cls, FEATURES, BATCHES, 4) for m, (cls, _) in operators.items() if cls.encoded}
    network = CSLModule(built, fronts, LATENT, Weights(), n_networks=2, prior=prior)
    network.large, network.paired = list(built), 0.3
    rows = {}
    for number, name in enumerate(operators):
        has = (rng.random(CELLS) < share) if number else np.ones(CELLS, bool)
        rows[name] = np.where(has, np.cumsum(has) - 1, -1)
    matrices = {m: Matrix(sp.random(CELLS, FEATURES, 0.5, "csr", np.float32, rng).ceil()) for m in operators}
    batch = np.arange(CELLS) % BATCHES
    source = Source(
        matrices=matrices,
        rows=rows,
        scores={m: rng.normal(size=(CELLS, fronts[m].width)).astype(np.float32) for m in fronts},
        operators={m: cls for m, (cls, _) in operators.items()},
        design=np.eye(BATCHES, dtype=np.float32)[batch],
        batch=batch,
        panels={m: rng.random((BATCHES, FEATURES)) < 0.8 for m in operators} if panel else {},
        confidence=np.ones(CELLS, np.float32),
    )
    return network, source.cut(np.arange(CELLS))


def taken(network, batch):
    """The loss, after a step on whatever device both are on."""
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3)
    loss = torch.stack(list(network.terms(batch).values())).sum()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0, foreach=False)
    optimiser.step()
    return loss


@pytest.fixture
def check(monkeypatch):
    """A step on the host, and the same on the other device."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())  # which this device lacks
    return both


def both(network, batch):
    here = taken(network, batch)
    assert torch.isfinite(here)
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())
    used = {name for name, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    loss = taken(network.to("meta"), batch.to("meta"))
    assert loss.device.type == "meta"
    assert {name for name, p in network.named_parameters() if p.grad is not None} == used


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda value: str(value))
def test_a_step_of_every_operator_stays_on_its_device_and_asks_it_for_nothing(name, options, check):
    check(*step({name: (MEASUREMENTS[name], options)}, panel=True))


def test_so_does_a_step_on_a_mosaic_with_views_pairs_and_a_graph(check, monkeypatch):
    smoothed = torch.sparse.mm
    monkeypatch.setattr(torch.sparse, "mm", lambda a, b: b + 0 if b.is_meta else smoothed(a, b))  # lacking there
    ends = np.arange(FEATURES)
    edges = Edges(ends, ends + FEATURES, *np.ones((2, FEATURES), np.float32))
    names = ("counts", "atac", "protein", "endpoint")
    prior = GuidancePrior({"counts": FEATURES, "atac": FEATURES}, edges, LATENT)
    network, batch = step({m: (MEASUREMENTS[m], {}) for m in names}, prior=prior)
    state = network.train().inference(batch)
    assert [view.name for view in state.views] == ["", "counts", "atac", "protein"]
    assert len(state.pairs) == 3
    assert {*network.terms(batch)} >= {*names, "kl", "contrast", "agreement", "match", "prior"}
    check(network, batch)


class Mixing(MEASUREMENTS["profile"]):
    def log_prob(self, x, z, ctx, observed=None):
        return super().log_prob(x, z, ctx, observed) + torch.ones(len(z))


class Waiting(MEASUREMENTS["profile"]):
    def log_prob(self, x, z, ctx, observed=None):
        return super().log_prob(x, z, ctx, observed) * (2.0 if bool(x.sum() > 0) else 1.0)


@pytest.mark.parametrize("operator", [Mixing, Waiting])
def test_an_operator_that_mixes_devices_or_waits_is_found_out(operator, check):
    with pytest.raises((RuntimeError, NotImplementedError), match=r"meta"):
        check(*step({"odd": (operator, {})}))
