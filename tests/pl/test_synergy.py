import pandas as pd
import pytest

from scvcell import pl


def test_synergy(frame):
    table = frame.assign(additive=frame["lfc"] * 0.8, interaction=frame["lfc"] * 0.2)
    ax = pl.synergy(table, n_names=3)
    assert len(ax.texts) == 3
    with pytest.raises(ValueError, match=r"scvcell.tl.synergy"):
        pl.synergy(frame)


def test_one_group_with_its_legend_and_names_that_do_not_overlap(frame):
    table = frame.assign(additive=0.0, interaction=frame["lfc"], action="A+B")
    table["lfc"] = 1e-3 * table["lfc"]
    both = pd.concat([table, table.assign(group="T cells", lfc=table["lfc"] + 1)], ignore_index=True)
    ax = pl.synergy(both, group="T cells", n_names=12)
    assert ax.get_title(loc="left") == "A+B in T cells\n1 of 2 groups"
    assert sum(len(dots.get_offsets()) for dots in ax.collections) == 60
    sure = int(((table["lower"] > 0) | (table["upper"] < 0)).sum())
    texts = [t.get_text() for t in ax.get_legend().get_texts()]
    assert texts == [f"interaction not 0 (90% interval): {sure} features", f"others: {60 - sure} features"]
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == 12
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.shrunk(0.95, 0.9).overlaps(b)]
