"""Features of donors: shares of niches tell arrangements that means cannot, every block has the same weight."""

import numpy as np
import pandas as pd

from scvcell._containers import Membership, Space
from scvcell.tissue import surroundings, unit_features


def test_features_of_donors(small):
    data = small.mdata.copy()
    rng = np.random.default_rng(0)
    data.obsm["spatial"] = rng.random((data.n_obs, 2))
    seen = small.model.view(data)
    donor = pd.Series([f"d{i}" for i in np.arange(data.n_obs) % 5], seen.obs_names)
    units = Membership.groups(donor, "donor")
    (niche,) = surroundings(seen, Space.of(seen), [6]).values()
    order = np.argsort(seen.obs_names)
    x, names = unit_features(small.model, seen, units, niche, order, 0)
    assert x.shape == (5, len(names))
    blocks = pd.Series(names).str.split().str[0]
    assert set(blocks) == {"state", "score", "niche"}
    assert (blocks == "niche").sum() == 24
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-8)
    for name in ("state", "score"):
        assert (x[:, blocks == name] ** 2).sum() / 5 > 0.9
        assert (x[:, blocks == name] ** 2).sum() / 5 < 1.01
    turned = rng.permutation(data.n_obs)
    other = seen.subset(turned)
    around = Membership(niche.matrix[turned][:, turned], other.obs_names, other.obs_names)
    members = Membership.groups(donor.iloc[turned], "donor")
    again, _ = unit_features(small.model, other, members, around, np.argsort(other.obs_names), 0)
    np.testing.assert_allclose(again, x, atol=1e-3)


def test_cells_without_a_place_have_kinds_for_niches(small):
    seen = small.model.view(small.mdata)
    units = Membership.groups(pd.Series(np.arange(seen.n_obs) % 3, seen.obs_names), "donor")
    x, names = unit_features(small.model, seen, units, None, np.argsort(seen.obs_names), 0)
    assert np.isfinite(x).all()
    assert sum(name.startswith("niche") for name in names) == 24
