import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scvcell import pl


@pytest.fixture
def matched():
    balance = pd.DataFrame({"variable": ["age", "donor=a"], "smd_before": [0.5, -0.3], "smd_after": [0.05, 0.0]})
    adata = AnnData(np.zeros((10, 3)))
    adata.obs["effective_matches"], adata.obs["overlap"] = np.arange(1.0, 11), np.arange(10) < 8
    adata.uns["csl_match"] = {"balance": balance, "params": {"action": "A", "effective_controls": 41.6}}
    return adata


def test_balance_before_and_after_and_cells_without_a_match(matched):
    left, right = pl.match(matched)
    before, after = (points.get_offsets()[:, 0] for points in left.collections[-2:])
    np.testing.assert_allclose(before, [0.5, -0.3])
    np.testing.assert_allclose(after, [0.05, 0.0])
    assert [label.get_text() for label in left.get_yticklabels()] == ["age", "donor=a"]
    assert [text.get_text() for text in right.get_legend().get_texts()] == [
        "control near by (80%)",
        "no control near by (20%)",
    ]
    assert sum(bar.get_height() for bar in right.patches) == 10
    assert "42 in all" in right.get_xlabel()
    assert "at most 0.1: balanced" in [text.get_text() for text in left.get_legend().get_texts()]
    assert "minus" in left.get_xlabel()
    assert right.get_ylabel() == "Cells treated with A"


def test_takes_axes_and_refuses_others(matched):
    _, axes = plt.subplots(1, 2)
    assert pl.match(matched, ax=axes) == list(axes)
    with pytest.raises(ValueError, match="2 panels"):
        pl.match(matched, ax=[axes[0]])
    with pytest.raises(ValueError, match=r"run `scvcell.tl.match_counterfactual"):
        pl.match(AnnData(np.zeros((2, 2))))
    plt.close("all")
