import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from scvcell import pl


@pytest.fixture
def links():
    score = np.linspace(-0.5, 0.9, 60)
    return pd.DataFrame({"score": score, "qvalue": np.where(score > 0.4, 0.01, 0.6)})


@pytest.fixture
def table():
    rows = [
        {"variant": v, "corrupted": c, "seed": s, "metric": m, "value": b + 0.3 * (1 if np.isnan(c) else c) + 0.01 * s}
        for v, c in (("real", 0.0), ("corrupted", 0.5), ("rewired", 1.0), ("none", np.nan))
        for s in (0, 1)
        for m, b in (("foscttm", 0.1), ("recall@1", 0.2), ("held-out rna", 5.0))
    ]
    return pd.DataFrame(rows)


def test_links_are_counted_by_support(links):
    ax = pl.feature_links(links)
    supported = (links["qvalue"] <= 0.05).sum()
    texts = [t.get_text() for t in ax.get_legend().get_texts()]
    assert texts == [f"supported, FDR 0.05 ({supported})", f"others ({60 - supported})"]
    assert sum(p.get_height() for p in ax.patches) == 60
    assert "correlation" in ax.get_xlabel()
    _, own = plt.subplots()
    assert pl.feature_links(links, fdr=0.7, ax=own) is own
    with pytest.raises(ValueError, match="feature_links"):
        pl.feature_links(links[["score"]])


def test_ablation_has_a_panel_per_metric(table):
    before = table.copy()
    panels = pl.prior_ablation(table)
    assert [p.get_ylabel() for p in panels] == [
        "FOSCTTM\n(lower is better)",
        "Held-out rna, nats per cell\n(lower is better)",
    ]
    line, none = panels[0].lines
    np.testing.assert_allclose(line.get_xydata(), [[0, 0.105], [0.5, 0.255], [1, 0.405]])
    np.testing.assert_allclose(none.get_ydata(), [0.405, 0.405])
    low, high = panels[0].get_ylim()
    assert low < 0.405 - 0.05 * (high - low) < 0.405 + 0.05 * (high - low) < high
    pd.testing.assert_frame_equal(table, before)
    (only,) = pl.prior_ablation(table, metrics=["recall@1"])
    assert only.get_ylabel() == "Recall@1\n(higher is better)"
    with pytest.raises(ValueError, match="no metric 'top1'"):
        pl.prior_ablation(table, metrics=["top1"])
    with pytest.raises(ValueError, match="prior_ablation"):
        pl.prior_ablation(table.drop(columns="variant"))
