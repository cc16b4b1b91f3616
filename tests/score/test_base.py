"""Records of metrics, their table, and scales."""

import re
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from scvcell import score
from scvcell.score import METRICS, Metric, clr, dense, log_counts, log_cp10k, mean_of, metric, show

RECORD = {
    "takes": "values",
    "better": "lower",
    "per": "cell",
    "scale": "any",
    "formula": "f",
    "source": "s",
    "fooled_by": "x",
}


def test_every_metric_says_what_it_is():
    table = show()
    assert len(table) == len(list(METRICS)) >= 20
    for name, row in table.iterrows():
        assert row["takes"] in score.TAKES
        assert row["better"] in ("higher", "lower", "nominal")
        for column in ("per", "scale", "formula", "source", "fooled by".replace(" ", "_")):
            assert len(row[column]) > 2, (name, column)
        assert METRICS[name].name == name
        assert row["defined in"].startswith("scvcell.")


def test_a_record_is_called_like_its_function(monkeypatch):
    monkeypatch.setattr(METRICS, "_items", dict(METRICS._items))

    @metric("bias", **RECORD)
    def bias(predicted, true):
        return (predicted - true).mean(0)

    assert METRICS["bias"](np.ones((3, 2)), np.zeros((3, 2))).tolist() == [1, 1]
    assert mean_of("bias", (np.ones((3, 2)), np.zeros((3, 2)))) == 1
    assert bias(np.ones((3, 1)), np.zeros((3, 1))) == [1], "the function stays a function"
    with pytest.raises(ValueError, match="metric 'bias' is registered already"):
        metric("bias", **RECORD)(lambda p, t: 0.0)


def test_a_metric_of_two_directions_is_their_mean():
    a, b = np.random.default_rng(0).normal(size=(2, 40, 3))
    assert mean_of("foscttm", (a, b)) == pytest.approx(np.mean(score.foscttm(a, b)))


@pytest.mark.parametrize(("field", "value"), [("better", "up"), ("takes", "value")])
def test_records_of_another_kind_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} must be .*{value!r}"):
        Metric("x", len, **(RECORD | {field: value}))


def test_scales_by_hand():
    counts = np.array([[1.0, 3.0], [0.0, 0.0]])
    np.testing.assert_allclose(log_cp10k(counts), np.log1p([[2500, 7500], [0, 0]]))
    np.testing.assert_allclose(clr(counts), [[-np.log(2) / 2, np.log(2) / 2], [0, 0]])
    np.testing.assert_allclose(log_counts(np.array([[-0.5, 1.0]])), [[0, np.log(2)]])
    assert dense(sp.csr_matrix(counts.astype(np.float32))).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint16])
@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_matrix, sp.coo_matrix, sp.csr_array])
def test_counts_per_10k_of_a_sparse_matrix_are_those_of_the_same_array(dtype, kind):
    counts = np.random.default_rng(0).poisson(0.4, (60, 7)).astype(dtype)
    counts[3] = 0
    given = kind(counts)
    before, found = given.copy(), log_cp10k(given)
    np.testing.assert_array_equal(found, log_cp10k(counts))
    assert found.dtype == log_cp10k(counts).dtype
    assert (given != before).nnz == 0


def test_a_count_that_is_stored_in_two_parts_is_one():
    twice = sp.csr_matrix((np.array([1.0, 2.0, 1.0]), np.array([0, 0, 1]), np.array([0, 3])), (1, 2))
    np.testing.assert_array_equal(log_cp10k(twice), log_cp10k(np.array([[3.0, 1.0]])))
    assert twice.nnz == 3


ROOT = Path(__file__).parents[2]
COPIES = {
    r"np\.corrcoef\(|\bpearsonr\(": "pearson or correlation",
    r">= (\w+\.)?lower\) & |<= (\w+\.)?upper\)": "inside",
    r"np\.sqrt\(\(\(.*\) \*\* 2\)\.mean\(\)\)": "rmse",
    r"\bsilhouette_score\(": "silhouette",
    r"np\.linalg\.norm\(.* - .*axis=1\)": "place_error",
    r"1e4 \* \w+ / .*\.sum\(": "log_cp10k",
    r"^LOWER\b.*= [{(\[]": "lower_is_better",
}
"""What a formula looks like that was written down again -> what to call in its place."""
ELSEWHERE = {
    ("_likeness.py", "pearson or correlation"),  # all pairs of two sets of profiles, no score
    ("_align.py", "mmd"),  # of the loss, by torch; tests hold both against each other
    ("_pert.py", "energy_distance"),
    ("_pooling.py", "place_error"),  # how far effects of units are from their mean, in the latent
    ("_cycle.py", "correlation"),  # of sums over tiles, which are drawn anew
    ("_effects.py", "discrimination"),  # calls that of all conditions
    ("drugs.py", "log_cp10k"),  # what reports are held to is written without the package
    ("matching.py", "coverage"),  # tables: each calls `inside` on what it asks
    ("perturbation.py", "coverage"),
}


def test_no_formula_stands_twice():
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    files = [file for file in files if file.parent.name != "score" and file.name not in ("oracle.py", "parity.py")]
    assert len(files) > 200
    ours = {METRICS[name].function.__name__ for name in METRICS} | {"pearson", "mae", "mse", "clr", "log_cp10k"}
    found = set()
    for file in files:
        text = file.read_text()
        found |= {(file.name, use) for mark, use in COPIES.items() if re.search(mark, text, flags=re.MULTILINE)}
        found |= {(file.name, name) for name in re.findall(r"^def _?(\w+)\(", text, flags=re.MULTILINE) if name in ours}
    assert found - ELSEWHERE == set(), "take it from scvcell.score"
    assert found >= ELSEWHERE, "no longer there: take it off the list"


def test_the_page_of_metrics_says_what_to_read_beside_each():
    text = (ROOT / "docs" / "metrics.md").read_text()
    rows = [line.split("|")[2:4] for line in text.splitlines() if line.startswith("|")][2:]
    named = {name for row in rows for cell in row for name in re.findall(r"`(\w+)`", cell)}
    ours = {name for name in METRICS if METRICS[name].function.__module__.startswith("scvcell.score")}
    assert named == ours
