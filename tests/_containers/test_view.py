"""A View reads every container as it is, rows mapped, nothing changed."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from scvcell._containers._read import view


def test_mudata_rows_are_mapped_whatever_their_order(mosaic, fingerprint, check_rows):
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
def test_subsets_of_a_mudata(mosaic, how, check_rows):
    mdata = mosaic()
    chosen = np.random.default_rng(0).random(mdata.n_obs) < 0.5
    some = {
        "view": lambda: mdata[chosen],
        "copy": lambda: mdata[chosen].copy(),
        "reversed": lambda: mdata[::-1].copy(),
    }[how]()
    check_rows(view(some), some)


def test_disjoint_modalities(mosaic, check_rows):
    mdata = mosaic()
    rna, adt = mdata["rna"][:40].copy(), mdata["adt"][:40].copy()
    adt.obs_names = [f"{n}-adt" for n in adt.obs_names]
    both = MuData({"adt": adt, "rna": rna})
    seen = view(both)
    check_rows(seen, both)
    assert list(seen.modalities) == ["adt", "rna"], "the user's order"
    assert (seen.present("rna") ^ seen.present("adt")).all()


def test_three_modalities(mosaic, check_rows):
    mdata = mosaic()
    third = mdata["adt"][:30].copy()
    three = MuData({"rna": mdata["rna"], "adt": mdata["adt"], "hto": third})
    check_rows(view(three), three)


def test_anndata_is_one_modality(mosaic, check_rows):
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


def test_cells_that_have_any_of_some_modalities(mosaic):
    seen = view(mosaic())
    rna, adt = seen.present("rna"), seen.present("adt")
    assert (seen.measured() == (rna | adt)).all()
    assert (seen.measured(["adt"]) == adt).all()
    assert not seen.measured([]).any()
