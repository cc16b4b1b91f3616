"""Calibration of translations as a part of a model."""

import numpy as np
import pytest

import scvcell
from scvcell._stats import Conformal
from scvcell.model import Calibration, calibration, depths, interval_scale


def test_arrays_are_kept_by_the_name_of_the_translation():
    arrays = {"rna>a/b": {"pool": np.eye(2), "reach": np.array(1.0)}, "adt+rna>x": {"pool": np.ones(3)}}
    plain, flat = Calibration(arrays).dump()
    assert plain == {}
    assert set(flat) == {"rna>a/b/pool", "rna>a/b/reach", "adt+rna>x/pool"}
    again = Calibration.restore(plain, flat, 32)
    assert again.arrays.keys() == arrays.keys()
    np.testing.assert_array_equal(again.arrays["rna>a/b"]["pool"], np.eye(2))
    assert repr(again) == "Calibration of rna>a/b, adt+rna>x."
    assert repr(Calibration()) == "Calibration of nothing."


def test_a_copy_for_new_batches_keeps_what_it_learns_to_itself(small):
    ours = small.model.calibration
    copy = ours.extend()
    copy.arrays["new>old"] = {}
    assert "new>old" not in ours.arrays
    assert copy.arrays["rna>adt"] is ours.arrays["rna>adt"]


def test_intervals_are_of_cells_that_were_held_out(small):
    found = calibration(small.model, "adt", ["rna"])
    assert isinstance(found, Conformal)
    mdata, split = small.mdata, small.model.split_
    both = set(mdata["rna"].obs_names) & set(mdata["adt"].obs_names)
    assert found.cells == len(both & set(split["validation"]))
    assert len(found.pool) == len(both & set(split["train"]))
    assert found.error.shape == (len(found.pool), 6)


def test_without_bridge_cells_there_are_none(small, monkeypatch):
    monkeypatch.setattr(small.model, "parts", {})
    monkeypatch.setattr(small.model, "split_", {"train": small.model.split_["train"], "validation": []})
    assert calibration(small.model, "adt", ["rna"]) is None
    assert calibration(small.model, "adt", ["atac"]) is None
    assert small.model.calibration.arrays == {}


def test_the_scale_of_errors_and_the_way_back(small, monkeypatch):
    forward, back = interval_scale(small.model, "rna")
    values = np.array([0.0, 1, 50])
    np.testing.assert_allclose(back(forward(values)), values)
    assert forward(np.array([np.e - 1])) == pytest.approx(1)
    assert back(np.array([-3.0])) == 0, "no count is below zero"
    monkeypatch.setattr(scvcell.measure.Counts, "count_data", False)
    forward, back = interval_scale(small.model, "rna")
    assert back(forward(np.array([-3.0]))) == -3


def test_depths_are_of_the_assays_that_cells_have(small):
    found = depths(small.model, small.model.view(), ["rna", "adt"])
    tables = [small.mdata[name].to_df() for name in ("adt", "rna")]
    expected = np.stack([np.log1p(t.sum(axis=1)).reindex(small.mdata.obs_names) for t in tables], 1)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found[:, 1], expected[:, 1], rtol=1e-5)
