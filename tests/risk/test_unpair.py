"""Halves of cells keep their values and lose each other."""

import numpy as np
import pandas as pd
import pytest
from mudata import MuData

from scvcell import risk


@pytest.fixture
def cells(mosaic):
    mdata = mosaic(150)
    for adata in mdata.mod.values():
        adata.obs["barcode"] = adata.obs_names
        adata.layers["rate"] = adata.X.copy()
        adata.obsm["z"] = np.arange(adata.n_obs)[:, None]
    both = mdata["rna"].obs_names.intersection(mdata["adt"].obs_names)
    return mdata, both[:30]


def test_with_names_nothing_but_the_name_changes(cells, fingerprint):
    mdata, torn = cells
    before = fingerprint(mdata)
    data, a, b = risk.unpair(mdata, torn, "rna", "adt")
    assert fingerprint(mdata) == before
    assert a.equals(pd.Index(torn))
    assert b.tolist() == [f"{name}|adt" for name in torn]
    assert data.n_obs == 150 + 30
    for m in ("rna", "adt"):
        assert [name.removesuffix("|adt") for name in data[m].obs_names] == mdata[m].obs_names.tolist()
        assert (data[m].X != mdata[m].X).nnz == 0
    assert (data.obs.loc[b, "celltype"].to_numpy() == mdata.obs.loc[torn, "celltype"].to_numpy()).all()
    assert not data["rna"].obs_names.isin(b).any()


def test_with_a_seed_nothing_tells_who_belongs_together(cells):
    mdata, torn = cells
    data, a, b = risk.unpair(mdata, torn, "rna", "adt", seed=0, keep=["batch"])
    assert not data.obs_names.isin(torn).any()
    for m, names in (("rna", a), ("adt", b)):
        part = data[m]
        assert part.obs.columns.tolist() == ["batch"]
        assert not part.layers.keys() - {None}
        assert not part.obsm
        np.testing.assert_array_equal(part[names].X.toarray(), mdata[m][torn].X.toarray())
        assert (part[names].obs["batch"].to_numpy() == mdata[m][torn].obs["batch"].to_numpy()).all()
    assert data.obs.columns.tolist() == ["batch"]
    number = [pd.Series(names).str.extract(r"(\d+)")[0].astype(int) for names in (a, b)]
    place = [data[m].obs_names.get_indexer(names) for m, names in (("rna", a), ("adt", b))]
    for one, other in (number, place):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.5, "neither names nor rows go together"
    again = risk.unpair(mdata, torn, "rna", "adt", seed=0, keep=["batch"])
    assert again.a.equals(a)
    assert again.data["adt"].obs_names.equals(data["adt"].obs_names)
    assert not risk.unpair(mdata, torn, "rna", "adt", seed=1).a.equals(a)


def test_what_cannot_be_torn(cells):
    mdata, torn = cells
    alone = mdata["rna"].obs_names.difference(mdata["adt"].obs_names)
    with pytest.raises(ValueError, match="1 cells lack 'rna' or 'adt'"):
        risk.unpair(mdata, [torn[0], alone[0]], "rna", "adt")
    with pytest.raises(TypeError, match="data must be a MuData"):
        risk.unpair(mdata["rna"], torn, "rna", "adt")
    rna = mdata["rna"].copy()
    rna.obs_names = [f"{torn[1]}|adt" if name == alone[0] else name for name in rna.obs_names]
    twin = MuData({"rna": rna, "adt": mdata["adt"].copy()})
    with pytest.raises(ValueError, match=r"There is a cell named .*\|adt' already"):
        risk.unpair(twin, torn[:2], "rna", "adt")
