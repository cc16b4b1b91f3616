import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from scvcell import pl


def test_effects_names_the_strongest_and_greys_the_unsure(frame):
    ax = pl.effects(frame, n_features=10)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert len(names) == 10
    assert set(names) == set(frame.iloc[np.argsort(-frame["lfc"].abs())[:10]]["feature"])
    assert "support 0.60" in ax.get_title("left") + ax.get_title(loc="left")
    assert len(ax.collections) == 2


def test_effects_takes_axes_and_refuses_others(frame):
    _, ax = plt.subplots()
    assert pl.effects(frame, ax=ax) is ax
    with pytest.raises(ValueError, match="no group 'T cells'"):
        pl.effects(frame, group="T cells")
    with pytest.raises(ValueError, match=r"run `scvcell.tl.effects"):
        pl.effects(frame.drop(columns="lfc"))


def several(frame):
    """Effects of two actions in three groups and on two modalities, all distinct."""
    parts = [
        frame.assign(
            action=action,
            group=group,
            modality=modality,
            feature=modality + "_" + frame["feature"],
            lfc=frame["lfc"] * (1 + i + 2 * j + 6 * k),
            trusted=group == "T cells",
        )
        for k, action in enumerate(("stim", "other"))
        for i, group in enumerate(("B cells", "T cells", "a group of cells that has a very long name"))
        for j, modality in enumerate(("rna", "adt"))
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("group", [None, "T cells"])
@pytest.mark.parametrize("modality", [None, "adt"])
def test_effects_say_what_is_drawn_and_of_how_many(frame, group, modality):
    table = several(frame).sample(frac=1, random_state=0)
    first = table.iloc[0]
    ax = pl.effects(table, group=group, modality=modality)
    title = ax.get_title(loc="left")
    here = table[table["action"] == first["action"]]
    g = group or here["group"].iloc[0]
    m = modality or here.loc[here["group"] == g, "modality"].iloc[0]
    assert title.startswith(f"{first['action']} in ")
    assert "1 of 2 actions, 1 of 3 groups" in title
    assert f"{m} (1 of 2 modalities)" in title
    assert ("not trusted" in title) == (g != "T cells")
    values = here[(here["group"] == g) & (here["modality"] == m)].set_index("feature")["lfc"]
    drawn = dict(zip([t.get_text() for t in ax.get_yticklabels()], ax.collections[-1].get_offsets()[:, 0], strict=True))
    assert all(np.isclose(values[name], value) for name, value in drawn.items())
    table["feature"] = "chr1:189228814-189229261:" + table["feature"]
    ax = pl.effects(table, group="a group of cells that has a very long name")
    ax.figure.canvas.draw()
    assert ax._left_title.get_window_extent().x1 <= ax.figure.bbox.x1
    with pytest.raises(ValueError, match="no modality 'atac'"):
        pl.effects(table, modality="atac")


def test_effects_say_what_bars_grey_and_empty_dots_are(frame):
    assert "bar: 90% interval" in pl.effects(frame).get_xlabel()
    assert "empty: none known" in pl.effects(frame).get_xlabel()
    sure = frame.assign(lower=frame["lfc"] - 1e-9, upper=frame["lfc"] + 1e-9)
    assert pl.effects(sure).get_xlabel() == "log2 fold change\nbar: 90% interval"
    none = frame.assign(lower=-np.inf, upper=np.inf)
    assert pl.effects(none).get_xlabel().endswith("no interval could be calibrated")


def test_order_effect():
    frame = pd.DataFrame({"group": ["a", "b"], "kappa": [0.1, 0.3], "null": [0.08, 0.09], "p": [0.4, 0.025]})
    frame = frame.assign(lower=frame["kappa"] - 0.05, upper=frame["kappa"] + 0.05)
    ax = pl.order_effect(frame)
    assert "p = 0.025" in ax.get_yticklabels()[1].get_text()
    with pytest.raises(ValueError, match=r"scvcell.tl.order_effect"):
        pl.order_effect(frame.drop(columns="null"))


def test_support_ranks_actions_and_empties_untrusted_dots(frame):
    parts = [
        frame.assign(action=f"T{i:02d}", group=group, support=s * (1 - i / 50), trusted=s * (1 - i / 50) > 0.5)
        for i in range(12)
        for group, s in (("x", 1.0), ("y", 0.6))
    ]
    ax = pl.support(pd.concat(parts))
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"T{i:02d}" for i in range(12)]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["x", "y", "not trusted"]
    y = next(dots for dots in ax.collections if len(dots.get_offsets()) and dots.get_offsets()[0, 0] < 0.7)
    white = (y.get_facecolors()[:, :3] == 1).all(1)
    np.testing.assert_array_equal(white, y.get_offsets()[:, 0] <= 0.5)
    few = pl.support(pd.concat(parts), n_actions=3)
    assert [label.get_text() for label in few.get_yticklabels()] == ["T09", "T10", "T11"]
    assert "3 of 12 actions" in few.get_title(loc="left")
    with pytest.raises(ValueError, match=r"scvcell.tl.effects"):
        pl.support(frame)


@pytest.mark.parametrize(("actions", "groups"), [(1, 1), (1, 8), (2, 8), (3, 20), (12, 2)])
def test_support_has_room_for_rows_and_legend(frame, actions, groups):
    parts = [
        frame.iloc[:2].assign(action=f"T{i}", group=f"cells of type {g}", support=0.9 - i / 20, trusted=i % 2 == 0)
        for i in range(actions)
        for g in range(groups)
    ]
    ax = pl.support(pd.concat(parts))
    ax.figure.canvas.draw()
    rows = [t.get_window_extent() for t in ax.get_yticklabels()]
    assert len(rows) == (groups if actions == 1 else actions)
    assert not any(a.y1 > b.y0 + 1 and b.y1 > a.y0 + 1 for i, a in enumerate(rows) for b in rows[:i])
    assert ax.get_window_extent().width > 0.3 * ax.figure.bbox.width
    if actions == 1:
        assert ax.get_title(loc="left") == "T0"
    else:
        legend = ax.get_legend()
        names = [t.get_text() for t in legend.get_texts()]
        assert set(names) == {*(f"cells of type {g}" for g in range(groups)), "not trusted"}
        box = legend.get_window_extent()
        assert ax.figure.bbox.y0 - 1 <= box.y0 < box.y1 <= ax.figure.bbox.y1 + 1
        assert box.x1 <= ax.figure.bbox.x1 + 1
