"""Labels on both sides: counted by cells, red where they are claimed to be new."""

import numpy as np
import pandas as pd

from scvcell import pp
from scvcell._containers import view
from scvcell.risk.leakage import Case, groups, units
from scvcell.risk.leakage._groups import columns


def found(donors, check, **options):
    case = Case(donors.adata, view(donors.adata), donors.split, **options)
    return {finding.check: finding for finding in check(case)}


def test_shares_are_of_cells(donors):
    cells = donors.adata.obs_names
    donor, seen = donors.adata.obs["donor"], {"d0", "d1", "d2"}
    train = donor.isin(seen).to_numpy()
    donors.split = pp.Split(cells[train], cells[:0], cells[~train].append(cells[train][:0]), "other cells")
    donors.adata.obs.loc[cells[~train][:30], "donor"] = "d2"
    told = found(donors, groups)["same donor"]
    assert told.value == 30 / (~train).sum()
    assert told.verdict == "green", "the split does not say that donors are new"
    assert "split does not say otherwise" in told.says
    donors.split = pp.Split(donors.split.train, cells[:0], donors.split.test, "unseen donor")
    told = found(donors, groups)["same donor"]
    assert told.verdict == "red"
    assert "d2" in told.says


def test_a_cell_without_a_label_is_of_no_group(donors):
    donors.adata.obs.loc[donors.split.train[:5], "donor"] = None
    donors.adata.obs.loc[donors.split.test[:5], "donor"] = None
    assert found(donors, groups)["same donor"].value == 0


def test_a_claim_that_no_column_shows(donors):
    donors.split = pp.Split(donors.split.train, donors.split.calibration, donors.split.test, "unseen hospital")
    told = found(donors, groups)["same site"]
    assert told.verdict == "amber"
    assert np.isnan(told.value)
    assert "no column of obs" in told.says


def test_columns_that_are_looked_at(donors):
    donors.adata.obs["leiden"], donors.adata.obs["Sample ID"] = "0", "s"
    case = Case(donors.adata, view(donors.adata), donors.split, donors.keys, ("leiden", "age"))
    assert columns(case) == ["donor", "leiden", "batch", "cell_type", "Sample ID"], "no numbers, no drug, not sex"
    names = found(donors, groups, covariates=("leiden",))
    assert {"same batch (Sample ID)", "same batch", "same leiden", "same cell type"} <= set(names)


def test_scaffolds_of_controls_do_not_count(donors):
    donors.adata.obs["scaffold"] = donors.adata.obs["drug"].map(lambda name: {"no": "none", "A": "s1"}.get(name, "s2"))
    test = (donors.adata.obs["drug"] == "A").to_numpy(copy=True)
    test[np.flatnonzero(donors.adata.obs["drug"] == "no")[:5]] = True
    cells = donors.adata.obs_names
    donors.split = pp.Split(cells[~test], cells[:0], cells[test], "new scaffold", {"splitter": "scaffold"})
    assert found(donors, groups, keys=donors.keys)["same scaffold"].value == 0
    assert found(donors, groups)["same scaffold"].value > 0


def test_units(donors):
    told = found(donors, units)["same unit"]
    assert told.verdict == "green"
    unit = pd.Series("one", donors.adata.obs_names)
    unit[donors.split.test[5:]] = "other"
    split = donors.split
    donors.split = pp.Split(split.train, split.calibration, split.test, "other blocks", {}, unit)
    told = found(donors, units)["same unit"]
    assert told.verdict == "red"
    assert told.value == 5 / len(split.test)
    assert told.says.endswith("one.")
    donors.split = pp.Split(split.train, split.calibration, split.test)
    assert not found(donors, units), "every cell is a unit of its own"
