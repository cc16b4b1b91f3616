from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from scvcell import pl
from scvcell.pl import _style

COLUMNS = ["predictor", "check", "value", "limit", "verdict", "says"]


@pytest.fixture
def audit():
    rows = [
        ("", "same donor", 0.2, 0.0, "red", "The split says that the donor is new; it costs $5 and $6 of trust."),
        ("scvcell", "scramble", np.nan, 0.0, "amber", "word " * 80),
        ("", "same batch", 0.9, 0.0, "green", "Not claimed."),
        ("a", "pretraining", 0.0, 0.0, "green", "Declared of a."),
        ("b", "pretraining", 0.0, 0.0, "green", "Declared of b."),
    ]
    near = pd.DataFrame(
        {
            "check": ["similar target"] * 3 + ["similar donor"] * 2,
            "unit": ["A", "B", "C", "d1", "d2"],
            "nearest": ["E", "E", "F", "d5", "d6"],
            "similarity": [0.2, 0.9, 0.5, 0.99, 0.95],
            "limit": [0.6] * 3 + [np.nan] * 2,
        }
    )
    return SimpleNamespace(table=pd.DataFrame(rows, columns=COLUMNS), similarity=near)


def words(ax):
    return [text.get_text() for text in ax.texts]


def test_checks_are_said_in_words_and_green_ones_named_once(audit):
    checks, *_ = pl.leakage(audit)
    said = words(checks)
    assert said[0] == "same donor"
    assert r"costs \$5 and \$6" in " ".join(said)
    assert "scramble (scvcell)" in said
    assert sum(line.startswith("word") for line in said) == 2, "two lines at most"
    assert said[-2:] == ["same batch", "pretraining"]
    colours = [tuple(np.round(dots.get_facecolor()[0][:3], 2)) for dots in checks.collections]
    wanted = [_style.VERMILION, _style.ORANGE, _style.GREEN, _style.GREEN]
    assert colours == [tuple(np.round(plt.matplotlib.colors.to_rgb(each), 2)) for each in wanted]
    assert checks.get_title(loc="left").startswith("The audit is red")
    assert "1 red (a leak), 1 amber (to be read), 3 green" in checks.get_title(loc="left")


def test_similarities_stand_beside_their_limit(audit):
    _, targets, donors = pl.leakage(audit)
    np.testing.assert_allclose(targets.collections[0].get_offsets()[:, 0], [0.9, 0.5, 0.2])
    assert [tick.get_text() for tick in targets.get_yticklabels()] == ["B ~ E", "C ~ F", "A ~ E"]
    grey, blue = (plt.matplotlib.colors.to_rgb(each) for each in (_style.GREY, _style.BLUE))
    np.testing.assert_allclose(targets.collections[0].get_facecolors()[:, :3], [grey, blue, blue])
    assert "1 of 3 above the limit of 0.6" in targets.get_title()
    (line,) = targets.get_lines()
    assert set(line.get_xdata()) == {0.6}
    assert not donors.get_lines()
    assert "limit" not in donors.get_title()


def test_many_units_are_a_histogram(audit):
    rng = np.random.default_rng(0)
    near = pd.DataFrame({"check": "similar target", "unit": range(50), "nearest": "E", "limit": 0.6})
    audit.similarity = near.assign(similarity=rng.uniform(0, 1, 50))
    _, ax = pl.leakage(audit)
    assert sum(bar.get_height() for bar in ax.patches) == 50
    over = (audit.similarity["similarity"] > 0.6).sum()
    assert f"{over} of 50 above" in ax.get_title()


@pytest.mark.parametrize(("verdict", "title"), [("amber", "The audit is amber"), ("green", "The audit is green")])
def test_a_report_or_its_table_will_do(audit, verdict, title):
    table = audit.table.assign(verdict=verdict)
    for given in (table, SimpleNamespace(leakage=table)):
        (ax,) = pl.leakage(given)
        assert ax.get_title(loc="left").startswith(title)
    _, own = plt.subplots()
    assert pl.leakage(table, ax=own) == [own]


def test_lines_do_not_overlap_and_stay_inside(audit):
    (checks, *_) = pl.leakage(audit)
    checks.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in checks.texts]
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[:i])
        assert one.x1 <= checks.figure.bbox.x1
        assert one.y0 >= checks.figure.bbox.y0


def test_bad_input(audit):
    with pytest.raises(ValueError, match=r"must be the result of `scvcell.risk.audit\(data, split\)`"):
        pl.leakage(SimpleNamespace())
    with pytest.raises(ValueError, match="must be the result"):
        pl.leakage(audit.table.iloc[:0])
    with pytest.raises(ValueError, match="This plot has 3 panels"):
        pl.leakage(audit, ax=plt.subplots()[1])
