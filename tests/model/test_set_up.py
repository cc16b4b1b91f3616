"""Every bad input is refused before any work starts, and the user's object stays as it was; odd input is taken."""

import json
import logging
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

import scvcell
from scvcell._containers._read import view
from scvcell.measure import Counts
from scvcell.model._set_up import plain, read_schema


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


def test_operators_by_name_class_and_recognition(mosaic):
    mdata = rename(mosaic(), "adt", "hashing")
    schema = read_schema(view(mdata), measure={"hashing": "protein", "rna": Counts})
    assert {m: s.operator for m, s in schema.modalities.items()} == {"rna": "counts", "hashing": "protein"}
    assert read_schema(view(mosaic())).modalities["adt"].operator == "protein"


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


@pytest.mark.parametrize("kind", ["integer", "boolean", "categorical"])
def test_batches_of_any_type(mosaic, quick, kind):
    mdata = mosaic(90)
    code = mdata.obs["batch"].cat.codes.to_numpy()
    mdata.obs["batch"] = {"integer": code + 10, "boolean": code == 1, "categorical": pd.Categorical(code)}[kind]
    model = scvcell.tl.fit(mdata, batch_key="batch", train=quick)
    assert len(model.schema.batches) == 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.array([1, 2]), [1, 2]),
        (pd.Series([0.5]), [0.5]),
        ((np.int64(1), "a", None), [1, "a", None]),
        ({1: np.array([True])}, {"1": [True]}),
    ],
)
def test_options_become_what_a_file_holds(value, expected):
    found = plain("measure['rna']: x", value)
    assert found == expected
    assert json.loads(json.dumps(found)) == expected


def test_options_that_no_file_holds_are_named():
    with pytest.raises(TypeError, match=r"measure\['rna'\]: x must be plain: .* not object"):
        plain("measure['rna']: x", [object()])


def test_a_cell_with_nothing_but_an_endpoint_is_refused(mosaic):
    rna = mosaic(60)["rna"]
    label = scvcell.pp.modality_from_obs(rna, "celltype")
    label.obs_names = [f"new{i}" if i == 3 else name for i, name in enumerate(label.obs_names)]
    with pytest.raises(ValueError, match=r"1 cells have nothing but \['celltype'\], e.g. 'new3'"):
        read_schema(view(MuData({"rna": rna, "celltype": label})))
