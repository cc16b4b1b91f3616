"""The guidance graph: what it refuses, what it makes of a table, and its vectors and loss against dense algebra."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch

from scvcell.prior import GuidanceGraph, GuidancePrior

FEATURES = {"rna": ["g0", "g1", "g2"], "atac": ["p0", "p1", "p2", "p3"]}


def table(**changes):
    base = pd.DataFrame(
        {
            "modality_a": ["rna", "rna", "atac", "rna"],
            "feature_a": ["g0", "g1", "p2", "g0"],
            "modality_b": ["atac", "atac", "rna", "atac"],
            "feature_b": ["p0", "p1", "g1", "p3"],
            "weight": [1.0, 0.5, 0.25, 0.8],
            "sign": [1, 1, -1, 1],
        }
    )
    return base.assign(**changes)


def test_direction_and_repeats_do_not_matter():
    once = GuidanceGraph(table())
    again = GuidanceGraph(pd.concat([table(), table(weight=0.1)]))
    turned = table().rename(columns=lambda c: c.replace("_a", "_x").replace("_b", "_a").replace("_x", "_b"))
    assert len(once) == 4
    pd.testing.assert_frame_equal(once.edges, again.edges)
    assert set(GuidanceGraph(turned).edges["weight"]) == set(once.edges["weight"])
    assert len(GuidanceGraph(pd.concat([table(), turned]))) == 4
    assert "rna - atac: 4" in repr(once)
    assert len(once + GuidanceGraph(table(feature_b=["p1", "p3", "g0", "p1"]))) == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": [1, 1, 1, 0.0]}, "must lie in"),
        ({"weight": [1, 1, 1, 1.5]}, "must lie in"),
        ({"weight": [1, 1, 1, np.nan]}, "must lie in"),
        ({"sign": [1, 1, 1, 2]}, "must be 1 or -1"),
        ({"feature_b": ["p0", "p1", "g1", "p0"], "sign": [1, 1, 1, -1]}, "given with both signs, e.g. 'g0' - 'p0'"),
    ],
)
def test_bad_tables_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        GuidanceGraph(table(**changes))


def test_missing_columns_are_named():
    with pytest.raises(ValueError, match="feature_b"):
        GuidanceGraph(table().drop(columns="feature_b"))


def test_unknown_features_are_counted_and_ignored(caplog):
    graph = GuidanceGraph(table(feature_b=["p0", "nowhere", "g1", "p3"]))
    with caplog.at_level(logging.WARNING, "scvcell"):
        edges = graph.index(FEATURES)
    assert "1 of 4 edges" in caplog.text
    found = {(int(a), int(b)): (float(w), float(s)) for a, b, w, s in zip(*edges, strict=True)}
    assert found == {(0, 3): (1.0, 1.0), (0, 6): (pytest.approx(0.8), 1.0), (1, 5): (0.25, -1.0)}
    strict = GuidanceGraph(graph.edges, strict=True)
    for refused in (strict, strict + graph, strict.rewired(0.0)):
        with pytest.raises(ValueError, match=r"1 of 4 edges join unknown features, e.g. 'nowhere' of 'atac'"):
            refused.index(FEATURES)
    with pytest.raises(ValueError, match="None of the 4 edges"):
        graph.index({"rna": ["x"], "adt": ["y"]})


def test_rewiring_keeps_degrees_and_little_else():
    rng = np.random.default_rng(0)
    pairs = np.unique(rng.integers(0, [200, 500], (2000, 2)), axis=0)
    names = [np.char.add(prefix, pairs[:, i].astype(str)) for i, prefix in enumerate("gp")]
    graph = GuidanceGraph(
        pd.DataFrame({"modality_a": "rna", "feature_a": names[0], "modality_b": "atac", "feature_b": names[1]})
    )
    for share in (0.0, 0.3, 1.0):
        other = graph.rewired(share, seed=1)
        same = len(graph.edges.merge(other.edges, on=["feature_a", "feature_b"])) / len(graph)
        assert same == pytest.approx(1 - share, abs=0.05)
        before, after = (g.edges["feature_a"].value_counts().sort_index() for g in (graph, other))
        assert (before - after.reindex(before.index, fill_value=0)).abs().sum() <= 0.03 * len(graph)
    pd.testing.assert_frame_equal(graph.rewired(seed=3).edges, graph.rewired(seed=3).edges)
    with pytest.raises(ValueError, match="share"):
        graph.rewired(1.5)


def prior():
    torch.manual_seed(0)
    return GuidancePrior({m: len(f) for m, f in FEATURES.items()}, GuidanceGraph(table()).index(FEATURES), 5)


def test_vectors_are_the_normalised_convolution():
    module = prior()
    a = np.zeros((7, 7))
    for i, j, w, s in zip(*(getattr(module, n).numpy() for n in ("a", "b", "weight", "sign")), strict=True):
        a[i, j] = a[j, i] = w * s
    a += np.eye(7)
    d = np.abs(a).sum(1)
    expected = a / np.sqrt(np.outer(d, d)) @ module.free.detach().numpy()
    vectors = module.vectors()
    np.testing.assert_allclose(torch.cat(list(vectors.values())).detach(), expected, rtol=1e-5, atol=1e-6)
    assert [v.shape for v in vectors.values()] == [(3, 5), (4, 5)]
    assert module.joined() == ["rna", "atac"]


def test_loss_draws_linked_features_together_and_opposed_ones_apart():
    module = prior()
    optimiser = torch.optim.Adam(module.parameters(), lr=0.05)
    first = float(module.loss().detach())
    for _ in range(300):
        optimiser.zero_grad()
        module.loss().backward()
        optimiser.step()
    assert float(module.loss().detach()) < first
    v = module.nodes().detach()
    product = (v[module.a] * v[module.b]).sum(1)
    assert bool((product * module.sign > 0).all())
