"""Tables of the same units join by region and instance, whatever the order of rows."""

import numpy as np
import pytest
import spatialdata
from mudata import MuData

import scvcell
from scvcell._containers import view

RNA, STAINS = [f"gene{i:03d}" for i in range(60)], [f"protein{i}" for i in range(6)]
BOTH = {"rna": "cells", "adt": "stains"}


class TestJoin:
    def test_by_region_and_instance(self, scene):
        sdata, truth = scene
        seen = view(sdata, table_key=BOTH)
        assert seen.n_obs == 120
        assert seen.present("rna").all()
        assert seen.present("adt").sum() == 100
        for modality, table in (("rna", "cells"), ("adt", "stains")):
            rows = seen.rows[modality]
            obs = sdata.tables[table].obs
            here = np.flatnonzero(rows >= 0)
            assert (seen.place.region.iloc[here].to_numpy() == obs["region"].iloc[rows[here]].to_numpy()).all()
            assert (seen.place.instance.iloc[here].to_numpy() == obs["id"].iloc[rows[here]].to_numpy()).all()
        x = seen.matrix("rna").rows(seen.rows["rna"]).toarray()
        for i, unit in enumerate(zip(seen.place.region, seen.place.instance, strict=True)):
            np.testing.assert_array_equal(x[i], truth[unit][1])

    def test_measurements_are_shared(self, scene):
        sdata, _ = scene
        source = view(sdata, table_key=BOTH).source
        assert isinstance(source, MuData)
        assert np.shares_memory(source.mod["rna"].X.data, sdata.tables["cells"].X.data)

    def test_the_order_of_rows_does_not_matter(self, scene):
        sdata, _ = scene
        first = view(sdata, table_key=BOTH)
        order = np.random.default_rng(5).permutation(120)
        sdata.tables["cells"] = sdata.tables["cells"][order].copy()
        second = view(sdata, table_key=BOTH)
        units = [list(zip(v.place.region, v.place.instance, strict=True)) for v in (first, second)]
        at = [units[1].index(unit) for unit in units[0]]
        for name in ("rna", "adt"):
            x = [v.matrix(name).rows(np.maximum(v.rows[name], 0)).toarray() for v in (first, second)]
            there = first.present(name)
            assert (second.present(name)[at] == there).all()
            np.testing.assert_array_equal(x[0][there], x[1][at][there])

    def test_names_are_those_of_rows_where_tables_agree(self, scene):
        sdata, _ = scene
        named = view(sdata, table_key=BOTH).obs_names
        assert named.is_unique
        assert set(named) == {f"{s}:cell{i}" for s in ("left", "right") for i in range(60)}
        for table in sdata.tables.values():
            table.obs_names = table.obs["region"].astype(str) + "/" + table.obs["id"].astype(str)
        assert set(view(sdata, table_key=BOTH).obs_names) == set(sdata.tables["cells"].obs_names)

    def test_a_list_names_modalities_by_tables(self, scene):
        assert list(view(scene[0], table_key=["cells", "stains"]).modalities) == ["cells", "stains"]


class TestRefusals:
    def test_other_units(self, scene, annotating, circles):
        sdata, _ = scene
        spots = [f"spot{i}" for i in range(5)]
        sdata.shapes["spots"] = circles(np.random.default_rng(0).random((5, 2)), spots)
        sdata.tables["visium"] = annotating(np.ones((5, 60)), spots, spots, "spots", RNA)
        with pytest.raises(ValueError, match=r"share no unit.*scvcell.tl.project.*scvcell.tl.lift"):
            scvcell.tl.fit(sdata, table_key={"rna": "cells", "visium": "visium"})

    def test_numbers_and_text(self, annotating, circles):
        ids = [1, 2, 3]
        tables = {
            "a": annotating(np.ones((3, 60)), "abc", ids, "there", RNA),
            "b": annotating(np.ones((3, 6)), "abc", list(map(str, ids)), "there", STAINS),
        }
        sdata = spatialdata.SpatialData(shapes={"there": circles(np.ones((3, 2)), ids)}, tables=tables)
        with pytest.raises(ValueError, match="by text and by numbers"):
            view(sdata, table_key={"rna": "a", "adt": "b"})
