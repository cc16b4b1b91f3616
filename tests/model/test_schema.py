"""Schema and its inverse; every bad input is refused before any work starts, and the user's object stays as it was."""

import json
import logging
import re
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

import scvcell
from scvcell._containers._read import view
from scvcell.measure import Counts, Measurement
from scvcell.model._conform import conform
from scvcell.model._schema import Schema
from scvcell.model._set_up import read_schema


def changed(mdata, modality, change):
    """Dense counts of a modality after `change`, in place; returns the MuData."""
    x = mdata[modality].X.toarray()
    change(x)
    mdata[modality].X = sp.csr_matrix(x)
    return mdata


def put(mdata, modality, value):
    def change(x):
        x[4, 2] = value

    return changed(mdata, modality, change)


def halve(x):
    x /= 2


def rename(mdata, old, new):
    return MuData({new if k == old else k: v for k, v in mdata.mod.items()})


def twice(names):
    names = list(names)
    names[3] = names[1]
    return names


def duplicate_cells(mdata):
    adata = mdata["rna"]
    return AnnData(adata.X, obs=pd.DataFrame(index=twice(adata.obs_names)), var=adata.var)


def duplicate_features(mdata):
    mdata["adt"].var_names = twice(mdata["adt"].var_names)
    return mdata


def without_cells(mdata):
    return MuData({"rna": mdata["rna"], "adt": mdata["adt"][[]].copy()})


def without_features(mdata):
    return MuData({"rna": mdata["rna"], "adt": mdata["adt"][:, []].copy()})


def nan_batch(mdata):
    mdata.obs["batch"] = mdata.obs["batch"].astype(object)
    mdata.obs.iloc[7, mdata.obs.columns.get_loc("batch")] = np.nan
    return mdata


def text_age(mdata):
    mdata.obs["age"] = mdata.obs["age"].where(np.arange(mdata.n_obs) != 5, np.inf)
    return mdata


def with_layer(mdata):
    mdata["rna"].layers["lognorm"] = np.log1p(mdata["rna"].X)
    return mdata


def no_x(mdata):
    mdata["rna"].layers["counts"] = mdata["rna"].X
    del mdata["rna"].X
    return mdata


class Unregistered(Counts):
    """An operator that nobody registered."""


