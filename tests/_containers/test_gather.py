"""New cells as the kind of container that a model has."""

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scvcell._containers import gather, unique_names


def table(stem, n=2):
    obs = pd.DataFrame({"k": ["x", "y"]}, index=["a", "b"])
    return AnnData(np.ones((2, n), np.float32), obs, pd.DataFrame(index=[f"{stem}{i}" for i in range(n)]))


def test_one_table_is_itself_and_gets_the_states():
    only, states = table("g"), np.eye(2, dtype=np.float32)
    found = gather({"rna": only}, {"X_csl": states})
    assert found is only
    np.testing.assert_array_equal(found.obsm["X_csl"], states)


def test_several_tables_are_a_mudata_with_their_annotation():
    states = np.eye(2, dtype=np.float32)
    found = gather({"rna": table("g"), "adt": table("p", 3)}, {"X_csl": states})
    assert isinstance(found, MuData)
    assert (list(found.mod), found.n_obs, found.n_vars) == (["rna", "adt"], 2, 5)
    assert found.obs["k"].to_dict() == {"a": "x", "b": "y"}
    np.testing.assert_array_equal(found.obsm["X_csl"], states)
    found.obs["k"] = "z"
    assert found["rna"].obs["k"].tolist() == ["x", "y"], "annotation is a copy"


def test_names_that_come_again_are_numbered():
    assert unique_names(name for name in "abaa").tolist() == ["a", "b", "a-1", "a-2"]
    assert unique_names(["a", "a", "a-1"]).is_unique
    assert len(unique_names([])) == 0
