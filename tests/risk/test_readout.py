"""What is looked at: effects, activities of a network, labels; each by name or with settings."""

import numpy as np
import pandas as pd
import pytest

from scvcell.risk import READOUTS, Activity, Labels, Readout
from scvcell.risk._readout import readouts_of
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


def test_labels_are_those_of_the_profile_that_is_most_like():
    profiles = pd.DataFrame(np.eye(2).repeat(10, axis=1), ["a", "b"], GENES)
    cells = profiles.loc[["b", "a", "b"]].to_numpy() * 3 + 5
    assert Labels(profiles)(cells, GENES).tolist() == ["b", "a", "b"]
    assert Labels(profiles[GENES[::-1]])(cells, GENES).tolist() == ["b", "a", "b"]


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Activity(3), TypeError, "must be a DataFrame"),
        (lambda: Activity(NETWORK.drop(columns="target")), ValueError, "network lacks target"),
        (lambda: Activity(pd.concat([NETWORK, NETWORK[:1]])), ValueError, "has the edge .* twice"),
        (lambda: Activity(NETWORK).check(GENES.str.upper()), ValueError, "Name both alike"),
        (lambda: Labels(pd.DataFrame()), ValueError, "at least two labels"),
        (lambda: readouts_of("labels"), ValueError, "at least two labels"),
        (lambda: Labels(pd.DataFrame(0.0, [0, 1], ["x"])).check(GENES), ValueError, "share fewer than"),
    ],
)
def test_what_cannot_be_looked_at(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_readouts_by_name_and_by_registration(monkeypatch):
    assert [each.name for each in readouts_of(None)] == ["effect", "distribution"]
    assert READOUTS.infer("regulator") == "activity"
    monkeypatch.setattr(READOUTS, "_items", dict(READOUTS._items))

    @READOUTS.register("signs")
    class Signs(Readout):
        name, metrics = "signs", ("pearson_effect",)

        def __call__(self, values, features):
            return np.sign(values)

    (found,) = readouts_of("signs")
    assert isinstance(found, Signs)
    found.check(GENES)
    with pytest.raises(ValueError, match="no features"):
        found.check(GENES[:0])
