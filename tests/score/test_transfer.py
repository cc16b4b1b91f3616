"""Labels across assays against a vote by hand, and types that the other assay lacks."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from scvcell.score import label_transfer, overcorrection_canary, silhouette, trusted
from scvcell.score._transfer import FEWEST_CELLS


def test_label_transfer_is_the_nearest_neighbour_vote():
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], 30)
    centre = {"a": 0.0, "b": 6.0, "c": 12.0}
    x, y = (np.array([[centre[k]] for k in labels]) + rng.normal(size=(90, 1)) for _ in range(2))
    correct = []
    for query, reference in ((x, y), (y, x)):
        for i in range(90):
            near = labels[np.argsort(np.abs(reference[:, 0] - query[i, 0]))[:5]]
            names, counts = np.unique(near, return_counts=True)
            correct.append(names[counts.argmax()] == labels[i])
    assert label_transfer(x, y, labels, labels) == pytest.approx(np.mean(correct))


def test_canary_sings_when_types_are_forced_together_and_not_when_they_are_apart():
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c", "d"], 40)
    apart = 20.0 * np.eye(4)[np.repeat(np.arange(4), 40)]
    near_to_wrong = apart.copy()
    near_to_wrong[labels == "a"] = near_to_wrong[labels == "b"][0]
    x, y = (apart + rng.normal(size=apart.shape) for _ in range(2))
    fx, fy = (near_to_wrong + rng.normal(size=apart.shape) for _ in range(2))
    good, bad = (overcorrection_canary(*d, labels, labels) for d in ((x, y), (fx, fy)))
    assert good < 0.05
    assert bad > 0.25, "two of four types sit on each other"


def test_the_order_of_cells_and_of_assays_does_not_matter():
    rng = np.random.default_rng(1)
    (x, y), labels = rng.normal(size=(2, 80, 3)), rng.choice(["a", "b", "c"], (2, 80))
    order = rng.permutation(80)
    for score in (label_transfer, overcorrection_canary):
        one = score(x, y, *labels)
        assert score(y, x, *labels[::-1]) == pytest.approx(one)
        assert score(x[order], y, labels[0][order], labels[1]) == pytest.approx(one)


def test_nothing_is_said_of_types_of_few_cells_or_without_others():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 30, 2))
    two, one = np.repeat(["a", "b"], 15), np.repeat("a", 30)
    assert np.isnan(overcorrection_canary(x, y, one, one))
    assert np.isnan(overcorrection_canary(x, y, two, two)), "without one of two types nothing is left to choose from"
    three = np.repeat(["a", "b", "c"], 10)
    rare = three.copy()
    rare[: FEWEST_CELLS - 1] = "rare"
    rates = []
    for query, reference, own, known in ((x, y, rare, three), (y, x, three, rare)):
        for kind in ("a", "b", "c"):
            rest = known != kind
            rates.append(trusted(query, reference[rest], known[rest], 5)[own == kind].mean())
    assert overcorrection_canary(x, y, rare, three) == pytest.approx(np.mean(rates))


def test_silhouette_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels = np.repeat(["x", "y"], 20)
    a, b = (rng.normal(size=(40, 3)) + 4 * (labels == "y")[:, None] for _ in range(2))
    found = silhouette(a, b, labels, labels)
    assert found == pytest.approx(silhouette_score(np.r_[a, b], np.r_[labels, labels]), abs=1e-10)
    assert found > 0.4 > 0.1 > silhouette(a, b, rng.permutation(labels), rng.permutation(labels))
