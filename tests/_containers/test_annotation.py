"""Annotation that is read lazily comes into memory; numbers are numbers."""

import anndata
import numpy as np
import pandas as pd
import pytest

from scvcell._containers._annotation import column_of, frame, numbers_of


class Lazy:
    """Annotation on disk, as anndata has it."""

    def __init__(self, held):
        self.held = held

    def __getitem__(self, keys):
        return Lazy(self.held[keys])

    def to_memory(self):
        return self.held


def test_annotation_is_the_same_from_memory_and_from_disk():
    held = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    for obs in (held, Lazy(held)):
        pd.testing.assert_frame_equal(frame(obs), held)
        assert list(column_of(obs, "b")) == ["x", "y"]


def test_numbers_of_obsm():
    data = anndata.AnnData(obs=pd.DataFrame(index=["x", "y"]))
    data.obsm["z"] = np.array([[1, 2], [3, 4]], np.int32)
    data.obsm["text"] = pd.DataFrame({"a": ["p", "q"]}, index=data.obs_names)
    assert numbers_of(data, "z").dtype == float
    with pytest.raises(ValueError, match="'text'"):
        numbers_of(data, "text")
