"""Scores that are made when rows are read are those that would have been kept."""

import numpy as np
import pandas as pd
import pytest
import torch

import scvcell
from scvcell.model import _fitted
from scvcell.model._loader import Loader
from scvcell.model._scores import LaterScores


@pytest.fixture(scope="module")
def setting(mosaic, quick):
    mdata = mosaic(150)
    model = scvcell.tl.fit(mdata, batch_key="batch", train=quick)
    lost = pd.DataFrame(True, mdata["rna"].var_names, ["b0", "b1"])
    lost.iloc[::3, 1] = False
    mdata["rna"].varm["observed"] = lost  # features that the model knows and one batch now lacks
    return mdata, model


@pytest.mark.parametrize("form", ["h5ad csr", "zarr dense"])
def test_scores_of_batches_are_those_of_all_rows(setting, stored, monkeypatch, form):
    mdata, model = setting
    disk = stored(mdata, form)
    disk["rna"].varm["observed"] = mdata["rna"].varm["observed"]
    kept = model.source(model.view(disk))
    monkeypatch.setattr(_fitted, "MAX_KEPT_ROWS", 10)
    later = model.source(model.view(disk))
    for name in ("rna", "adt"):
        assert isinstance(later.scores[name], LaterScores)
        assert isinstance(kept.scores[name], np.ndarray)
        np.testing.assert_allclose(later.scores[name][:, :-1], kept.scores[name][:, :-1], atol=1e-5)
        some = np.array([5, 0, 17])
        np.testing.assert_allclose(later.scores[name][some], kept.scores[name][some], atol=1e-5)
    for one, other in zip(
        Loader(kept, np.arange(mdata.n_obs), 32, shuffle=True),
        Loader(later, np.arange(mdata.n_obs), 32, shuffle=True),
        strict=True,
    ):
        for name, o in one.observed.items():
            torch.testing.assert_close(o.scores, other.observed[name].scores, atol=1e-5, rtol=0)
    cells = np.array([3, 40])
    one, other = (source.cut(cells).observed["rna"].scores for source in (kept, later))
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
