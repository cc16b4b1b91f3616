import logging

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from scvcell import pl
from scvcell.pl._tables import obs_column


def offsets(ax):
    return np.concatenate([np.asarray(points.get_offsets()) for points in ax.collections])


def colours(ax):
    return {to_hex(c) for points in ax.collections for c in points.get_facecolor()}


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_umap_is_computed_and_not_stored(mdata):
    before = {"obsm": set(mdata.obsm), "uns": set(mdata.uns), "obs": mdata.obs.copy(), "z": mdata.obsm["X_csl"].copy()}
    ax = pl.embedding(mdata, color="cell_type")
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("UMAP 1", "UMAP 2", "cell_type")
    assert offsets(ax).shape == (150, 2)
    assert legend_texts(ax) == ["type1", "type2", "type3"]
    assert (set(mdata.obsm), set(mdata.uns)) == (before["obsm"], before["uns"])
    assert mdata.obs.equals(before["obs"])
    np.testing.assert_array_equal(mdata.obsm["X_csl"], before["z"])


def test_stored_umap_is_drawn_with_every_cell_in_its_place(mdata):
    mdata.obsm["X_csl_umap"] = np.random.default_rng(0).normal(size=(150, 2))
    ax = pl.embedding(mdata, color="cell_type", palette={"type1": "#ff0000", "type2": "#00ff00", "type3": "#0000ff"})
    points = ax.collections[0]
    place = np.asarray(points.get_offsets())
    for cell in (0, 40, 149):
        at = np.abs(place - mdata.obsm["X_csl_umap"][cell]).sum(1).argmin()
        np.testing.assert_allclose(place[at], mdata.obsm["X_csl_umap"][cell])
        expected = {"type1": "#ff0000", "type2": "#00ff00", "type3": "#0000ff"}[mdata.obs["cell_type"].iloc[cell]]
        assert to_hex(points.get_facecolor()[at]) == expected


def test_two_dimensions_are_drawn_as_they_are(mdata):
    mdata.obsm["flat"] = mdata.obsm["z"][:, :2]
    ax = pl.embedding(mdata, key="flat", seed=3)
    assert ax.get_xlabel() == "flat 1"
    np.testing.assert_allclose(np.sort(offsets(ax), axis=0), np.sort(mdata.obsm["flat"], axis=0), rtol=1e-5)


def test_modalities_are_counted_from_the_container(mdata):
    mdata.obsm["flat"] = mdata.obsm["z"][:, :2]
    ax = pl.embedding(mdata, key="flat", color="modalities")
    assert legend_texts(ax) == ["rna", "adt", "rna + adt"]
    face = [to_hex(c) for c in ax.collections[0].get_facecolor()]
    assert sorted(face.count(c) for c in set(face)) == [37, 38, 75]


def test_columns_of_a_modality_leave_other_cells_grey(mdata):
    mdata.obsm["flat"] = mdata.obsm["z"][:, :2]
    axes = pl.embedding(mdata, key="flat", color=["rna:cell_type", "adt:size"])
    assert [ax.get_title() for ax in axes] == ["rna:cell_type", "adt:size"]
    axes[0].figure.canvas.draw()
    for ax, name in zip(axes, ("rna", "adt"), strict=True):
        face = np.concatenate([[to_hex(c) for c in points.get_facecolor()] for points in ax.collections])
        assert (face == "#dddddd").sum() == 150 - mdata[name].n_obs
    assert legend_texts(axes[0]) == ["type1", "type2", "type3"]


def test_anndata_own_axes_and_single_colour(mdata):
    adata = mdata["rna"].copy()
    adata.obsm["X_csl"] = np.random.default_rng(0).normal(size=(adata.n_obs, 2))
    _, own = plt.subplots()
    ax = pl.embedding(adata, ax=own, size=7)
    assert ax is own
    assert len(colours(ax)) == 1
    assert ax.collections[0].get_sizes()[0] == 7


def test_cells_without_latent_are_left_out(mdata, caplog):
    mdata.obsm["flat"] = mdata.obsm["z"][:, :2].copy()
    mdata.obsm["flat"][:10] = np.nan
    with caplog.at_level(logging.WARNING, logger="scvcell"):
        assert len(offsets(pl.embedding(mdata, key="flat"))) == 140
    assert "10 cells have no latent" in caplog.text


def test_missing_keys_say_what_to_run(mdata):
    del mdata.obsm["X_csl"]
    with pytest.raises(ValueError, match=r"run `scvcell\.tl\.fit\(data\)`"):
        pl.embedding(mdata)
    mdata.obsm["X_csl"] = mdata.obsm["z"]
    with pytest.raises(ValueError, match=r"No obs column 'type'.*cell_type.*rna:size"):
        pl.embedding(mdata, color="type")
    with pytest.raises(ValueError, match="No obs column 'modalities'"):
        obs_column(mdata["rna"], "modalities")
    with pytest.raises(ValueError, match="2 panels; `ax` holds 1"):
        pl.embedding(mdata, color=["batch", "cell_type"], ax=plt.subplots()[1])
