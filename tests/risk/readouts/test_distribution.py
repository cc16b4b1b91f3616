"""Cells are looked at as sets."""

import numpy as np
import pandas as pd

from scvcell.risk import READOUTS
from scvcell.score import METRICS


def test_it_compares_sets_of_cells_as_they_are():
    readout, values = READOUTS["distribution"](), np.random.default_rng(0).normal(size=(3, 4))
    assert readout(values, pd.Index(list("abcd"))) is values
    assert readout.reads == ("cells",)
    assert {METRICS[metric].takes for metric in readout.metrics} == {"sets"}
