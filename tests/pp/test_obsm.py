"""An array in obsm as a modality: its operator, its names, rows that are missing."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scvcell


@pytest.mark.parametrize(
    ("key", "values", "operator"),
    [
        ("X_scgpt", [[0.5, -1.0]], "profile"),
        ("protein_expression", [[3, 0]], "protein"),
        ("protein_expression", [[3.5, 0]], "profile"),
        ("Antibody Capture", [[3, 0]], "protein"),
        ("X_image", [[3, 0]], "profile"),
        ("things", [[3, 0]], None),
    ],
)
def test_obsm_is_marked_by_name_and_values(key, values, operator):
    adata = ad.AnnData(np.ones((1, 2), np.float32), obsm={key: np.array(values)})
    marked = scvcell.pp.modality_from_obsm(adata, key).uns.get("csl_measure")
    assert marked == (operator and {"operator": operator})


def test_rows_without_a_value_are_cells_without_the_modality_and_torn_ones_are_refused():
    values = np.arange(8, dtype=float).reshape(4, 2) / 3
    values[1] = np.nan
    adata = ad.AnnData(np.ones((4, 1), np.float32), pd.DataFrame({"k": list("abcd")}, index=list("wxyz")))
    adata.obsm["X_new"] = values
    found = scvcell.pp.modality_from_obsm(adata, "X_new")
    assert found.obs["k"].to_dict() == {"w": "a", "y": "c", "z": "d"}
    assert found.var_names.tolist() == ["new_0", "new_1"]
    np.testing.assert_allclose(found.X, values[[0, 2, 3]], rtol=1e-6)
    for bad in (np.nan, np.inf):
        adata.obsm["X_new"] = values.copy()
        adata.obsm["X_new"][2, 0] = bad
        with pytest.raises(ValueError, match=r"obsm\['X_new'\] has NaN or infinite values in 1 rows, e.g. 'y'"):
            scvcell.pp.modality_from_obsm(adata, "X_new")
    adata.obsm["X_new"] = values * np.nan
    with pytest.raises(ValueError, match="is missing for every cell"):
        scvcell.pp.modality_from_obsm(adata, "X_new")
    with pytest.raises(KeyError, match=r"No obsm 'X_now'. Did you mean 'X_new'\? Keys: X_new"):
        scvcell.pp.modality_from_obsm(adata, "X_now")
