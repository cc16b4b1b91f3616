"""The kernel of cells in spots: planted width, offset and factors are found, and nulls are worse."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from scvcell._containers import Space
from scvcell.tissue import fit_kernel
from scvcell.tissue._kernel import shifted

GENES, WIDTH, OFFSET = 40, 0.95, (0.0, 0.4)


def space(xy):
    return Space(pd.Index([f"u{i}" for i in range(len(xy))]), xy, np.zeros(len(xy), int), ["all"])


@pytest.fixture(scope="module")
def scene():
    """A section of 15 x 15 spots and 9,000 cells of 4 kinds in patches; another platform with factors of genes."""
    rng = np.random.default_rng(0)
    cells = space(rng.uniform(-2, 16, (9000, 2)))
    patch = (np.floor(cells.xy / 2.3).astype(int) * (1, 3)).sum(1) % 4
    kind = np.where(rng.random(9000) < 0.8, patch, rng.integers(4, size=9000))
    rates = rng.gamma(0.7, 1.0, (4, GENES))
    counts = sp.csr_matrix(rng.poisson(rates[kind]).astype(float))
    spots = space(np.stack(np.meshgrid(np.arange(15), np.arange(15)), -1).reshape(-1, 2).astype(float))
    factor = np.exp(rng.normal(0, 0.7, GENES))
    sums = shifted(spots, OFFSET).kernel(WIDTH, other=cells).sum(counts).toarray() * factor
    measured = rng.poisson(sums / sums.sum(1, keepdims=True) * rng.gamma(10, 60, (225, 1)))
    return spots, cells, sp.csr_matrix(measured.astype(float)), counts, factor


@pytest.fixture(scope="module")
def found(scene):
    return fit_kernel(*scene[:4])


def test_planted_kernel_is_found(scene, found):
    assert scene[0].spacing == pytest.approx(1)
    assert found.kernel.width == pytest.approx(WIDTH, abs=0.16)
    assert np.linalg.norm(np.subtract(found.kernel.offset, OFFSET)) < 0.25
    assert found.kernel.background <= 0.05
    log = np.log(scene[4]) - np.log(scene[4]).mean()
    assert np.abs(np.log(found.factor) - log).max() < 0.2
    wanted = shifted(scene[0], found.kernel.offset).kernel(found.kernel.width, other=scene[1])
    assert abs(found.membership.matrix - wanted.matrix).max() == 0


def test_nulls_are_worse(found):
    scores = pd.DataFrame(found.scores).T
    assert list(scores.index) == ["kernel", "nominal spot", "mean profile", "6 neighbours"]
    assert (scores["deviance"].drop("kernel") > scores["deviance"]["kernel"]).all()
    assert (scores["pearson"].drop("kernel") < scores["pearson"]["kernel"]).all()
    assert scores["deviance"]["kernel"] < 1.5


def test_expected_counts_have_the_depth_and_fit(scene, found):
    spots, _, measured, counts, _ = scene
    depth = np.asarray(measured.sum(1)).ravel()
    expected = found.expected(found.membership.sum(counts).toarray(), depth)
    np.testing.assert_allclose(expected.sum(1), depth)
    assert np.corrcoef(expected.ravel(), measured.toarray().ravel())[0, 1] > 0.95
    nothing = found.expected(np.zeros((1, GENES)), np.array([5.0]))
    assert np.isfinite(nothing).all(), "a spot without cells is like the mean of all"
    del spots


def test_a_shuffled_platform_has_no_kernel_worth_having(scene):
    spots, cells, measured, counts, _ = scene
    shuffled = sp.csr_matrix(measured[np.random.default_rng(0).permutation(225)])
    scores = fit_kernel(spots, cells, shuffled, counts).scores
    assert scores["kernel"]["deviance"] > 0.95 * scores["mean profile"]["deviance"]
    assert abs(scores["kernel"]["pearson"]) < 0.1


def test_too_few_spots(scene):
    spots, cells, measured, counts, _ = scene
    few = space(spots.xy[:10])
    with pytest.raises(ValueError, match="by 20 spots or more that have coordinates and counts; there are 10"):
        fit_kernel(few, cells, measured[:10], counts)
