import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from scipy import sparse, stats

from scvcell import pl
from scvcell.pl import _style


def expected_r(pred, truth):
    return np.array([stats.pearsonr(np.log1p(p), np.log1p(t))[0] for p, t in zip(pred.X.T, truth.X.T, strict=True)])


def dots(ax):
    return np.asarray(ax.collections[0].get_offsets())


def test_rows_are_sorted_pearsons_of_log_counts(translated):
    pred, truth = translated()
    ax = pl.translation(pred, truth)
    r = expected_r(pred, truth)
    order = np.argsort(-r)
    np.testing.assert_allclose(dots(ax)[:, 0], r[order])
    assert [t.get_text() for t in ax.get_yticklabels()] == list(pred.var_names[order])
    assert f"{np.median(r):.2f}" in ax.get_title()
    assert "Pearson" in ax.get_xlabel()
    face = [to_hex(c) for c in ax.collections[0].get_facecolor()]
    trusted = pred.var["trusted"].to_numpy()[order]
    assert face == [to_hex(_style.BLUE if t else _style.GREY) for t in trusted]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["trusted", "not trusted"]


def test_cells_and_features_are_matched_by_name(translated):
    pred, truth = translated()
    direct = dots(pl.translation(pred[:60, :4], truth[:60, :4]))
    mixed = truth[::-1, [5, 3, 1, 0, 2]][40:].copy()
    mixed.X = sparse.csr_matrix(mixed.X)
    np.testing.assert_allclose(dots(pl.translation(pred[:, :4], mixed)), direct)


def test_cells_without_prediction_do_not_count(translated):
    pred, truth = translated()
    r = dots(pl.translation(pred[20:], truth))
    pred.X[:20] = np.nan
    np.testing.assert_allclose(dots(pl.translation(pred, truth)), r)


def test_constant_features_are_named_as_left_out(translated):
    pred, truth = translated()
    truth.X[:, 0] = 0
    ax = pl.translation(pred, truth)
    assert len(dots(ax)) == 5
    assert "1 constant left out" in ax.get_title()
    truth.X[:] = 1
    with pytest.raises(ValueError, match="constant"):
        pl.translation(pred, truth)


def test_cells_that_training_saw_do_not_count(translated):
    pred, truth = translated()
    pred.obs["split"] = np.resize(["train", "validation", "test", "train"], 100)
    held = (pred.obs["split"] != "train").to_numpy()
    axes = pl.translation(pred, truth, features=["p00"])
    np.testing.assert_allclose(np.sort(dots(axes[0])[:, 0]), np.sort(expected_r(pred[held], truth[held])))
    assert axes[0].get_title().endswith("50 held-out cells")
    assert sum(len(part.get_offsets()) for part in axes[1].collections[1::2]) == 50
    pred.obs["split"] = "train"
    ax = pl.translation(pred, truth)
    np.testing.assert_allclose(np.sort(dots(ax)[:, 0]), np.sort(expected_r(pred, truth)))
    assert ax.get_title().endswith("100 cells, 100 of them trained on")


@pytest.mark.parametrize("n", [8, 60])
@pytest.mark.parametrize("name", ["chr1:189228814-189229261:{}", "a$b$_{}", "{}" + "x" * 200])
def test_long_and_odd_names_leave_room_for_the_axes(translated, n, name):
    pred, truth = translated(n_features=n)
    pred.var_names = truth.var_names = [name.format(i) for i in range(n)]
    few = pl.translation(pred, truth, features=pred.var_names[:2])
    for axes in (pl.translation(pred, truth), pl.calibration(pred, truth), few):
        figure = np.ravel(axes)[0].figure
        figure.canvas.draw()
        for ax in np.ravel(axes):
            assert ax.get_window_extent().width > 0.4 * figure.bbox.width / np.size(axes)
            title = ax.title.get_window_extent()
            assert figure.bbox.x0 - 1 <= title.x0 < title.x1 <= figure.bbox.x1 + 1
            assert not any(t._preprocess_math(t.get_text())[1] for t in [*ax.texts, *ax.get_yticklabels(), ax.title])


def test_many_features_are_ranked(translated):
    pred, truth = translated(n_features=60)
    ax = pl.translation(pred, truth)
    r = expected_r(pred, truth)
    np.testing.assert_allclose(dots(ax), np.column_stack([np.arange(1, 61), np.sort(r)[::-1]]))
    best = pred.var_names[np.argmax(r)]
    assert f"highest: {best}" in ax.texts[0].get_text()


def test_single_features_show_cells_and_intervals(translated):
    pred, truth = translated(coverage=[0.9, 0.5, 0.9, 0.9, 0.9, 0.9])
    axes = pl.translation(pred, truth, features=["p01", "p00"])
    assert [ax.get_title().split("\n")[0] for ax in axes[1:]] == ["p01", "p00"]
    assert axes[1].get_title().endswith("50% in interval")
    whiskers, points, missed_whiskers, missed = axes[1].collections
    column = pred.obs_names.get_indexer([f"c{i}" for i in range(50)])
    np.testing.assert_allclose(
        np.asarray(points.get_offsets()), np.column_stack([truth.X[column, 1], pred.X[column, 1]])
    )
    first = whiskers.get_segments()[0]
    np.testing.assert_allclose(first, [[truth.X[0, 1], truth.X[0, 1] - 1], [truth.X[0, 1], truth.X[0, 1] + 3]])
    assert len(missed.get_offsets()) == len(missed_whiskers.get_segments()) == 50
    assert (axes[1].get_xlabel(), axes[1].get_ylabel()) == ("Measured (counts)", "Predicted (counts)")


def test_nothing_of_the_user_changes(translated):
    pred, truth = translated()
    before = pred.X.copy(), truth.X.copy(), list(pred.var.columns)
    _, own = plt.subplots(1, 2)
    assert list(pl.translation(pred, truth, features=["p00"], ax=own)) == list(own)
    np.testing.assert_array_equal(pred.X, before[0])
    np.testing.assert_array_equal(truth.X, before[1])
    assert list(pred.var.columns) == before[2]


def test_errors_say_what_to_do(translated):
    pred, truth = translated()
    other = truth.copy()
    other.var_names = [f"q{i}" for i in range(6)]
    with pytest.raises(ValueError, match="no features in common"):
        pl.translation(pred, other)
    other = truth.copy()
    other.obs_names = [f"d{i}" for i in range(100)]
    with pytest.raises(ValueError, match="no cells in common"):
        pl.translation(pred, other)
    with pytest.raises(ValueError, match="Feature 'CD3' is not in both"):
        pl.translation(pred, truth, features=["CD3"])
    del pred.layers["lower"]
    with pytest.raises(ValueError, match=r"no layer 'lower': run `scvcell\.tl\.translate"):
        pl.translation(pred, truth, features=["p00"])
