import logging

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from scipy.spatial import cKDTree

from scvcell import pl
from scvcell.pl._tables import obs_column


def offsets(ax):
    return np.concatenate([np.asarray(points.get_offsets()) for points in ax.collections])


def colours(ax):
    return {to_hex(c) for points in ax.collections for c in points.get_facecolor()}


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_umap_is_computed_once_and_kept_as_scanpy_keeps_it(mdata, fingerprint, monkeypatch):
    import scanpy as sc

    before = fingerprint(mdata, without=(".obsm/keys", ".uns/keys"))
    ax = pl.embedding(mdata, color="cell_type")
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("UMAP 1", "UMAP 2", "cell_type")
    assert offsets(ax).shape == (150, 2)
    assert legend_texts(ax) == ["type1", "type2", "type3"]
    after = fingerprint(mdata)
    assert {k: after[k] for k in before} == before
    assert {k.split("/")[1].split("/")[0] for k in set(after) - set(before) - {".obsm/keys", ".uns/keys"}} == {
        "X_umap",
        "csl_umap",
        "cell_type_colors",
    }
    umap, calls = mdata.obsm["X_umap"].copy(), []
    monkeypatch.setattr(sc.tl, "umap", lambda work, **_: calls.append(work) or work.obsm.update(X_umap=umap + 1))
    pl.embedding(mdata, seed=3)
    assert not calls
    # A latent that has changed makes a UMAP of ours out of date, but never one that is the user's.
    mdata.obsm["X_csl"] = mdata.obsm["X_csl"] * 2
    pl.embedding(mdata)
    np.testing.assert_array_equal(mdata.obsm["X_umap"], umap + 1)
    mdata.obsm["X_umap"], mdata.obsm["X_csl"] = umap + 2, mdata.obsm["X_csl"] * 2
    pl.embedding(mdata)
    np.testing.assert_array_equal(mdata.obsm["X_umap"], umap + 2)
    assert len(calls) == 1


def test_a_view_stays_a_view(mdata, monkeypatch):
    import scanpy as sc

    monkeypatch.setattr(sc.tl, "umap", lambda work, **_: work.obsm.update(X_umap=work.obsm["X_csl"][:, :2]))
    part = mdata[:60]
    pl.embedding(part, color=["cell_type", "rna:batch"])
    assert part.is_view
    assert "X_umap" not in mdata.obsm
    assert not {k for holder in (mdata, *mdata.mod.values()) for k in holder.uns if k.endswith("_colors")}


@pytest.mark.parametrize("basis", ["X_umap", "umap", "X_other", "other", "rna:other", "rna:X_other"])
def test_any_basis_with_every_cell_in_its_place(mdata, basis):
    place = np.random.default_rng(0).normal(size=(150, 3))
    mdata.obsm["X_umap"], mdata.obsm["X_other"] = place[:, :2], place + 5
    mdata["rna"].obsm["X_other"] = np.random.default_rng(1).normal(size=(mdata["rna"].n_obs, 2))
    expected = mdata["rna"].obsm["X_other"] if ":" in basis else place[:, :2] if "umap" in basis else place[:, :2] + 5
    ax = pl.embedding(mdata, basis=basis)
    np.testing.assert_allclose(np.sort(offsets(ax), axis=0), np.sort(expected, axis=0))
    assert ax.get_xlabel() == ("UMAP 1" if "umap" in basis else "other 1")


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, "X_umap"),
        ({"basis": "umap"}, "X_umap"),
        ({"basis": "X_csl_umap"}, "X_csl_umap"),
        ({"basis": "csl_umap"}, "X_csl_umap"),
        ({"key": "z"}, "z_umap"),
    ],
)
def test_where_a_umap_is_kept(mdata, monkeypatch, options, kept):
    import scanpy as sc

    calls = []
    monkeypatch.setattr(sc.pp, "neighbors", lambda *_, **__: None)
    monkeypatch.setattr(sc.tl, "umap", lambda work, **_: calls.append(1) or work.obsm.update(X_umap=np.eye(150, 2)))
    before = set(mdata.obsm)
    for _ in range(2):
        assert pl.embedding(mdata, **options).get_xlabel() == "UMAP 1"
    assert (set(mdata.obsm) - before, len(calls)) == ({kept}, 1)
    mdata.obsm[options.get("key", "X_csl")] = mdata.obsm["z"] * 2
    pl.embedding(mdata, **options)
    assert len(calls) == 2


