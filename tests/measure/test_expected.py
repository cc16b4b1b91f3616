"""The expected logarithm of counts is their sum over all counts, whatever stands beside them and on any device."""

import numpy as np
import pytest
import torch
from scipy import stats

from scvcell.measure import _expected
from scvcell.measure._expected import expected_log1p

COUNTS = np.arange(300_000)


def law_of(mean, theta):
    return stats.poisson(mean) if theta is None else stats.nbinom(theta, theta / (theta + mean))


def as_tensor(theta):
    return None if theta is None else torch.tensor([theta])


@pytest.mark.parametrize("theta", [None, 0.1, 0.5, 8.0])
@pytest.mark.parametrize("mean", [1e-4, 0.03, 1.0, 3.0, 9.0, 40.0, 3000.0])
@pytest.mark.parametrize("scale", [None, 0.1, 30.0])
def test_it_is_the_sum_over_counts(mean, theta, scale):
    truth = (law_of(mean, theta).pmf(COUNTS) * np.log1p(COUNTS * (scale or 1))).sum()
    factor = None if scale is None else torch.tensor([[scale]])
    found = expected_log1p(torch.tensor([[mean]]), as_tensor(theta), scale=factor)
    assert found.item() == pytest.approx(truth, rel=3e-4)


@pytest.mark.parametrize("theta", [None, 2.0])
@pytest.mark.parametrize(("mean", "count", "kept"), [(0.3, 4, 0.7), (5.0, 0, 0.5), (2.0, 30, 1.0), (1e-9, 8, 0.25)])
def test_counts_of_which_some_are_kept_are_added(mean, count, kept, theta):
    fresh = law_of(mean, theta).pmf(np.arange(400))
    both = np.convolve(fresh, stats.binom(count, kept).pmf(np.arange(count + 1)))
    truth = (both * np.log1p(20 * np.arange(len(both)))).sum()
    found = expected_log1p(
        torch.tensor([[mean]]),
        as_tensor(theta),
        scale=torch.tensor([[20.0]]),
        count=torch.tensor([[float(count)]]),
        kept=torch.tensor([[kept]]),
    )
    assert found.item() == pytest.approx(truth, rel=2e-3)


@pytest.fixture
def parts():
    """Cells x features of all sizes, with what else may be given."""
    rng = np.random.default_rng(0)
    mean = torch.from_numpy(rng.lognormal(-1, 2.5, (6, 40))).float()
    given = {
        "scale": torch.from_numpy(rng.uniform(1, 20, (6, 1))).float(),
        "count": torch.from_numpy(rng.poisson(2, (6, 40))).float(),
        "kept": torch.from_numpy(rng.uniform(size=(6, 40))).float(),
    }
    return mean, torch.from_numpy(rng.uniform(0.3, 5, 40)).float(), given


@pytest.mark.parametrize("given", [(), ("scale",), ("scale", "count", "kept")])
@pytest.mark.parametrize("poisson", [False, True])
def test_features_are_told_alone_as_beside_others_and_in_any_order(parts, given, poisson):
    mean, theta, every = parts
    theta = None if poisson else theta
    own = {name: every[name] for name in given}
    together = expected_log1p(mean, theta, **own)

    def some(at):
        of = {name: value[:, at] if value.shape[1] > 1 else value for name, value in own.items()}
        return expected_log1p(mean[:, at], None if poisson else theta[at], **of)

    order = torch.randperm(40)
    torch.testing.assert_close(some(order), together[:, order])
    for at in (slice(0, 1), slice(7, 8), order[:5]):
        torch.testing.assert_close(some(at), together[:, at], rtol=2e-4, atol=2e-5)
    cell = {name: value[2:3] for name, value in own.items()}
    torch.testing.assert_close(expected_log1p(mean[2:3], theta, **cell), together[2:3], rtol=2e-4, atol=2e-5)
    of_each = None if poisson else theta.expand_as(mean)
    torch.testing.assert_close(expected_log1p(mean, of_each, **own), together, rtol=2e-4, atol=2e-5)


def test_no_values_have_none_and_a_value_that_is_none_stays_alone(parts):
    mean, theta, _ = parts
    assert expected_log1p(mean[:0], theta).shape == (0, 40)
    whole = expected_log1p(mean, theta)
    mean[2, 7] = torch.nan
    found = expected_log1p(mean, theta)
    assert found[:, 7].isnan().all()
    others = torch.arange(40) != 7
    torch.testing.assert_close(found[:, others], whole[:, others])


def test_it_can_be_differentiated(parts):
    mean, theta, own = parts
    mean.requires_grad_()
    value = expected_log1p(mean, theta, **own)
    torch.testing.assert_close(value.detach(), expected_log1p(mean.detach(), theta, **own), rtol=2e-4, atol=2e-5)
    (slope,) = torch.autograd.grad(value.sum(), mean)
    with torch.no_grad():
        step = 1e-3 * mean.double()
        wide = {name: each.double() for name, each in own.items()}
        ends = [expected_log1p(mean.double() + way * step, theta.double(), **wide) for way in (1, -1)]
    torch.testing.assert_close(slope.double(), (ends[0] - ends[1]) / (2 * step), rtol=0.05, atol=2e-3)


def test_a_device_is_not_asked_how_large_means_are(parts):
    """Tensors of ``meta`` have no values to tell; with the steps that a device takes, values are those of the CPU."""
    mean, theta, own = parts
    moved = {name: value.to("meta") for name, value in own.items()}
    found = expected_log1p(mean.to("meta"), theta.to("meta"), **moved)
    assert (found.device.type, found.shape) == ("meta", mean.shape)
    most = _expected._integral(_expected.MAX_LOG_MEAN, mean, theta, *own.values())
    torch.testing.assert_close(most, expected_log1p(mean, theta, **own), rtol=2e-4, atol=2e-5)
