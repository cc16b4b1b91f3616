"""The label of a cell is that of the profile that is most like it."""

import numpy as np
import pandas as pd
import pytest

from scvcell.risk import Labels

GENES = pd.Index([f"g{i}" for i in range(20)])


def test_labels_are_those_of_the_profile_that_is_most_like():
    profiles = pd.DataFrame(np.eye(2).repeat(10, axis=1), ["a", "b"], GENES)
    cells = profiles.loc[["b", "a", "b"]].to_numpy() * 3 + 5
    assert Labels(profiles)(cells, GENES).tolist() == ["b", "a", "b"]
    assert Labels(profiles[GENES[::-1]])(cells, GENES).tolist() == ["b", "a", "b"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Labels(pd.DataFrame()), "at least two labels"),
        (lambda: Labels(pd.DataFrame(0.0, [0, 1], ["x"])).check(GENES), "share fewer than"),
    ],
)
def test_profiles_that_cannot_be_read(make, says):
    with pytest.raises(ValueError, match=says):
        make()
