"""A screen of doses, times, combinations, lines and donors, of which obs is all that matters."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scvcell import PerturbationKeys

KEYS = PerturbationKeys("drug", control="control", dose="dose", time="hours", context="line")


def make_screen():
    """Five targets at three doses and times, six combinations, three lines, twelve donors; cells in a random order."""
    rng = np.random.default_rng(0)
    lines = ("x", "y", "z")
    rows = [("control", "0", hours, line) for line in lines for hours in (3, 8, 24) for _ in range(4)]
    rows += [
        (name, dose, hours, line)
        for line in lines
        for name in "ABCDE"
        for dose in ("0.1", "1", "10")
        for hours in (3, 8, 24)
        for _ in range(2)
    ]
    pairs = ("A+B", "B+C", "D+E", "A+D", "C+E", "B+F")
    rows += [(name, "10+10", 24, line) for line in lines for name in pairs for _ in range(2)]
    obs = pd.DataFrame(rows, columns=["drug", "dose", "hours", "line"])
    obs["donor"] = [f"d{i:02d}" for i in rng.integers(0, 12, len(obs))]
    obs.index = [f"cell{i}" for i in rng.permutation(len(obs))]
    counts = rng.poisson(1.0, (len(obs), 5)).astype(np.float32)
    adata = AnnData(counts, obs, pd.DataFrame(index=[f"gene{i}" for i in range(5)]))
    adata.obsm["spatial"] = rng.random((len(obs), 2)) * 100
    adata.obsm["X_pca"] = rng.normal(size=(len(obs), 4))
    return adata


@pytest.fixture
def screen():
    """A fresh one."""
    return make_screen()


@pytest.fixture
def keys():
    """Its columns."""
    return KEYS
