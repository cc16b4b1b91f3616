import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from scipy.stats import binom

from scvcell import pl
from scvcell.pl import _style


def test_coverage_per_feature_beside_nominal(translated):
    pred, truth = translated(coverage=[0.95, 0.6, 0.9, 0.88, 1.0, 0.5])
    ax = pl.calibration(pred, truth)
    dots = next(c for c in ax.collections if len(c.get_offsets()) == 6)
    np.testing.assert_allclose(np.asarray(dots.get_offsets())[:, 0], [1.0, 0.95, 0.9, 0.88, 0.6, 0.5])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["p04", "p00", "p02", "p03", "p01", "p05"]
    grey = [to_hex(c) == to_hex(_style.GREY) for c in dots.get_facecolor()]
    assert grey == [True, False, False, False, True, True]
    (line,) = ax.get_lines()
    assert set(line.get_xdata()) == {0.9}
    low, high = ax.patches[0].get_x(), ax.patches[0].get_x() + ax.patches[0].get_width()
    assert (low, high) == pytest.approx((binom.ppf(0.025, 100, 0.9) / 100, binom.ppf(0.975, 100, 0.9) / 100))
    assert ax.get_title() == "Mean coverage 80.5%\n100 cells"
    assert "nominal 90%" in ax.get_xlabel()
    assert ax.get_xlim()[0] < 0.5


def test_many_features_are_ranked(translated):
    pred, truth = translated(n_features=50, coverage=np.linspace(0.8, 1, 50))
    ax = pl.calibration(pred, truth)
    dots = next(c for c in ax.collections if len(c.get_offsets()) == 50)
    covered = np.asarray(dots.get_offsets())[:, 1]
    assert (np.diff(covered) <= 0).all()
    assert covered.mean() == pytest.approx(0.9, abs=0.005)
    assert "Observed coverage" in ax.get_ylabel()


def test_cells_without_interval_do_not_count(translated):
    pred, truth = translated()
    for name in ("lower", "upper"):
        pred.layers[name][:50] = np.nan
    assert pl.calibration(pred, truth).get_title() == "Mean coverage 80.0%\n50 cells"
    for name in ("lower", "upper"):
        pred.layers[name][:] = np.nan
    with pytest.raises(ValueError, match="No cell has an interval"):
        pl.calibration(pred, truth)


@pytest.mark.parametrize(
    ("counts", "drawn", "words"),
    [
        ((60, 20, 20), 20, "20 cells that the fit did not see"),
        ((75, 20, 5), 20, "20 held-out cells, which set the intervals"),
        ((100, 0, 0), 100, "100 cells, 100 of them trained on"),
        ((92, 5, 3), 100, "100 cells, 92 of them trained on"),
    ],
)
def test_cells_that_training_saw_count_only_where_there_are_no_others(translated, counts, drawn, words):
    pred, truth = translated(coverage=np.full(6, 0.9))
    order = np.random.default_rng(0).permutation(100)
    split = np.repeat(["train", "validation", "test"], counts)
    pred.obs.loc[pred.obs_names[order], "split"] = split
    part = slice(None) if drawn == 100 else split == ("test" if "did not see" in words else "validation")
    inside = ((pred.layers["lower"] <= truth.X) & (pred.layers["upper"] >= truth.X))[order][part]
    assert len(inside) == drawn
    assert pl.calibration(pred, truth).get_title() == f"Mean coverage {inside.mean():.1%}\n{words}"


def test_frame_of_levels():
    frame = pd.DataFrame(
        {"level": [0.9, 0.5, 0.9, 0.5], "coverage": [0.8, 0.4, 1.0, 0.6], "feature": ["a", "a", "b", "b"]}
    )
    _, own = plt.subplots()
    ax = pl.calibration(frame, ax=own)
    assert ax is own
    curves = {line.get_label(): line.get_xydata() for line in ax.get_lines()}
    np.testing.assert_allclose(curves["mean"], [[0.5, 0.5], [0.9, 0.9]])
    np.testing.assert_allclose(curves["perfect"], [[0, 0], [1, 1]])
    drawn = [line.get_xydata().tolist() for line in ax.get_lines()]
    assert [[0.5, 0.4], [0.9, 0.8]] in drawn
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Nominal coverage", "Observed coverage")


def test_frame_of_a_report(made_report):
    frame = made_report().calibration
    ax = pl.calibration(frame)
    dots = next(c for c in ax.collections if len(c.get_offsets()) == len(frame))
    np.testing.assert_allclose(np.asarray(dots.get_offsets())[:, 0], frame["coverage"])
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels[:2] == ["context, all", "context, strongest"]
    red = [to_hex(c) == to_hex(_style.VERMILION) for c in dots.get_facecolor()]
    assert red == (frame["flag"] == "too narrow").tolist()
    assert sum(red) == 1
    (bars, *levels) = (c.get_segments() for c in ax.collections if hasattr(c, "get_segments"))
    np.testing.assert_allclose([bar[:, 0] for bar in bars], frame[["lower", "upper"]])
    assert {x for line in levels for bar in line for x in bar[:, 0]} == {0.9}
    assert [text.get_text() for text in ax.texts] == [
        f"CRPS {crps:.2g}, PIT {pit:.2f}" for crps, pit in zip(frame["crps"], frame["pit"], strict=True)
    ]
    told = pl.calibration(frame.assign(crps=[0.1234, *[np.nan] * (len(frame) - 1)], pit=0.05))
    assert [text.get_text() for text in told.texts] == ["CRPS 0.12, PIT 0.05"]
    shuffled = pl.calibration(frame[::-1])
    assert [text.get_text() for text in shuffled.get_yticklabels()] == labels[::-1]
    with pytest.raises(ValueError, match="no predictor of the report gives intervals"):
        pl.calibration(frame.iloc[:0])


def test_errors_say_what_to_do(translated):
    pred, truth = translated()
    with pytest.raises(ValueError, match="Give `truth=`"):
        pl.calibration(pred)
    with pytest.raises(ValueError, match="no column 'coverage'; it has level"):
        pl.calibration(pd.DataFrame({"level": [0.9]}))
    with pytest.raises(ValueError, match=r"run `scvcell\.tl\.translate"):
        pl.calibration(truth, truth)
    del pred.uns["csl_translate"]
    with pytest.raises(ValueError, match=r"run `scvcell\.tl\.translate"):
        pl.calibration(pred, truth)