BAD = {
    "no modalities": (lambda m: MuData({}), {}, ValueError, r"no modalities. Build one with mudata.MuData"),
    "unknown modality name": (
        lambda m: rename(m, "adt", "mystery"),
        {},
        ValueError,
        r"'mystery' is not recognised.*measure=\{'mystery': 'protein'\}.*'kinetics': .*; 'profile': .*; 'protein': ",
    ),
    "measure= for an absent modality": (
        lambda m: m,
        {"measure": {"atac": "counts"}},
        ValueError,
        r"measure= names modalities that the data lack: \['atac'\]. They have \['rna', 'adt'\]",
    ),
    "unknown operator": (lambda m: m, {"measure": {"rna": "cuonts"}}, ValueError, r"'cuonts'. Did you mean 'counts'\?"),
    "operator of the wrong type": (
        lambda m: m,
        {"measure": {"rna": 3}},
        TypeError,
        r"measure\['rna'\] must be .* not int",
    ),
    "unregistered class": (
        lambda m: m,
        {"measure": {"rna": Unregistered}},
        ValueError,
        "Unregistered is not registered. Decorate it",
    ),
    "negative counts": (lambda m: put(m, "rna", -1), {}, ValueError, "'rna' contains negative values; raw counts"),
    "negative proteins": (lambda m: put(m, "adt", -1), {}, ValueError, "'adt' contains negative values; raw counts"),
    "NaN": (lambda m: put(m, "rna", np.nan), {}, ValueError, "'rna' contains NaN or infinite values"),
    "NaN proteins": (lambda m: put(m, "adt", np.nan), {}, ValueError, "'adt' contains NaN or infinite values"),
    "infinite": (lambda m: put(m, "rna", np.inf), {}, ValueError, "'rna' contains NaN or infinite values"),
    "minus infinite": (lambda m: put(m, "adt", -np.inf), {}, ValueError, "'adt' contains NaN or infinite values"),
    "normalised": (
        lambda m: changed(m, "rna", halve),
        {},
        ValueError,
        "'rna' contains non-integer .* looks normalised",
    ),
    "one fraction": (lambda m: put(m, "adt", 0.5), {}, ValueError, r"non-integer.*layers=\{'adt': 'counts'\}"),
    "normalised layer": (
        with_layer,
        {"layers": {"rna": "lognorm"}},
        ValueError,
        "'rna', layer 'lognorm', contains non-int",
    ),
    "absent layer": (lambda m: m, {"layers": {"rna": "raw"}}, ValueError, "'rna' has no layer 'raw'; it has none"),
    "layer of an absent modality": (lambda m: m, {"layers": {"x": "raw"}}, ValueError, r"layers= names .* \['x'\]"),
    "no X": (no_x, {}, ValueError, r"'rna' has no X; it has .*'counts'.*Give layers=\{'rna': 'counts'\}"),
    "modality without cells": (without_cells, {}, ValueError, r"'adt' is empty \(shape \(0, 6\)\). Drop it"),
    "modality without features": (without_features, {}, ValueError, r"'adt' is empty \(shape \(\d+, 0\)\)"),
    "duplicate cell names": (duplicate_cells, {}, ValueError, "Cell names of modality 'rna' must be unique; 'cell"),
    "duplicate feature names": (
        duplicate_features,
        {},
        ValueError,
        r"Feature names of modality 'adt' must be unique; 'protein001'.*mdata\['adt'\].var_names_make_unique",
    ),
    "batch key missing": (lambda m: m, {"batch_key": "bacth"}, KeyError, "No obs column 'bacth'. Did you mean 'batch'"),
    "batch NaN": (nan_batch, {"batch_key": "batch"}, ValueError, r"obs\['batch'\] is missing for 1 cells, e.g. 'cell"),
    "covariate missing": (lambda m: m, {"covariates": ["donor"]}, KeyError, "No obs column 'donor'"),
    "covariate infinite": (text_age, {"covariates": ["age"]}, ValueError, r"obs\['age'\] must be numeric .* 1 are not"),
    "modality in no training cell": (
        lambda m: m,
        {"split": lambda m: m["adt"].obs_names},
        ValueError,
        "'adt' is present in no training cell. Drop it or change the split",
    ),
    "everything held out": (lambda m: m, {"split": lambda m: m.obs_names}, ValueError, "Every cell is held out"),
    "no container": (
        lambda m: m["rna"].to_df(),
        {},
        TypeError,
        "Expected AnnData, MuData or SpatialData, got DataFrame",
    ),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_refused_and_left_alone(mosaic, quick, fingerprint, case, monkeypatch):
    spoil, options, error, message = BAD[case]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = spoil(mosaic(90))
    options = {k: v(data) if callable(v) and not isinstance(v, type) else v for k, v in options.items()}
    before = fingerprint(data) if not isinstance(data, pd.DataFrame) else data.copy()

    def no_work(*args, **kwargs):
        raise AssertionError("work was started")

    monkeypatch.setattr("scvcell.model._build.summarise", no_work)
    with pytest.raises(error, match=message):
        scvcell.tl.fit(data, train=quick, **options)
    if isinstance(data, pd.DataFrame):
        pd.testing.assert_frame_equal(data, before)
    else:
        assert fingerprint(data) == before


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("dense", np.nan),
        ("csc_matrix", -1),
        ("csr_array", 0.5),
        ("h5ad csr", np.inf),
        ("h5ad dense", -1),
        ("zarr csr", 0.5),
    ],
)
def test_bad_values_are_found_in_every_form(mosaic, stored, quick, form, value):
    data = stored(put(mosaic(60), "rna", value), form)
    with pytest.raises(ValueError, match="'rna' contains"):
        scvcell.tl.fit(data, train=quick)


def test_a_bad_value_is_found_beyond_the_first_chunk(mosaic, monkeypatch):
    from scvcell._containers._matrix import Matrix

    mdata = changed(mosaic(90), "rna", lambda x: x.__setitem__((59, 59), -1))
    monkeypatch.setattr(Matrix.chunks, "__defaults__", (8,))
    with pytest.raises(ValueError, match="negative"):
        read_schema(view(mdata))


