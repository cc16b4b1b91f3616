"""A peer with settings of its own is a predictor in twenty lines."""

import inspect
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import scvcell
from scvcell import risk, score
from scvcell.perturb import read_design
from scvcell.risk import Effects, Split
from scvcell.risk.axes import Perturbation

KEYS = scvcell.PerturbationKeys("action", control="control", context="cell_type")


@pytest.fixture(scope="module")
def peer():
    """The latent additive model of the benchmarks."""
    root = str(Path(__file__).parents[2])
    sys.path.insert(0, root)
    from benchmarks.methods import latent_additive

    yield latent_additive
    sys.path.remove(root)


def test_latent_additive_in_twenty_lines(peer, monkeypatch):
    for name, value in {"WIDTH": 64, "RATE": 1e-2}.items():  # so that a second is enough
        monkeypatch.setattr(peer, name, value)

    class LatentAdditive:
        name = "latent additive"

        def fit(self, data, split, seed):
            torch.manual_seed(seed)
            design, self.data = read_design(KEYS, lambda key: data.obs[key]), data
            given = [design.actions[k].targets if k >= 0 else () for k in design.code]
            self.given = pd.get_dummies(pd.Series(given).explode()).groupby(level=0).max()
            context = np.eye(len(design.contexts))[design.context]
            inputs = [torch.tensor(np.asarray(x, np.float32)) for x in (score.log_cp10k(data.X), self.given, context)]
            controls = {k: np.flatnonzero(design.control & (design.context == k)) for k in set(design.context)}
            self.cells = peer.Cells(*inputs, design.context, controls)
            self.model = peer.LatentAdditive(*(x.shape[1] for x in inputs))
            peer.fit(self.model, self.cells, np.arange(data.n_obs), 80, seed)

        def predict(self, question):
            at = self.data.obs_names.get_indexer(question.cells)
            target = torch.tensor(self.given.columns.isin(question.action.targets), dtype=torch.float32)
            after = self.model(self.cells.values[at], target.expand(len(at), -1), self.cells.context[at])
            change = (after - self.cells.values[at]).mean(0).detach().numpy()
            return Effects(pd.DataFrame({"effect": change}, self.data.var_names))

    lines = [line for line in inspect.getsource(LatentAdditive).splitlines()[1:] if line.strip()]
    assert len(lines) <= 20
    data = scvcell.datasets.simulate_actions(700, n_targets=3, n_genes=40, n_proteins=4, n_types=2, seed=1)["rna"]
    pairs = data.obs_names[data.obs["action"].astype(str).str.contains(r"\+")]
    split = Split(data.obs_names.difference(pairs), data.obs_names[:0], pairs)
    axis = Perturbation(KEYS, n_partitions=0)
    found = {
        each.name: risk.ask(each, axis, data, split).groupby("metric")["value"].mean()
        for each in (LatentAdditive(), risk.EffectBaseline("mean", KEYS))
    }
    assert found["latent additive"]["answered"] == 1
    assert found["latent additive"]["pearson_effect"] > found["mean"]["pearson_effect"]
