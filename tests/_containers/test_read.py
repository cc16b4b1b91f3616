"""Reading containers: tables of SpatialData, annotation that is read lazily, and what is refused."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from scvcell._containers._read import view, view_units


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

    def test_columns_have_their_types(self, lazy, check_rows):
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

    def test_stale_row_map(self, mosaic, check_rows):
        mdata = mosaic()
        mdata.mod["rna"] = mdata["rna"][::-1].copy()
        with pytest.raises(ValueError, match=r"disagree on cells. Run `mdata.update\(\)` first"):
            view(mdata)
        mdata.update()
        check_rows(view(mdata), mdata)


def test_units_without_a_feature_have_places_all_the_same():
    bare = AnnData(obs=pd.DataFrame(index=["a", "b"]), obsm={"spatial": np.ones((2, 2))})
    with pytest.raises(ValueError, match="is empty"):
        view(bare)
    assert list(view_units(bare).obs_names) == ["a", "b"]
    full = AnnData(np.ones((2, 1), np.float32))
    assert view_units(full).source is full