@pytest.mark.parametrize("kind", ["silent gene", "constant gene", "silent protein", "constant protein", "silent cell"])
def test_allowed_with_a_note(mosaic, quick, caplog, kind):
    def change(x):
        where = (4, slice(None)) if kind == "silent cell" else (slice(None), 2)
        x[where] = 0 if kind.startswith("silent") else 3

    modality = "adt" if "protein" in kind else "rna"
    mdata = changed(mosaic(90), modality, change)
    with caplog.at_level(logging.INFO, logger="scvcell"):
        scvcell.tl.fit(mdata, batch_key="batch", train=quick)
    assert np.isfinite(mdata.obsm["X_csl"]).all()
    noted = "1 of" in caplog.text and "are zero in all cells; they are kept" in caplog.text
    assert noted == (kind in ("silent gene", "silent protein"))


def test_a_batch_of_one_cell_is_allowed(mosaic, quick):
    mdata = mosaic(90)
    batch = mdata.obs["batch"].astype(str)
    batch.iloc[0] = "alone"
    mdata.obs["batch"] = batch
    model = scvcell.tl.fit(mdata, batch_key="batch", train=quick)
    assert model.schema.batches == ["alone", "b0", "b1"]
    assert np.isfinite(mdata.obsm["X_csl"]).all()
    assert np.abs(mdata.obsm["X_csl"][0]).max() < 10


@pytest.mark.parametrize("n", [1, 2, 3, 30])
def test_hardly_any_cells(mosaic, quick, n):
    adata = mosaic(90)["rna"][:n].copy()
    model = scvcell.tl.fit(adata, train=quick)
    assert adata.obsm["X_csl"].shape == (n, model.n_latent)
    assert np.isfinite(adata.obsm["X_csl"]).all()


def test_single_feature(mosaic, quick):
    adata = mosaic(90)["rna"][:, :1].copy()
    scvcell.tl.fit(adata, train=quick)
    assert np.isfinite(adata.obsm["X_csl"]).all()


class TestBuild:
    def test_is_plain_and_comes_back(self, mosaic):
        schema = read_schema(
            view(mosaic()),
            batch_key="batch",
            covariates=("celltype", "age"),
            measure={"rna": ("counts", {"likelihood": "zinb"})},
        )
        again = Schema.from_dict(json.loads(json.dumps(schema.as_dict())))
        assert again == schema
        assert schema.batches == ["b0", "b1"]
        assert schema.categorical == {"celltype": ["alpha", "beta", "gamma"]}
        assert schema.n_context == 2 + 3 + 1

    def test_operators_by_name_class_and_recognition(self, mosaic):
        mdata = rename(mosaic(), "adt", "hashing")
        schema = read_schema(view(mdata), measure={"hashing": "protein", "rna": Counts})
        assert {m: s.operator for m, s in schema.modalities.items()} == {"rna": "counts", "hashing": "protein"}
        assert read_schema(view(mosaic())).modalities["adt"].operator == "protein"

    def test_design_is_one_hot_and_standardised(self, mosaic):
        mdata = mosaic()
        seen = view(mdata)
        design, batch = read_schema(seen, batch_key="batch", covariates=("celltype", "age")).context(seen)
        obs = mdata.obs
        np.testing.assert_array_equal(batch, (obs["batch"] == "b1").astype(int))
        np.testing.assert_array_equal(design[:, :2], np.eye(2)[batch])
        np.testing.assert_array_equal(design[:, 2:5], pd.get_dummies(obs["celltype"].astype(str)).to_numpy(float))
        np.testing.assert_allclose(design[:, 5], (obs["age"] - obs["age"].mean()) / obs["age"].std(ddof=0), rtol=1e-4)

    def test_constant_covariate(self, mosaic):
        mdata = mosaic()
        mdata.obs["age"] = 3.0
        seen = view(mdata)
        assert (read_schema(seen, covariates=("age",)).context(seen)[0][:, -1] == 0).all()

    @pytest.mark.parametrize("kind", ["integer", "boolean", "categorical"])
    def test_batches_of_any_type(self, mosaic, quick, kind):
        mdata = mosaic(90)
        code = mdata.obs["batch"].cat.codes.to_numpy()
        mdata.obs["batch"] = {"integer": code + 10, "boolean": code == 1, "categorical": pd.Categorical(code)}[kind]
        model = scvcell.tl.fit(mdata, batch_key="batch", train=quick)
        assert len(model.schema.batches) == 2

    def test_columns_only_in_the_modalities(self, mosaic, quick):
        mdata = mosaic(90)
        expected = mdata.obs["batch"].astype(str).tolist()
        mdata.obs = mdata.obs[[]]
        model = scvcell.tl.fit(mdata, batch_key="batch", covariates=("age",), train=quick)
        _, batch = model.schema.context(view(mdata))
        assert [model.schema.batches[b] for b in batch] == expected


