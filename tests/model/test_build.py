"""A network from what a model knows of its data."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from scvcell.model._build import build, empty_summaries, summaries


def test_a_network_for_saved_parameters_has_their_shapes(small):
    model = small.model
    empty = build(model, empty_summaries(model)).state_dict()
    assert {name: value.shape for name, value in empty.items()} == {
        name: value.shape for name, value in model.network.state_dict().items()
    }


def test_operators_start_from_the_training_cells(small):
    model, seen = small.model, small.model.view()
    _, batch = model.schema.context(seen)
    cells = np.arange(0, seen.n_obs, 2)
    found = summaries(model, seen, batch, cells)
    assert list(found) == ["rna", "adt"]
    here = small.mdata["adt"][seen.obs_names[cells][seen.present("adt")[cells]]]
    np.testing.assert_allclose(found["adt"].mean, here.to_df().mean(), rtol=1e-5)
    assert found["adt"].cells.tolist() == here.obs["batch"].value_counts().loc[["b0", "b1"]].tolist()
    module = build(model, found)
    torch.testing.assert_close(module.operators["adt"].typical_depth, torch.from_numpy(found["adt"].depth))
    assert set(module.front_ends) == {"rna", "adt"}
    assert module.prior is None


@pytest.mark.parametrize("key", [None, "size"])
def test_a_depth_of_its_own_leaves_room_for_the_rest(small, monkeypatch, key):
    schema = small.model.schema
    rna = replace(schema.modalities["rna"], size_factor=key)
    monkeypatch.setattr(small.model, "schema", replace(schema, modalities={**schema.modalities, "rna": rna}))
    found = empty_summaries(small.model)
    assert found["rna"].rest == (None if key is None else 1.0)
    assert found["adt"].rest is None
    assert (build(small.model, found).operators["rna"].rest is None) == (key is None)
