"""One assay of some cells: values, depths, contexts, and what is expected of it."""

import numpy as np
import pytest
import torch
from mudata import MuData

from scvcell.state import Posterior


@pytest.fixture
def readout(small):
    return small.model.readout(small.model.view(), "adt")


def test_values_are_those_of_the_cells_and_zero_where_there_are_none(small, readout):
    cells = np.array([5, 290, 0, 160])
    names, table = small.mdata.obs_names[cells], small.mdata["adt"].to_df()
    expected = table.reindex(names).fillna(0).to_numpy()
    np.testing.assert_array_equal(readout.dense(cells), expected)
    assert readout.count() == len(table)
    assert readout.count(cells) == names.isin(table.index).sum()
    assert repr(readout) == "Readout of 'adt': 200 of 300 cells, 6 features."


def test_depths_are_sums_or_typical_where_the_assay_was_not_measured(small, readout):
    size = readout.operator.size
    total = size(small.mdata["adt"].to_df().to_numpy())
    depth = dict(zip(small.mdata["adt"].obs_names, np.asarray(total).ravel(), strict=True))
    found = readout.depth()
    expected = np.array([depth.get(name, np.nan) for name in small.mdata.obs_names], np.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    cells = np.arange(300)
    ctx = readout.at(cells)
    typical = readout.operator.typical_depth[ctx.batch].numpy()
    np.testing.assert_allclose(ctx.depth.numpy(), np.where(np.isnan(expected), typical, expected), rtol=1e-6)
    assert readout.known(cells).depth is None


def test_all_cells_as_one_batch(small):
    model, seen = small.model, small.model.view()
    for batch, code in (("b0", 0), ("b1", 1)):
        ctx = model.readout(seen, "rna", batch).ctx
        assert set(ctx.batch.tolist()) == {code}
        assert (ctx.design == torch.eye(2)[code]).all()
    assert set(model.readout(seen, "rna").ctx.batch.tolist()) == {0, 1}
    with pytest.raises(ValueError, match=r"knows no batch 'b2'; it has \['b0', 'b1'\]"):
        model.readout(seen, "rna", "b2")


@pytest.mark.parametrize("own_depth", [False, True])
def test_decoding_by_blocks_is_the_operators_prediction(small, readout, monkeypatch, own_depth):
    monkeypatch.setattr("scvcell.model._readout.CELLS_PER_BLOCK", 64)
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(300, small.model.n_latent, generator=rng)
    found = readout.decode(Posterior(z, torch.ones_like(z)), own_depth=own_depth)
    operator, cells = readout.operator, np.arange(300)
    with torch.no_grad():
        ctx = readout.known(cells)
        if own_depth:
            depth = torch.from_numpy(readout.depth())
            ctx = ctx.measured(torch.where(depth.isnan(), operator.depth(ctx, z), depth))
        np.testing.assert_allclose(found.point, operator.predict(z, ctx), rtol=1e-4)
        np.testing.assert_allclose(found.mean, operator.predictive(z, ctx).mean, rtol=1e-4)


def test_data_without_the_assay_have_a_readout_of_no_values(small):
    only = MuData({"rna": small.mdata["rna"]})
    only.obs["batch"] = small.mdata["rna"].obs["batch"]
    readout = small.model.readout(small.model.view(only), "adt")
    assert readout.count() == 0
    assert (readout.dense(np.arange(4)) == 0).all()
    assert readout.dense(np.arange(4)).shape == (4, 6)
    assert np.isnan(readout.depth()).all()