class TestConform:
    def model_view(self, mosaic):
        mdata = mosaic()
        return mdata, read_schema(view(mdata))

    def test_features_in_the_models_order(self, mosaic, fingerprint):
        mdata, schema = self.model_view(mosaic)
        shuffled = MuData({m: a[:, a.var_names[::-1]].copy() for m, a in mdata.mod.items()})
        before = fingerprint(shuffled)
        seen = conform(view(shuffled), schema)
        for name, adata in seen.modalities.items():
            assert list(adata.var_names) == schema.modalities[name].features
        assert fingerprint(shuffled) == before

    def test_unknown_features_are_ignored_with_a_note(self, mosaic, caplog):
        mdata, schema = self.model_view(mosaic)
        few = Schema.from_dict(schema.as_dict())
        few.modalities["rna"].features.remove("gene003")
        with caplog.at_level(logging.INFO, logger="scvcell"):
            seen = conform(view(mdata), few)
        assert "1 features that the model does not know are ignored" in caplog.text
        assert "gene003" not in seen.modalities["rna"].var_names

    @pytest.mark.parametrize("form", ["dense", "csr_matrix", "csc_matrix", "h5ad csr", "zarr dense"])
    def test_missing_features_are_marked_as_not_measured(self, mosaic, stored, caplog, form):
        mdata, schema = self.model_view(mosaic)
        keep = np.random.default_rng(0).permutation(60)[:40]
        query = stored(MuData({"rna": mdata["rna"][:, keep].copy()}), form)
        seen = conform(view(query), schema)
        assert "lacks 20 of the 60 features of the model" in caplog.text
        assert seen.modalities["rna"].var_names.tolist() == schema.modalities["rna"].features
        panel = seen.panel("rna", schema.batches)
        there = np.isin(np.arange(60), keep)
        np.testing.assert_array_equal(panel, there[None])
        whole = mdata["rna"].X.toarray()
        np.testing.assert_array_equal(seen.matrix("rna").dense(np.arange(len(whole))), whole * there)

    def test_a_panel_of_the_data_is_kept(self, mosaic):
        mdata = mosaic()
        schema = read_schema(view(mdata), batch_key="batch")
        rna = mdata["rna"][:, 2:].copy()
        rna.varm["observed"] = pd.DataFrame({"b1": np.arange(58) > 0}, index=rna.var_names)
        query = MuData({"rna": rna})
        query.obs["batch"] = np.where(np.arange(query.n_obs) % 2, "b1", "new")
        panel = conform(view(query), schema).panel("rna", ["b0", "b1", "new"])
        assert (~panel).sum(1).tolist() == [2, 3, 2]

    def test_hardly_any_feature_of_the_model_is_refused(self, mosaic):
        mdata, schema = self.model_view(mosaic)
        query = MuData({"rna": mdata["rna"][:, 55:].copy()})
        with pytest.raises(ValueError, match=re.escape("'rna' lacks 55 of the 60 features of the model, e.g. ['gene0")):
            conform(view(query), schema)

    @pytest.mark.parametrize("name", ["GEX", "Gene Expression", "gene-expression", "mRNA"])
    def test_a_name_that_means_the_same(self, mosaic, name):
        mdata, schema = self.model_view(mosaic)
        seen = conform(view(MuData({"Antibody Capture": mdata["adt"], name: mdata["rna"]})), schema)
        assert list(seen.modalities) == ["rna", "adt"]
        assert seen.modalities["rna"].var_names.equals(mdata["rna"].var_names)

    def test_two_modalities_that_could_be_meant_are_not_guessed(self, mosaic):
        mdata, schema = self.model_view(mosaic)
        both = MuData({"gex": mdata["rna"], "mrna": mdata["rna"].copy(), "adt": mdata["adt"]})
        assert list(conform(view(both), schema).modalities) == ["adt"]

    @pytest.mark.parametrize("name", ["rna", "adt"])
    def test_an_anndata_is_the_modality_whose_features_it_has(self, mosaic, name):
        mdata, schema = self.model_view(mosaic)
        assert list(conform(view(mdata[name]), schema).modalities) == [name]

    @pytest.mark.parametrize("form", ["dense", "csr_matrix", "h5ad csr"])
    def test_data_that_were_normalised_after_the_fit_are_refused(self, mosaic, stored, form):
        mdata, schema = self.model_view(mosaic)
        mdata["rna"].layers["counts"] = mdata["rna"].X.copy()
        mdata["rna"].X = mdata["rna"].X.log1p()
        with pytest.raises(ValueError, match=r"'rna' contains non-integer values.*reads {'rna': 'X'}"):
            conform(view(stored(mdata, form)), schema)
        assert conform(view(mdata), read_schema(view(mdata), layers="counts")).n_obs == mdata.n_obs

    def test_nothing_in_common(self, mosaic):
        mdata, schema = self.model_view(mosaic)
        with pytest.raises(ValueError, match="nothing in common"):
            conform(view(MuData({"atac": mdata["rna"]})), schema)

    def test_unknown_categories_are_named(self, mosaic):
        mdata = mosaic()
        schema = read_schema(view(mdata), batch_key="batch", covariates=("celltype",))
        for key, new in (("batch", "b9"), ("celltype", "delta")):
            other = mdata.copy()
            other.obs[key] = new
            with pytest.raises(
                ValueError, match=rf"obs\['{key}'\] has categories the model does not know: \['{new}'\]"
            ):
                schema.context(view(other))


