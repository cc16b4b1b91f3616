"""pl.cycle: one dot per section and null, grey where the null may be as good."""

import pandas as pd
import pytest
from anndata import AnnData

from scvcell import pl


@pytest.fixture
def scores():
    rows = [
        (section, "P o L", score, null, gain, gain - 0.1, gain + 0.1)
        for section, gain in (("left", 0.3), ("right", 0.05))
        for score in ("deviance", "pearson")
        for null in ("permuted", "mean profile")
    ]
    rows.append(("reference", "L o P", "rmse", "mean composition", 0.5, float("nan"), float("nan")))
    return pd.DataFrame(rows, columns=["section", "cycle", "score", "null", "gain", "lower", "upper"])


def drawn(ax):
    return {
        bars.get_label(): sorted(float(x) for x in bars.lines[0].get_xdata()) for bars in ax.containers if bars.lines
    }


def test_sections_and_nulls(scores):
    ax = pl.cycle(scores)
    assert drawn(ax) == {"better than the null": [0.3, 0.3], "no better": [0.05, 0.05]}
    assert ax.get_yticklabels()[0].get_text() == "left: permuted"
    assert ax.get_title().startswith("1 of 2 sections") or ax.get_title(loc="left").startswith("1 of 2 sections")


def test_lifted_spots_hold_their_scores(scores):
    lifted = AnnData(obs=pd.DataFrame(index=["a"]))
    lifted.uns["csl_cycle"] = {"skill": 0.3, "scores": scores[scores["section"] != "right"]}
    ax = pl.cycle(lifted)
    assert drawn(ax) == {"better than the null": [0.3, 0.3]}
    assert [text.get_text() for text in ax.get_yticklabels()] == ["permuted", "mean profile"]


def test_what_has_no_scores(scores):
    for nothing in (AnnData(obs=pd.DataFrame(index=["a"])), scores.drop(columns="gain"), None):
        with pytest.raises(ValueError, match=r"run `scvcell.tl.cycle_scores"):
            pl.cycle(nothing)
    with pytest.raises(ValueError, match="No section could be scored"):
        pl.cycle(scores[scores["cycle"] == "L o P"])