def test_basis_that_is_not_there(mdata):
    with pytest.raises(ValueError, match=r"No .obsm\['X_pca'\]. Keys: .*'X_csl'"):
        pl.embedding(mdata, basis="X_pca")
    assert "X_umap" not in mdata.obsm


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
        grey, points = ax.collections[:2]
        assert to_hex(grey.get_facecolor()[0]) == "#dddddd"
        assert (len(grey.get_offsets()), len(points.get_offsets())) == (150 - mdata[name].n_obs, mdata[name].n_obs)
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
    assert "10 cells have no flat" in caplog.text


def test_missing_keys_say_what_to_run(mdata):
    del mdata.obsm["X_csl"]
    with pytest.raises(ValueError, match=r"run `scvcell\.tl\.fit\(data\)`"):
        pl.embedding(mdata)
    mdata.obsm["X_csl"] = mdata.obsm["z"]
    with pytest.raises(ValueError, match=r"No obs column or feature 'type'.*cell_type.*rna:size"):
        pl.embedding(mdata, color="type")
    with pytest.raises(ValueError, match="No obs column 'modalities'"):
        obs_column(mdata["rna"], "modalities")
    with pytest.raises(ValueError, match="2 panels; `ax` holds 1"):
        pl.embedding(mdata, color=["batch", "cell_type"], ax=plt.subplots()[1])


@pytest.fixture
def flat(mdata):
    mdata.obsm["X_umap"] = mdata.obsm["z"][:, :2]
    return mdata


def values_at(ax, mdata):
    """Drawn value by name of the cell, found by its place."""
    points = ax.collections[-1]
    distance, cell = cKDTree(mdata.obsm["X_umap"]).query(np.asarray(points.get_offsets()))
    assert distance.max() < 1e-5
    return dict(zip(mdata.obs_names[cell], points.get_array(), strict=True))


@pytest.mark.parametrize("name", ["rna:{}", "{}"])
def test_features_of_any_modality_are_colours(flat, name):
    gene = flat["rna"].var_names[3]
    ax = pl.embedding(flat, color=name.format(gene))
    drawn = values_at(ax, flat)
    counts = dict(zip(flat["rna"].obs_names, np.asarray(flat["rna"][:, gene].to_df()).ravel(), strict=True))
    assert set(drawn) == set(counts)
    np.testing.assert_allclose([drawn[c] for c in counts], np.log1p(list(counts.values())), rtol=1e-6)
    adata = flat["rna"].copy()
    adata.X = np.log1p(adata.to_df().to_numpy()) / 3
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(adata.n_obs, 2))
    drawn = values_at(pl.embedding(adata, color=gene), adata)
    np.testing.assert_allclose([drawn[c] for c in adata.obs_names], adata[:, gene].X.ravel())


@pytest.mark.parametrize("layout", [None, "constrained", "tight"])
@pytest.mark.parametrize("size", [(6, 4), (3, 2.5)])
def test_legends_are_whole_and_names_are_no_mathematics(flat, layout, size):
    names = ["_hidden", "a$b$", "$x_1$ is here", "a very long name of a cell type that has no end at all"]
    flat.obs["group"] = [names[i % 4] for i in range(150)]
    figure, axes = plt.subplots(1, 2, figsize=(2 * size[0], size[1]), layout=layout)
    pl.embedding(flat, color=["group", "cell_type"], ax=axes)
    figure.canvas.draw()
    for ax in axes:
        box = ax.get_legend().get_window_extent()
        assert box.x0 >= ax.get_window_extent().x1 - 1
        assert box.x1 <= figure.bbox.x1 + 1
    drawn = axes[0].get_legend().get_texts()
    assert len(drawn) == 4
    assert all(not text._preprocess_math(text.get_text())[1] for text in drawn)
    assert max(len(text.get_text()) for text in drawn) <= 28


def test_names_on_the_data_do_not_overlap(flat):
    flat.obsm["X_umap"] = np.random.default_rng(0).normal(size=(150, 2))
    flat.obs["group"] = [f"a name {i % 12}" for i in range(150)]
    ax = pl.embedding(flat, color="group", legend="on data")
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == 12
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.shrunk(0.95, 0.9).overlaps(b)]
