"""pl.spatial: every unit in its own place and colour, of every container."""

import logging

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib import colormaps
from matplotlib.colors import to_hex
from mudata import MuData
from scipy.spatial import KDTree

from scvcell import pl

KINDS = ["T cell", "B cell", None]


@pytest.fixture
def tissue():
    """60 units in two sections, two kinds and units of none; a gene of counts, a number that some lack."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"kind": pd.Categorical([KINDS[i % 3] for i in range(60)]), "slide": ["s1", "s2"] * 30})
    obs["number"] = np.where(np.arange(60) % 4 == 0, np.nan, np.arange(60.0))
    adata = AnnData(rng.poisson(3.0, (60, 2)).astype(np.float32), obs=obs.set_index(obs.index.astype(str)))
    adata.var_names = ["g0", "g1"]
    adata.obsm["spatial"] = rng.random((60, 2)) * 100
    return adata


def spatialdata(adata, order, kind="shapes"):
    """The same units as a SpatialData, rows of the table in another order than their element."""
    from spatialdata import SpatialData
    from spatialdata.models import ShapesModel, TableModel

    table = adata[order].copy()
    table.obs["region"], table.obs["id"] = table.obs["slide"].astype(str), table.obs_names.astype(int)
    table = TableModel.parse(table, region=["s1", "s2"], region_key="region", instance_key="id")
    elements = {}
    for name in ("s1", "s2"):
        here = (adata.obs["slide"] == name).to_numpy()
        index = adata.obs_names[here].astype(int)
        elements[name] = ShapesModel.parse(adata.obsm["spatial"][here], geometry=0, radius=2.0, index=index)
    del table.obsm["spatial"]
    return SpatialData(shapes=elements, tables={"cells": table})


def drawn(ax, xy):
    """Colour of each unit, by its place; None of those that are not here."""
    found = [None] * len(xy)
    for units in ax.collections:
        if hasattr(units, "get_offsets") and len(units.get_offsets()) > 1:
            places = np.asarray(units.get_offsets())
        else:
            places = np.array([path.get_extents().get_points().mean(0) for path in units.get_paths()])
        off, at = KDTree(xy).query(places)
        faces = units.get_facecolors()
        for far, unit, k in zip(off, at, range(len(places)), strict=True):
            assert far < 0.1
            found[unit] = to_hex(faces[k if len(faces) > 1 else 0])
    return found


def numbers(values, low, high):
    scale = (np.asarray(values, float) - low) / (high - low)
    return ["#dddddd" if np.isnan(v) else to_hex(colormaps["viridis"](v)) for v in scale]


@pytest.mark.parametrize("kind", ["anndata", "mudata", "spatialdata"])
def test_units_have_their_places_and_colours(tissue, kind):
    palette = {"T cell": "#ff0000", "B cell": "#0000ff"}
    data, key = tissue, "slide"
    if kind == "mudata":
        data = MuData({"rna": tissue})
    elif kind == "spatialdata":
        data, key = spatialdata(tissue, np.random.default_rng(1).permutation(60)), None
    axes = pl.spatial(data, "rna:kind" if kind == "mudata" else "kind", section_key=key, palette=palette)
    assert [ax.get_title().split(", ")[1] for ax in axes] == ["s1", "s2"]
    expected = [palette.get(str(each), "#dddddd") for each in tissue.obs["kind"]]
    axes = [*axes, *pl.spatial(data, "number", section_key=key)]
    colours = numbers(tissue.obs["number"], 1, 59)
    for ax, slide, true in zip(axes, ["s1", "s2"] * 2, [expected] * 2 + [colours] * 2, strict=True):
        here = (tissue.obs["slide"] == slide).to_numpy()
        found = drawn(ax, tissue.obsm["spatial"])
        assert found == [each if there else None for each, there in zip(true, here, strict=True)]
        assert ax.get_ylim()[0] > ax.get_ylim()[1], "down, as images"
    legends = [ax.get_legend() for ax in axes]
    assert [text.get_text() for text in legends[1].get_texts()] == ["B cell", "T cell"]
    assert legends[0] is legends[2] is None


def test_counts_are_drawn_as_logarithms(tissue):
    x = np.log1p(tissue[:, "g1"].X.ravel())
    ax = pl.spatial(tissue, "g1")
    assert drawn(ax, tissue.obsm["spatial"]) == numbers(x, x.min(), x.max())
    assert ax.get_title() == "g1"
    bar = next(each for each in ax.figure.axes if each is not ax)
    assert bar.get_ylabel() == "log(1 + counts)"


def test_a_table_of_some_units_shows_these_alone(tissue):
    sdata = spatialdata(tissue, np.arange(60))
    sdata.tables["some"] = sdata.tables["cells"][:20].copy()
    axes = pl.spatial(sdata, "kind", table_key="some")
    found = [drawn(ax, tissue.obsm["spatial"]) for ax in axes]
    assert [sum(each is not None for each in part) for part in found] == [10, 10]
    with pytest.raises(ValueError, match="give `table_key=` as one of"):
        pl.spatial(sdata, "kind")


def test_cells_of_labels_are_drawn(tissue):
    from spatialdata import SpatialData
    from spatialdata.models import Labels2DModel, TableModel

    image = np.zeros((40, 40), np.int32)
    for i in range(4):
        image[10 * i + 2 : 10 * i + 8, 5:15] = i + 1
    table = AnnData(np.ones((4, 1), np.float32), obs=pd.DataFrame({"v": [1.0, 2, 3, 4]}, index=list("abcd")))
    table.obs["region"], table.obs["id"] = "cells", [4, 3, 2, 1]
    table = TableModel.parse(table, region="cells", region_key="region", instance_key="id")
    sdata = SpatialData(labels={"cells": Labels2DModel.parse(image, dims=("y", "x"))}, tables={"t": table})
    ax = pl.spatial(sdata, "v")
    pixels = np.asarray(ax.images[0].get_array(), float)
    for unit, row in enumerate((35, 25, 15, 5)):  # instance 4 is the lowest patch
        expected = colormaps["viridis"](unit / 3)[:3]
        at = int(row / 40 * len(pixels))
        np.testing.assert_allclose(pixels[at, int(len(pixels[0]) / 4)][:3], expected, atol=0.02)


def test_colours_are_kept_and_the_rest_stays(tissue, fingerprint):
    before = fingerprint(tissue, without=(".uns/keys",))
    _, own = plt.subplots()
    assert pl.spatial(tissue, "kind", ax=own) is own
    after = fingerprint(tissue)
    assert {key: after[key] for key in before} == before
    assert len(tissue.uns["kind_colors"]) == 2
    kept = {each.lower() for each in tissue.uns["kind_colors"]}
    assert set(drawn(own, tissue.obsm["spatial"])) == {*kept, "#dddddd"}


def test_circles_have_the_radius_that_is_given(tissue):
    ax = pl.spatial(tissue, "kind", radius=3.0)
    np.testing.assert_allclose(ax.collections[0].get_widths(), 6)
    tissue.obsm["spatial"] = np.stack(np.divmod(np.arange(60), 8), 1) * 10.0
    assert set(pl.spatial(tissue, "kind").collections[0].get_widths()) == {10.0}, "neighbours touch"


def test_units_without_a_place_are_left_out(tissue, caplog):
    tissue.obsm["spatial"][:5] = np.nan
    with caplog.at_level(logging.WARNING, logger="scvcell"):
        ax = pl.spatial(tissue, "kind")
    assert len(ax.collections[0].get_offsets()) == 55
    assert "5 of 60 units have no place" in caplog.text


def test_one_unit_and_a_column_of_nothing_can_be_drawn(tissue):
    tissue.obs["nothing"] = np.nan
    ax = pl.spatial(tissue[:1].copy(), "nothing")
    assert [to_hex(c) for c in ax.collections[0].get_facecolors()] == ["#dddddd"]
    for ax in pl.spatial(spatialdata(tissue, np.arange(60)), "nothing"):
        assert set(drawn(ax, tissue.obsm["spatial"])) == {"#dddddd", None}


def test_cells_without_a_feature_are_drawn(tissue):
    """As those that `tl.map_to_space` returns."""
    bare = AnnData(obs=tissue.obs, obsm={"spatial": tissue.obsm["spatial"]})
    assert bare.n_vars == 0
    shown = drawn(pl.spatial(bare, "number"), tissue.obsm["spatial"])
    assert shown == numbers(tissue.obs["number"], 1, 59)


def test_what_cannot_be_drawn_is_refused(tissue):
    with pytest.raises(ValueError, match=r"No obs column or feature 'kinds'.*kind"):
        pl.spatial(tissue, "kinds")
    with pytest.raises(ValueError, match="radius must be a number above 0"):
        pl.spatial(tissue, "kind", radius=0)
    with pytest.raises(ValueError, match="2 panels; `ax` holds 1"):
        pl.spatial(tissue, "kind", section_key="slide", ax=plt.subplots()[1])
    with pytest.raises(ValueError, match="palette has no colour for 'T cell'"):
        pl.spatial(tissue, "kind", palette={"B cell": "red"})
    del tissue.obsm["spatial"]
    with pytest.raises(ValueError, match="The data have no coordinates"):
        pl.spatial(tissue, "kind")
    assert "kind_colors" not in tissue.uns


def test_without_spatialdata_plot_it_says_what_to_install(tissue, monkeypatch):
    from scvcell.pl import _spatial

    sdata = spatialdata(tissue, np.arange(60))
    monkeypatch.setattr(_spatial, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r"pip install 'scvcell\[spatial\]'"):
        pl.spatial(sdata, "kind")
