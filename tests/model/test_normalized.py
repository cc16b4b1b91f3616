"""Denoised expression by scvi-tools' conventions."""

import numpy as np
import pytest
import torch


def test_normalized_expression_of_several_assays(small):
    share = small.model.get_normalized_expression(library_size=100)
    assert share.shape == (small.mdata.n_obs, small.mdata["rna"].n_vars)
    np.testing.assert_allclose(share.sum(1), 100, rtol=1e-4)
    one = small.model.get_normalized_expression(transform_batch="b0")
    both = small.model.get_normalized_expression(transform_batch=["b0", "b1"])
    other = small.model.get_normalized_expression(transform_batch="b1")
    np.testing.assert_allclose(both, (one + other) / 2, rtol=1e-4, atol=1e-7)
    for options, message in (
        ({"modality": "adt"}, r"'adt' has none of.*source=\['adt'\]"),
        ({"gene_list": ["gene00"]}, "gene00"),
        ({"library_size": "observed"}, "library_size must be"),
        ({"indices": [10_000]}, "indices must be positions among 300 cells"),
        ({"transform_batch": "b9"}, "knows no batch 'b9'"),
    ):
        with pytest.raises(ValueError, match=message):
            small.model.get_normalized_expression(**options)


def test_shares_are_those_of_the_operator_at_the_mean_of_the_state(small):
    model, cells = small.model, [7, 3]
    seen = model.view().subset(np.array(cells))
    operator, ctx = model.network.operators["rna"], model.readout(seen, "rna").ctx
    with torch.no_grad():
        expected = operator.frequency(model.posterior(seen).mean, ctx).numpy()
    found = model.get_normalized_expression(indices=cells, return_numpy=True, library_size=7)
    np.testing.assert_allclose(found, 7 * expected, rtol=1e-5)
    picked = model.get_normalized_expression(indices=np.array([-293]), gene_list=["gene003", "gene001"])
    np.testing.assert_allclose(picked, expected[:1, [3, 1]], rtol=1e-5)
    assert picked.index.tolist() == [small.mdata.obs_names[7]]


def test_draws_repeat_with_the_seed(small):
    ask = {"n_samples": 3, "return_mean": False, "indices": [0, 1]}
    one, again, other = (small.model.get_normalized_expression(**ask, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(one.sum(2), 1, rtol=1e-4)
