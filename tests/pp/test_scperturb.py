"""Data in scPerturb's layout: combinations, doses, times and contexts are read as they were written there."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import scvcell
from scvcell.perturb import read_design
from scvcell.pp import read_scperturb
from scvcell.score import energy_distance


def atlas(perturbation, *, seed=0, **columns):
    rng = np.random.default_rng(seed)
    names = [f"cell{i}" for i in range(len(perturbation))]
    obs = pd.DataFrame({"perturbation": pd.Categorical(perturbation), **columns}, index=names)
    counts = sp.csr_matrix(rng.poisson(2, (len(names), 5)).astype(np.float32))
    return AnnData(counts, obs, pd.DataFrame(index=list("abcde")))


def design_of(adata, keys):
    return read_design(keys, lambda name: adata.obs[name])


def test_genes_alone_and_together():
    data = atlas(
        ["control", "KLF1", "AHR_KLF1", "HLA_A", "control_KLF1", None, "nan", "KLF1_KLF1"],
        nperts=["0", "1", "2", "1", "1", "0", "0", "2"],
    )
    before = data.copy()
    adata, keys = read_scperturb(data)
    assert keys == scvcell.PerturbationKeys("action", control="control")
    assert adata.obs["action"].astype(object).where(adata.obs["action"].notna(), "?").tolist() == [
        *("control", "KLF1", "AHR+KLF1", "HLA_A", "KLF1", "?", "?", "KLF1")
    ]
    design = design_of(adata, keys)
    assert {str(action) for action in design.actions} == {"KLF1", "AHR+KLF1", "HLA_A"}
    assert design.code.tolist().count(-2) == 2
    assert (data.X != before.X).nnz == 0
    pd.testing.assert_frame_equal(data.obs, before.obs)


def test_drugs_at_doses_and_times_in_cell_lines(tmp_path):
    label = ["control", "A", "A", "B", "A_B", "control", "A", "B"]
    data = atlas(
        label,
        nperts=[0.0, 1, 1, 1, 2, 0, 1, 1],
        dose_value=["nan", "10.0", "1000.0", "0.5", "10.0_2.5", "nan", "10.0", "0.5"],
        dose_unit=["nan", *["nM"] * 4, "nan", "nM", "nM"],
        time=["0", "24", "24h", "6 hours", "24.0", "0", "6", "24"],
        cell_line=["K562"] * 5 + ["MCF7"] * 3,
    )
    data.write_h5ad(tmp_path / "atlas.h5ad")
    adata, keys = read_scperturb(tmp_path / "atlas.h5ad")
    assert keys.dose == "action_dose"
    assert keys.time == "action_time"
    assert keys.context == "cell_line"
    assert adata.obs["action_dose"].tolist()[1:5] == ["10 nM", "1000 nM", "0.5 nM", "10 nM+2.5 nM"]
    design = design_of(adata, keys)
    assert scvcell.Action({"A": 10.0, "B": 2.5}, time=24).in_units({}) in [
        scvcell.Action(action.doses, action.time) for action in design.actions
    ]
    assert design.units == {"A": "nM", "B": "nM"}
    assert {action.time for action in design.actions} == {6, 24}
    assert len(design.contexts) == 2


def test_columns_that_do_not_say_it_of_every_treated_cell_are_left_out(caplog):
    label = ["control", "A", "A_B", "control", "A"]
    data = atlas(
        label,
        dose_value=[np.nan, 1.0, 1.0, np.nan, 1.0],
        time=[np.nan, 24.0, np.nan, np.nan, 6.0],
        cell_line=["x", "x", "y", "x", "x"],
        celltype=["s", "s", "t", "t", "t"],
    )
    adata, keys = read_scperturb(data)
    assert (keys.dose, keys.time, keys.context) == (None, None, "celltype")
    assert "action_dose" not in adata.obs
    assert "dose_value '1' is no dose of each of A, B; doses are left out" in caplog.text
    assert "1 treated cells have no time in hours; times are left out" in caplog.text
    assert "1 labels of 'cell_line' have no controls, e.g. 'y': it is no context" in caplog.text
    one = atlas(["control", "A"], time=[24, 24], cell_line="x")
    assert read_scperturb(one)[1] == scvcell.PerturbationKeys("action", control="control")


def test_signs_in_names():
    adata, keys = read_scperturb(atlas(["control", "CD4+", "CD4+_B"], nperts=[0, 1, 2]))
    assert keys.separator != "+"
    assert {action.targets for action in design_of(adata, keys).actions} == {("CD4+",), ("B", "CD4+")}


def test_labels_that_cannot_be_split_are_told(caplog):
    adata, _ = read_scperturb(atlas(["control", "A_B_C"], nperts=[0, 2]))
    assert adata.obs["action"].tolist() == ["control", "A_B_C"]
    assert "1 labels of several targets cannot be split, and are taken as one name each, e.g. 'A_B_C'" in caplog.text


def test_counts_are_found_where_they_are():
    data = atlas(["control", "A", "A"])
    counts = data.X.toarray()
    data.layers["counts"], data.X = data.X.copy(), data.X.log1p()
    np.testing.assert_array_equal(read_scperturb(data)[0].X.toarray(), counts)
    data.raw = AnnData(data.layers["counts"], data.obs, data.var)
    del data.layers["counts"]
    np.testing.assert_array_equal(read_scperturb(data)[0].X.toarray(), counts)
    data.raw = None
    with pytest.raises(ValueError, match=r"The data hold no raw counts: X is not whole. Read a file with counts"):
        read_scperturb(data)


def test_names_become_unique():
    data = atlas(["control", "A", "A"])
    data.obs_names, data.var_names = ["a", "a", "b"], list("aabcd")
    adata, _ = read_scperturb(data)
    assert adata.obs_names.is_unique
    assert adata.var_names.is_unique
    assert list(data.obs_names) == ["a", "a", "b"]


def test_data_that_say_nothing_are_refused():
    with pytest.raises(KeyError, match=r"obs has no column 'perturbation'.*It has \['drug'\]"):
        read_scperturb(AnnData(np.ones((2, 2)), obs=pd.DataFrame({"drug": ["a", "b"]}, index=["x", "y"])))
    with pytest.raises(
        ValueError, match=r"No cell is untreated \('control'\) in obs\['perturbation'\]; it holds 'DMSO'"
    ):
        read_scperturb(atlas(["DMSO", "A"]))
    with pytest.raises(ValueError, match=r"No cell is treated"):
        read_scperturb(atlas(["control", None]))


def test_the_squared_distance_sees_means_only():
    """What is written of scPerturb's E-distance: with squared distances it is twice the squared distance of means."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (60, 4)), rng.normal(0, 3, (50, 4))
    y += x.mean(0) - y.mean(0) + np.array([0.5, 0, 0, 0])

    def mean(a, b):
        return np.square(a[:, None] - b[None]).sum(2).mean()

    assert 2 * mean(x, y) - mean(x, x) - mean(y, y) == pytest.approx(2 * 0.25)
    assert energy_distance(x, y) > 0.5, "the other one sees that one set is wider"
    assert abs(energy_distance(x[::2], x[1::2])) < 0.2