def test_every_operator_that_needs_no_counts_takes_any_finite_value(mosaic):
    """`count_data` False lifts the count checks, not those of NaN."""
    from scvcell.model._check import check_values

    assert Measurement.count_data
    mdata = put(put(mosaic(), "rna", -0.5), "adt", np.nan)
    check_values(view(mdata), "rna", None, counts=False)
    with pytest.raises(ValueError, match="NaN"):
        check_values(view(mdata), "adt", None, counts=False)


AS_HELD = {
    "float": lambda s: s.astype(float),
    "float32": lambda s: s.astype("float32"),
    "Int64": lambda s: s.astype("Int64"),
    "object": lambda s: s.astype(object),
    "text": lambda s: s.astype(str),
    "string": lambda s: s.astype(str).astype("string"),
    "category": lambda s: s.astype("category"),
    "category of floats": lambda s: s.astype(float).astype("category"),
}


@pytest.mark.parametrize("place", ["container", "modalities"])
@pytest.mark.parametrize("held", list(AS_HELD))
def test_whole_numbers_are_the_same_batches_and_covariates_in_every_type(mosaic, held, place):
    mdata, number = mosaic(), np.arange(150) % 3
    schema = read_schema(view(mdata), batch_key="batch")
    schema = replace(schema, batch_key="lane", batches=["0", "1", "2"])
    columns = pd.DataFrame({"lane": number, "donor": number, "dose": number}, index=mdata.obs_names)
    columns["lane"] = AS_HELD[held](columns["lane"])
    columns["donor"] = AS_HELD[held](columns["donor"]).astype("category")
    for part in (mdata,) if place == "container" else mdata.mod.values():
        for name in columns:
            part.obs[name] = columns[name].loc[part.obs_names]
    found = read_schema(view(mdata), batch_key="lane", covariates=["donor", "dose"])
    assert found.batches == ["0", "1", "2"]
    assert found.categorical == {"donor": ["0", "1", "2"]}
    assert list(found.continuous) == ["dose"]
    assert schema.context(view(mdata))[1].tolist() == number.tolist()
    assert schema.unseen_batches(view(mdata)) == []
    text = scvcell.pp.modality_from_obs(mdata, "donor")
    assert text.var_names.tolist() == ["0", "1", "2"]
    assert text.X.argmax(1).tolist() == number.tolist()


def test_panels_are_found_by_the_labels_of_batches(mosaic):
    mdata = mosaic()
    adt = mdata["adt"]
    for columns in ([0, 1], [0.0, 1.0], ["0", "1"], pd.CategoricalIndex([0, 1])):
        frame = pd.DataFrame(True, index=adt.var_names, columns=columns)
        frame.iloc[2, 1] = False
        adt.varm["observed"] = frame.set_axis(columns, axis=1)
        assert np.argwhere(~view(mdata).panel("adt", ["0", "1"])).tolist() == [[1, 2]]
