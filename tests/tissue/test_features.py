"""What heads in space read of a cell: its state and standardised scores, whatever the order of cells."""

import numpy as np

from scvcell.tissue import features


def test_state_and_scores_side_by_side(small):
    seen = small.model.view(small.mdata)
    found = features(small.model, seen)
    z = small.model.posterior(seen).mean.numpy()
    np.testing.assert_array_equal(found[:, : z.shape[1]], z)
    width = z.shape[1]
    for name in small.model.assays:
        front = small.model.network.front_ends[name]
        part = found[:, width : width + front.width]
        has = seen.present(name)
        assert (part[~has] == 0).all()
        batch = seen.column("batch").to_numpy()
        for b in np.unique(batch):
            here = has & (batch == b)
            np.testing.assert_allclose(part[here].mean(0), 0, atol=0.5, err_msg="standardised within batches")
        assert part[has].std(0).max() > 0.5
        width += front.width
    assert found.shape == (seen.n_obs, width)


def test_cells_keep_their_features(small):
    seen = small.model.view(small.mdata)
    cells = np.random.default_rng(0).permutation(seen.n_obs)[:40]
    every = features(small.model, seen)
    np.testing.assert_allclose(features(small.model, seen.subset(cells)), every[cells], rtol=1e-4, atol=1e-4)
