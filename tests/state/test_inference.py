"""What a network infers of a mini-batch keeps what its fields promise, cell by cell."""

import numpy as np
import pytest
import torch


@pytest.fixture(scope="module")
def inferred(small):
    """A mini-batch of some cells, and what is inferred of it."""
    data = small.model.view()
    batch = next(iter(small.model.batches(small.model.source(data))))
    torch.manual_seed(0)
    with torch.no_grad():
        return batch, small.model.network.eval().inference(batch)


def test_all_cells_are_the_product_of_their_experts(inferred):
    batch, found = inferred
    for cell in range(0, len(batch), 7):
        precision, weighted = torch.ones(found.joint.mean.shape[1]), 0.0
        for rows, expert in found.experts.values():
            for at in np.flatnonzero(rows.numpy() == cell):
                precision = precision + 1 / expert.var[at]
                weighted = weighted + expert.mean[at] / expert.var[at]
        torch.testing.assert_close(found.joint.mean[cell], weighted / precision)
        torch.testing.assert_close(found.joint.var[cell], 1 / precision)


def test_views_are_of_all_or_of_one_assay_and_weigh_one_in_a_cell(inferred):
    batch, found = inferred
    has = [np.isin(np.arange(len(batch)), batch.observed[name].rows.numpy()) for name in found.experts]
    counts = np.sum(has, axis=0)
    total = np.zeros(len(batch))
    for view in found.views:
        rows = view.rows.numpy()
        assert (np.diff(rows) > 0).all()
        total[rows] += view.weight.numpy()
        if view.name == "":
            assert len(rows) == len(batch)
            torch.testing.assert_close(view.posterior.mean, found.joint.mean)
        else:
            own = batch.observed[view.name].rows.numpy()
            np.testing.assert_array_equal(rows, own[counts[own] > 1])
            own_expert = found.experts[view.name][1].var[counts[own] > 1]
            torch.testing.assert_close(1 / view.posterior.var, 1 + 1 / own_expert)
        distance = (view.z - view.posterior.mean) / view.posterior.var.sqrt()
        assert 0.8 < float(distance.std()) < 1.2
    np.testing.assert_allclose(total, 1, rtol=1e-6)


def test_pairs_are_the_posteriors_of_cells_with_both_assays(inferred):
    batch, found = inferred
    ((a, b, of_a, of_b, rows),) = found.pairs
    both = np.intersect1d(*(batch.observed[name].rows.numpy() for name in (a, b)))
    np.testing.assert_array_equal(rows.numpy(), both)
    for name, posterior in ((a, of_a), (b, of_b)):
        own, expert = found.experts[name]
        at = torch.from_numpy(np.searchsorted(own.numpy(), both))
        torch.testing.assert_close(posterior.mean, expert.mean[at])
        torch.testing.assert_close(posterior.var, expert.var[at])
    assert found.nodes is None
