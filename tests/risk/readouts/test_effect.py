"""The effect is looked at as it is, in effects only."""

import numpy as np
import pandas as pd

from scvcell.risk import READOUTS


def test_it_changes_nothing():
    readout, values = READOUTS["effect"](), np.random.default_rng(0).normal(size=(3, 4))
    assert readout(values, pd.Index(list("abcd"))) is values
    assert readout.reads == ("effects",)
