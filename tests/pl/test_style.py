import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from scvcell import pl
from scvcell.pl import _style

ODD = ["a$b$", "$x_1$", "_hidden", "under_score_name", "chr1:189228814-189229261", "new\nline", "$", "x" * 300]


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("width", [5, 24, 40])
def test_short_names_keep_both_ends_and_are_shown_as_they_are(name, width):
    label = _style.short(name, width)
    shown, math = Text(0, 0, label)._preprocess_math(label)
    assert not math
    plain = name.replace("\n", " ")
    if len(plain) <= width:
        assert shown == plain
    else:
        start, _, end = shown.partition("…")
        assert len(shown) == width
        assert plain.startswith(start)
        assert plain.endswith(end)
        assert 0 <= len(start) - len(end) <= 1


def test_colours_differ():
    for n in (1, 8, 9, 20, 21, 28, 29, 102):
        assert len(set(_style.colours(n))) == n
    assert len(_style.colours(110)) == 110


@pytest.mark.parametrize("plot", ["effects", "dose_response", "synergy", "support", "surface"])
def test_no_name_becomes_mathematics_or_vanishes(plot, frame):
    rows = frame[np.isfinite(frame["upper"])][: len(ODD)].assign(feature=ODD)
    parts = [
        rows.assign(
            group=group, action=f"dr$ug$_1 {dose:g}", dose=dose, time=time, unit="$u$", trusted=True, additive=0.1
        )
        for group in ODD[:3]
        for dose in (0.1, 1.0)
        for time in (2, 8)
    ]
    table = pd.concat(parts, ignore_index=True)
    table = table.assign(interaction=table["lfc"], level=0.9)
    options = {"surface": {"feature": ODD[0]}, "dose_response": {"features": ODD}}.get(plot, {})
    ax = getattr(pl, plot)(table, **options)
    ax.figure.canvas.draw()
    texts = [t for t in ax.findobj(Text) if t.get_text() and "mathdefault" not in t.get_text()]
    shown = [t._preprocess_math(t.get_text()) for t in texts]
    assert not [text for text, math in shown if math is True]
    expected = {"support": ODD[:3], "surface": [], "synergy": []}.get(plot, ODD[:5])
    assert set(expected) <= {text for text, _ in shown}
    plt.close("all")
