"""What is looked at, by name or with settings; each readout is a plug-in."""

import numpy as np
import pandas as pd
import pytest

from scvcell.risk import READOUTS, Readout
from scvcell.risk.readouts import readouts_of

GENES = pd.Index([f"g{i}" for i in range(20)])


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
    seen = np.eye(2)
    assert found.pool(seen, GENES[:2]) is seen
    assert found.classes(seen) is None
    assert found.classes(seen[0]) is not None


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ("labels", ValueError, "at least two labels"),
        ("endpoint", ValueError, r"Endpoint\(values, outcome\)"),
        ("niche", ValueError, r"Neighbourhood\(data, "),
        ("efect", KeyError, "Did you mean 'effect'"),
        (3, TypeError, "A readout is a name, one of activity, .*, not 3"),
        ([3], TypeError, "A readout is a name, one of activity, .*, not 3"),
        (["effect", "effect"], ValueError, "Two readouts have the same name"),
    ],
)
def test_what_is_no_readout(given, error, says):
    with pytest.raises(error, match=says):
        readouts_of(given)
