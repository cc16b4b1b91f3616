"""A View reads every container as it is, rows mapped, nothing changed."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from scvcell._containers._read import view


def check_rows(seen, data):
    """Each cell's row of each modality has the cell's own name; cells without it have -1."""
    for name, adata in seen.modalities.items():
        for cell, row in zip(seen.obs_names, seen.rows[name], strict=True):
            assert (row >= 0) == (cell in adata.obs_names)
            if row >= 0:
                assert adata.obs_names[row] == cell
    assert list(seen.obs_names) == list(data.obs_names)
    assert seen.source is data


def test_mudata_rows_are_mapped_whatever_their_order(mosaic, fingerprint):
    mdata = mosaic()
    before = fingerprint(mdata)
    seen = view(mdata)
    check_rows(seen, mdata)
    assert list(seen.modalities) == ["rna", "adt"]
    assert seen.n_obs == mdata.n_obs
    assert seen.present("rna").sum() == mdata["rna"].n_obs
    assert not (np.diff(seen.rows["adt"][seen.present("adt")]) == 1).all(), "the fixture must shuffle rows"
    assert fingerprint(mdata) == before


@pytest.mark.parametrize("how", ["view", "copy", "reversed"])
def test_subsets_of_a_mudata(mosaic, how):
    mdata = mosaic()
    chosen = np.random.default_rng(0).random(mdata.n_obs) < 0.5
    some = {
        "view": lambda: mdata[chosen],
        "copy": lambda: mdata[chosen].copy(),
        "reversed": lambda: mdata[::-1].copy(),
    }[how]()
    check_rows(view(some), some)


def test_disjoint_modalities(mosaic):
    mdata = mosaic()
    rna, adt = mdata["rna"][:40].copy(), mdata["adt"][:40].copy()
    adt.obs_names = [f"{n}-adt" for n in adt.obs_names]
    both = MuData({"adt": adt, "rna": rna})
    seen = view(both)
    check_rows(seen, both)
    assert list(seen.modalities) == ["adt", "rna"], "the user's order"
    assert (seen.present("rna") ^ seen.present("adt")).all()


def test_three_modalities(mosaic):
    mdata = mosaic()
    third = mdata["adt"][:30].copy()
    three = MuData({"rna": mdata["rna"], "adt": mdata["adt"], "hto": third})
    check_rows(view(three), three)


def test_anndata_is_one_modality(mosaic):
    adata = mosaic()["rna"]
    seen = view(adata)
    assert list(seen.modalities) == ["rna"]
    assert seen.modalities["rna"] is adata
    check_rows(seen, adata)
    part = adata[5:20]
    check_rows(view(part), part)


def test_matrix_and_layer(mosaic):
    adata = mosaic()["rna"]
    adata.layers["counts"] = adata.X * 2
    seen = view(adata)
    np.testing.assert_array_equal(
        seen.matrix("rna", "counts").dense(np.arange(3)), 2 * seen.matrix("rna").dense(np.arange(3))
    )


def test_subset_of_a_view(mosaic):
    mdata = mosaic()
    cells = np.array([7, 0, 99])
    part = view(mdata).subset(cells)
    assert list(part.obs_names) == list(mdata.obs_names[cells])
    for name in ("rna", "adt"):
        np.testing.assert_array_equal(part.present(name), [c in mdata[name].obs_names for c in mdata.obs_names[cells]])


class TestSpatialData:
    """An object with ``.tables``, as SpatialData has."""

    def data(self, mosaic, *names):
        return SimpleNamespace(tables={name: mosaic(seed=i)["rna"] for i, name in enumerate(names)})

    def test_the_only_table_is_taken(self, mosaic):
        data = self.data(mosaic, "cells")
        assert view(data).source is data.tables["cells"]

    def test_one_of_several(self, mosaic):
        data = self.data(mosaic, "cells", "spots")
        assert view(data, table_key="spots").source is data.tables["spots"]

    @pytest.mark.parametrize(("names", "key"), [(("a", "b"), None), (("a", "b"), "c"), (("a",), "c"), ((), None)])
    def test_table_must_be_named(self, mosaic, names, key):
        with pytest.raises(ValueError, match="give `table_key=` as one of"):
            view(self.data(mosaic, *names), table_key=key)

    def test_fit_writes_to_the_table(self, mosaic, quick):
        import scvcell

        data = self.data(mosaic, "cells", "spots")
        model = scvcell.tl.fit(data, table_key="spots", train=quick)
        assert "X_csl" in data.tables["spots"].obsm
        assert "X_csl" not in data.tables["cells"].obsm
        assert model.adata is data.tables["spots"]

    def test_a_model_reads_the_table_it_was_fitted_on(self, mosaic, quick, tmp_path):
        import scvcell

        data = self.data(mosaic, "cells", "spots")
        fitted = scvcell.tl.fit(data, table_key="spots", batch_key="batch", train=quick)
        fitted.save(tmp_path / "model")
        loaded = scvcell.CSL.load(tmp_path / "model", data)
        assert loaded.adata is data.tables["spots"]
        for model in (fitted, loaded, fitted.load_query_data(data)):
            data.tables["spots"].obsm.clear()
            scvcell.tl.embed(data, model)
            scvcell.tl.transfer_labels(data, model, key="celltype", reference=data)
            assert "X_csl" in data.tables["spots"].obsm
            assert not data.tables["cells"].obsm
        other = self.data(mosaic, "else")
        scvcell.tl.embed(other, fitted)
        assert "X_csl" in other.tables["else"].obsm, "the only table is meant"
        with pytest.raises(
            ValueError, match=r"fitted on the table 'spots'; these data have \['a', 'b'\].*tables\['a'\]"
        ):
            scvcell.tl.embed(self.data(mosaic, "a", "b"), fitted)
        alone = scvcell.tl.fit(self.data(mosaic, "cells"), train=quick)
        scvcell.tl.embed(data, alone)
        assert "X_csl" in data.tables["cells"].obsm, "that of the only table is remembered, too"

    def test_verbs_without_a_model_take_the_table(self, mosaic):
        import scvcell

        data = self.data(mosaic, "cells", "spots")
        sentences = scvcell.tl.cell_sentences(data, table_key="spots")
        assert list(sentences.index) == list(data.tables["spots"].obs_names)
        endpoint = scvcell.pp.modality_from_obs(data, "celltype", table_key="spots")
        assert list(endpoint.obs_names) == list(data.tables["spots"].obs_names)
        with pytest.raises(ValueError, match="give `table_key=` as one of"):
            scvcell.tl.cell_sentences(data)


class TestLazy:
    """Data of ``anndata.experimental.read_lazy``: counts and annotation stay on disk, results are written to them."""

    @pytest.fixture
    def lazy(self, mosaic, tmp_path):
        pytest.importorskip("dask")
        experimental = pytest.importorskip("anndata.experimental")
        adata = mosaic()["rna"].copy()
        adata.obs["drug"] = np.where(np.arange(adata.n_obs) % 2, "A", "ctrl")
        adata.obs["flag"] = pd.array([True, None] * (adata.n_obs // 2), dtype="boolean")
        adata.write_zarr(tmp_path / "cells.zarr")
        return SimpleNamespace(adata=adata, data=experimental.read_lazy(tmp_path / "cells.zarr"))

    def test_columns_have_their_types(self, lazy):
        seen = view(lazy.data)
        check_rows(seen, lazy.data)
        cells = np.array([5, 3, 3])
        for key in lazy.adata.obs:
            truth = lazy.adata.obs[key].iloc[cells]
            found = seen.subset(cells).column(key)
            assert found.tolist() == truth.tolist()
            assert isinstance(found.dtype, pd.CategoricalDtype) == isinstance(truth.dtype, pd.CategoricalDtype)

    def test_verbs(self, lazy, quick):
        import scvcell

        keys = scvcell.PerturbationKeys("drug", control="ctrl")
        options = {"batch_key": "batch", "perturbation": keys, "train": quick}
        model = scvcell.tl.fit(lazy.adata, **options)
        scvcell.tl.embed(lazy.data, model)
        np.testing.assert_allclose(lazy.data.obsm["X_csl"], lazy.adata.obsm["X_csl"], atol=1e-6)
        scvcell.tl.transfer_labels(lazy.data, model, key="celltype")
        assert "celltype_transferred" in lazy.data.obs
        mask = lazy.data.obs["drug"] == "ctrl"
        made = scvcell.tl.perturb(lazy.data, model, "A", cells=mask)
        assert made.n_obs == (lazy.adata.obs["drug"] == "ctrl").sum()
        assert scvcell.tl.fit(lazy.data, **options).adata is lazy.data


class TestColumn:
    def test_from_the_container(self, mosaic):
        mdata = mosaic()
        pd.testing.assert_series_equal(view(mdata).column("batch"), mdata.obs["batch"])

    @pytest.mark.parametrize("key", ["batch", "age"])
    def test_from_the_modalities_when_the_container_lacks_it(self, mosaic, key):
        mdata = mosaic()
        truth = mdata.obs[key].copy()
        mdata.obs = mdata.obs[[]]
        column = view(mdata).column(key)
        assert list(column.index) == list(mdata.obs_names)
        assert column.tolist() == truth.tolist()
        assert pd.api.types.is_numeric_dtype(column) == (key == "age")

    def test_missing_where_no_modality_of_the_cell_has_it(self, mosaic):
        mdata = mosaic()
        mdata.obs = mdata.obs[[]]
        del mdata["adt"].obs["batch"]
        column = view(mdata).column("batch")
        np.testing.assert_array_equal(column.isna(), ~view(mdata).present("rna"))

    def test_as_mudata_shows_it(self, mosaic):
        mdata = mosaic()
        mdata["adt"].obs["only"] = 3
        seen = view(mdata)
        column = seen.column("adt:only")
        np.testing.assert_array_equal(column.notna(), seen.present("adt"))
        assert (column.dropna() == 3).all()
        own = seen.column("rna:batch").dropna()
        assert own.astype(str).tolist() == mdata["rna"].obs["batch"].astype(str).loc[own.index].tolist()
        with pytest.raises(KeyError, match=r"No obs column 'rna:nope'.*one modality alone is written like 'rna:"):
            seen.column("rna:nope")
        mdata.obs["adt:only"] = 5
        assert (view(mdata).column("adt:only") == 5).all(), "a column of the container of that name comes first"

    def test_of_as_many_cells_in_another_order(self, mosaic):
        mdata = mosaic()
        cells = np.random.default_rng(0).permutation(mdata.n_obs)
        column = view(mdata).subset(cells).column("batch")
        assert column.index.equals(mdata.obs_names[cells])
        assert column.astype(str).tolist() == mdata.obs["batch"].astype(str).iloc[cells].tolist()

    def test_where_modalities_say_something_else(self, mosaic):
        mdata = mosaic()
        assert not view(mdata).disagreeing("batch").any()
        mdata["adt"].obs["batch"] = mdata["adt"].obs["batch"].astype(str)
        name = mdata["adt"].obs_names[3]
        mdata["adt"].obs.loc[name, "batch"] = "other"
        assert mdata.obs_names[view(mdata).disagreeing("batch")].tolist() == [name]

    def test_of_a_subset(self, mosaic):
        mdata = mosaic()
        cells = np.array([9, 2, 100])
        for obs in (mdata.obs.copy(), mdata.obs[[]]):
            truth = mdata["rna"].obs["batch"].reindex(mdata.obs_names[cells]).fillna(mdata["adt"].obs["batch"])
            mdata.obs = obs
            assert view(mdata).subset(cells).column("batch").tolist() == truth.tolist()

    @pytest.mark.parametrize(
        ("one", "other", "categories", "ordered"),
        [
            (("early", "late"), ("late", "last"), ["early", "late", "last"], True),
            (("d", "b"), ("d", "c", "b", "a"), ["d", "c", "b", "a"], True),
            (("a", "c"), ("b", "c"), ["a", "b", "c"], False),  # whether a or b comes first is not known
            (("a", "b"), ("b", "a"), ["a", "b"], False),
        ],
    )
    @pytest.mark.parametrize("turn", [False, True])
    def test_categories_of_two_modalities(self, mosaic, turn, one, other, categories, ordered):
        mdata = mosaic(60)
        for name, order in zip(("adt", "rna") if turn else ("rna", "adt"), (one, other), strict=True):
            labels = np.array(order)[np.arange(mdata[name].n_obs) % len(order)]
            mdata[name].obs["kind"] = pd.Categorical(labels, order, ordered=True)
        column = view(mdata).column("kind")
        assert column.cat.ordered == ordered
        assert sorted(column.cat.categories) == sorted(categories)
        assert not ordered or list(column.cat.categories) == categories

    def test_numbers_beside_text_become_text(self, mosaic):
        mdata = mosaic(60)
        mdata["rna"].obs["kind"], mdata["adt"].obs["kind"] = 1, "1"
        seen = view(mdata)
        assert set(seen.column("kind")) == {"1"}
        assert seen._differing(seen._parts("kind")) is None, "they are one label"
        AnnData(obs=seen.obs()[["kind"]]).strings_to_categoricals()

    def test_unknown(self, mosaic):
        with pytest.raises(KeyError, match=r"No obs column 'bacth'\. Did you mean 'batch'\? Columns: age"):
            view(mosaic()).column("bacth")


class TestPanel:
    def with_panel(self, mosaic, frame):
        mdata = mosaic()
        mdata["adt"].varm["observed"] = frame(mdata["adt"].var_names)
        return view(mdata)

    def test_columns_are_batches(self, mosaic):
        seen = self.with_panel(
            mosaic, lambda v: pd.DataFrame({"b1": [True] * 5 + [False], "b0": [False] + [True] * 5}, index=v)
        )
        expected = [[False, True, True, True, True, True], [True, True, True, True, True, False]]
        np.testing.assert_array_equal(seen.panel("adt", ["b0", "b1"]), expected)

    def test_a_batch_that_is_not_named_measured_everything(self, mosaic):
        seen = self.with_panel(mosaic, lambda v: pd.DataFrame({"b0": [False] + [True] * 5}, index=v))
        np.testing.assert_array_equal(seen.panel("adt", ["b0", "b1"])[1], [True] * 6)

    def test_full_panels_need_no_mask(self, mosaic):
        seen = self.with_panel(mosaic, lambda v: pd.DataFrame({"b0": [True] * 6}, index=v))
        assert seen.panel("adt", ["b0", "b1"]) is None
        assert seen.panel("rna", ["b0", "b1"]) is None

    def test_an_array_is_refused(self, mosaic):
        with pytest.raises(TypeError, match="'adt': varm\\['observed'\\] must be a DataFrame"):
            self.with_panel(mosaic, lambda v: np.ones((6, 2), bool)).panel("adt", ["b0", "b1"])


def orphaned(mosaic):
    """A MuData with one cell of whose row no modality knows, and that is consistent otherwise."""
    mdata = mosaic()
    cell = mdata.obs_names[0]
    kept = {m: a[a.obs_names != cell].copy() for m, a in mdata.mod.items()}
    out = MuData(kept)
    extra = pd.concat([out.obs, pd.DataFrame(index=[cell])])
    out._obs = extra
    out._n_obs = len(extra)
    for name in kept:
        out.obsmap[name] = np.append(out.obsmap[name].ravel(), 0)
    return out


class TestRefusals:
    def test_no_modalities(self):
        with pytest.raises(ValueError, match=r"no modalities. Build one with"):
            view(MuData({}))

    def test_features_on_the_shared_axis(self, mosaic):
        a = mosaic()["rna"]
        with pytest.raises(ValueError, match="axis=1"):
            view(MuData({"x": a[:10].copy(), "y": a[10:20].copy()}, axis=1))

    @pytest.mark.parametrize("data", [None, np.zeros((3, 2)), pd.DataFrame(), "file.h5mu"])
    def test_other_types(self, data):
        with pytest.raises(TypeError, match=f"Expected AnnData, MuData or SpatialData, got {type(data).__name__}"):
            view(data)

    @pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
    def test_empty_anndata(self, shape):
        with pytest.raises(ValueError, match="is empty"):
            view(AnnData(sp.csr_matrix(shape, dtype=np.float32)))

    def test_cell_of_no_modality(self, mosaic):
        with pytest.raises(ValueError, match=r"1 cells have no modality, e.g. 'cell[0-9]{4}'. Drop them"):
            view(orphaned(mosaic))

    def test_stale_row_map(self, mosaic):
        mdata = mosaic()
        mdata.mod["rna"] = mdata["rna"][::-1].copy()
        with pytest.raises(ValueError, match=r"disagree on cells. Run `mdata.update\(\)` first"):
            view(mdata)
        mdata.update()
        check_rows(view(mdata), mdata)
