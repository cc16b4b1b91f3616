import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from scvcell import pl


@pytest.fixture
def report():
    return pd.DataFrame(
        {
            "modality_a": "rna",
            "modality_b": "adt",
            "metric": ["foscttm", "recall@10", "label_transfer"],
            "value": [0.07, 0.3, 0.9],
            "null": [0.5, 0.02, np.nan],
            "cca": [0.1, 0.25, 0.91],
            "better": ["lower", "higher", "higher"],
            "n": 400,
        }
    )


def series(ax):
    handles, labels = ax.get_legend_handles_labels()
    return {label: np.asarray(handle.get_offsets()) for label, handle in zip(labels, handles, strict=True)}


def test_rows_values_and_arrows(report):
    ax = pl.alignment(report)
    drawn = series(ax)
    assert set(drawn) == {"scvcell", "CCA", "shuffled pairs"}
    np.testing.assert_allclose(drawn["scvcell"], np.column_stack([report["value"], range(3)]))
    np.testing.assert_allclose(drawn["CCA"], np.column_stack([report["cca"], range(3)]))
    np.testing.assert_allclose(drawn["shuffled pairs"][:2, 0], [0.5, 0.02])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["FOSCTTM", "Recall@10", "Label transfer"]
    texts = [t.get_text() for t in ax.texts]
    assert texts == ["0.070", "0.300", "0.900", "← better", "better →", "better →"]


def test_directions_are_known_without_a_column(report):
    plain = report[["metric", "value", "null"]]
    assert [t.get_text() for t in pl.alignment(plain).texts][3:] == ["← better", "better →", "better →"]


def test_every_numeric_column_is_a_baseline(report):
    report["ridge regression"] = 0.5
    report["empty"] = np.nan
    assert set(series(pl.alignment(report))) == {"scvcell", "CCA", "ridge regression", "shuffled pairs"}


def test_rows_of_several_pairs_are_told_apart(report):
    both = pd.concat([report, report.assign(modality_b="atac")])
    labels = [t.get_text() for t in pl.alignment(both).get_yticklabels()]
    assert labels[0] == "FOSCTTM (rna, adt)"
    assert labels[3] == "FOSCTTM (rna, atac)"


def test_own_axes_and_unchanged_report(report):
    before = report.copy()
    _, own = plt.subplots()
    assert pl.alignment(report, ax=own) is own
    pd.testing.assert_frame_equal(report, before)


def test_errors_say_what_to_do(report):
    for wrong in (report.drop(columns="metric"), report.iloc[:0]):
        with pytest.raises(ValueError, match=r"run `scvcell\.tl\.alignment_report"):
            pl.alignment(wrong)
