"""Colours of categories as scanpy keeps them: given, kept, or new."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_hex

from scvcell import pl
from scvcell.pl._palette import categorical, category_colours
from scvcell.pl._tables import column


def colours(ax):
    return {to_hex(c) for points in ax.collections for c in points.get_facecolor()}


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.fixture
def flat(mdata):
    mdata.obsm["X_umap"] = mdata.obsm["z"][:, :2]
    return mdata


def test_colours_are_scanpys_and_nobody_elses_are_replaced(flat):
    mine = ["#ff0000", "#00ff00", "#0000ff"]
    flat.uns["cell_type_colors"] = list(mine)
    assert colours(pl.embedding(flat, color="cell_type")) == set(mine)
    assert colours(pl.embedding(flat, color="cell_type", palette=["k", "w", "y"])) == {"#000000", "#ffffff", "#bfbf00"}
    assert flat.uns["cell_type_colors"] == mine
    # Colours of a modality serve the container's column of the same categories, and new ones are kept.
    del flat.uns["cell_type_colors"]
    flat["rna"].uns["cell_type_colors"] = np.array(mine)
    assert colours(pl.embedding(flat, color="cell_type")) == set(mine)
    flat.uns["batch_colors"] = ["#123456"]
    before = flat.uns["batch_colors"]
    drawn = colours(pl.embedding(flat, color="batch"))
    assert flat.uns["batch_colors"] is before
    assert len(drawn) == flat.obs["batch"].nunique()
    with pytest.raises(ValueError, match="palette has no colour for 'type3'"):
        pl.embedding(flat, color="cell_type", palette={"type1": "r", "type2": "g"})


def test_many_categories_have_colours_of_their_own(flat):
    flat.obs["group"] = [f"g{i % 30}" for i in range(150)]
    ax = pl.embedding(flat, color="group")
    assert len(colours(ax)) == 30
    assert legend_texts(ax)[:3] == ["g0", "g1", "g2"]
    assert legend_texts(ax)[-1] == "g29"


def test_text_is_in_natural_order_and_categories_stay_as_they_are():
    assert list(categorical(pd.Series(["T10", "T2", None, "B"])).cat.categories) == ["B", "T2", "T10"]
    assert list(categorical(pd.Series([10, 2, 2])).cat.categories) == ["2", "10"]
    own = pd.Series(pd.Categorical(["a", "b"], ["b", "a", "unused"]))
    assert categorical(own) is own


@pytest.fixture
def cells():
    adata = AnnData(np.ones((3, 1)), pd.DataFrame({"k": pd.Categorical(["a", "b", "a"])}, index=list("xyz")))
    return adata, column(adata, "k")


def test_a_palette_goes_before_kept_colours_and_these_before_new_ones(cells):
    adata, k = cells
    new = category_colours(adata, k, "k", None)
    assert list(new) == ["a", "b"]
    assert adata.uns["k_colors"] == list(new.values()), "new colours are kept"
    adata.uns["k_colors"] = ["red", "lime", "blue"]
    assert category_colours(adata, k, "k", None) == {"a": "#ff0000", "b": "#00ff00"}
    assert category_colours(adata, k, "k", ["k", "w"]) == {"a": "#000000", "b": "#ffffff"}
    assert category_colours(adata, k, "k", {"b": "w", "a": "k"}) == {"a": "#000000", "b": "#ffffff"}
    assert adata.uns["k_colors"] == ["red", "lime", "blue"]
    adata.uns["k_colors"] = ["red", "no colour"]
    assert category_colours(adata, k, "k", None) == new


def test_palettes_that_do_not_reach(cells):
    adata, k = cells
    with pytest.raises(ValueError, match="palette has 1 colours for 2 categories"):
        category_colours(adata, k, "k", ["red"])
    with pytest.raises(ValueError, match=r"palette has no colour for 'b'; it has \['a'\]"):
        category_colours(adata, k, "k", {"a": "red"})
    adata.obs["k"] = adata.obs["k"].cat.add_categories("c")
    found = category_colours(adata, column(adata, "k"), "k", {"a": "red", "b": "lime"})
    assert list(found) == ["a", "b", "c"], "what no cell has needs no colour"
