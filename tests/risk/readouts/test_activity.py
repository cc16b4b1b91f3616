"""Activities are those of a linear model on a network."""

import numpy as np
import pandas as pd
import pytest

from scvcell.risk import Activity
from scvcell.score import ulm

GENES = pd.Index([f"g{i}" for i in range(20)])
NETWORK = pd.DataFrame(
    {"source": ["up"] * 6 + ["down"] * 6 + ["few"] * 2, "target": [*GENES[:12], *GENES[12:14]], "weight": 1.0}
)


def test_activities_are_those_of_a_linear_model_on_the_network():
    values = np.random.default_rng(0).normal(size=(3, 20))
    readout = Activity(NETWORK)
    weights = np.zeros((20, 2))
    weights[6:12, 0] = weights[:6, 1] = 1
    np.testing.assert_allclose(readout(values, GENES), ulm(values, weights))
    order = np.random.default_rng(1).permutation(20)
    np.testing.assert_allclose(readout(values[:, order], GENES[order]), readout(values, GENES))
    assert Activity(NETWORK.drop(columns="weight")).identity == readout.identity
    assert Activity(NETWORK.assign(weight=2.0)).identity != readout.identity


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Activity(3), TypeError, "must be a DataFrame"),
        (lambda: Activity(NETWORK.drop(columns="target")), ValueError, "network lacks target"),
        (lambda: Activity(pd.concat([NETWORK, NETWORK[:1]])), ValueError, "has the edge .* twice"),
        (lambda: Activity(NETWORK).check(GENES.str.upper()), ValueError, "Name both alike"),
    ],
)
def test_networks_that_cannot_be_read(make, error, says):
    with pytest.raises(error, match=says):
        make()
