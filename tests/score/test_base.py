"""Records of metrics, their table, and scales."""

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
