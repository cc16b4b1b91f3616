"""Every simple prediction of an action is asked through one adapter, which gives what the function gives."""

import numpy as np
import pandas as pd
from anndata import AnnData

from scvcell import Action, PerturbationKeys
from scvcell.perturb import read_design
from scvcell.risk import Effect, Split, Translate
from scvcell.risk.baselines import BASELINES, EffectBaseline, action_baselines
from scvcell.score import log_cp10k

KEYS = PerturbationKeys("drug", control="no")


def test_effects_are_those_of_the_function_on_cells_that_may_be_learned_from():
    drug = np.repeat(["no", "a", "b", "a+b"], 15)
    obs = pd.DataFrame({"drug": drug}, index=[f"c{i:02d}" for i in range(60)])
    data = AnnData(np.random.default_rng(0).poisson(4.0, (60, 8)).astype(np.float32), obs)
    hidden = data.obs_names[drug == "b"]
    split = Split(data.obs_names.difference(hidden), hidden[:0], hidden)
    values = log_cp10k(data.X)
    controls = np.flatnonzero(drug == "no")[::-1]
    assert "replicate" not in action_baselines()
    assert set(action_baselines()) < set(BASELINES)
    for name in action_baselines():
        predictor = EffectBaseline(name, KEYS)
        predictor.fit(data, split, 0)
        found = predictor.predict(Effect(Action("a+b"), data.obs_names[controls]))
        design = read_design(KEYS, lambda key: obs[key])
        after = BASELINES[name](values, design, drug != "b", Action("a+b"), controls)
        np.testing.assert_allclose(found.change["effect"], after.mean(0) - values[controls].mean(0), atol=1e-5)
        assert len(found.after) == 15
        assert predictor.predict(Translate("rna", "adt", data.obs_names)) is None
