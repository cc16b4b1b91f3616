"""SpatialData: tables join by region and instance whatever the order of rows, places are right, results come back."""

import subprocess
import sys
import textwrap

import geopandas
import numpy as np
import pandas as pd
import pytest
import spatialdata
from anndata import AnnData
from spatialdata.models import Labels2DModel, PointsModel, ShapesModel, TableModel
from spatialdata.transformations import Identity, Scale, set_transformation

import scvcell
from scvcell._containers import Space, view

RNA, STAINS = [f"gene{i:03d}" for i in range(60)], [f"protein{i}" for i in range(6)]
BOTH = {"rna": "cells", "adt": "stains"}


class TestPlace:
    @pytest.mark.parametrize("key", ["cells", BOTH])
    def test_right_whatever_the_order(self, scene, key):
        sdata, truth = scene
        seen = view(sdata, table_key=key)
        space = Space.of(seen)
        assert space.sections == ["left", "right"]
        for i, unit in enumerate(zip(seen.place.region, seen.place.instance, strict=True)):
            np.testing.assert_allclose(space.xy[i], truth[unit][0])
            assert space.sections[space.section[i]] == unit[0]
        some = np.array([7, 3, 99])
        np.testing.assert_array_equal(Space.of(seen.subset(some)).xy, space.xy[some])
        near = space.nearest(5).matrix.tocoo()
        assert (space.section[near.row] == space.section[near.col]).all()

    def test_a_section_column_wins(self, scene):
        assert Space.of(view(scene[0], table_key="cells"), "kind").sections == ["k0", "k1", "k2"]

    def test_transformations(self, scene):
        sdata, truth = scene
        set_transformation(sdata.shapes["left"], Scale([2.0, 2.0], axes=("x", "y")), "global")
        seen = view(sdata, table_key="cells")
        space = Space.of(seen)
        for i, unit in enumerate(zip(seen.place.region, seen.place.instance, strict=True)):
            np.testing.assert_allclose(space.xy[i], truth[unit][0] * (2 if unit[0] == "left" else 1))

    def test_the_only_common_system(self, scene):
        sdata, truth = scene
        set_transformation(
            sdata.shapes["left"], {"microns": Identity(), "a": Scale([9.0, 9.0], axes=("x", "y"))}, set_all=True
        )
        set_transformation(sdata.shapes["right"], {"microns": Identity()}, set_all=True)
        seen = view(sdata, table_key="cells")
        right = [truth[unit][0] for unit in zip(seen.place.region, seen.place.instance, strict=True)]
        np.testing.assert_allclose(Space.of(seen).xy, right)

    def test_sections_may_have_systems_of_their_own(self, scene):
        sdata, truth = scene
        for name in ("left", "right"):
            set_transformation(sdata.shapes[name], {name: Identity()}, set_all=True)
        seen = view(sdata, table_key="cells")
        space = Space.of(seen)
        assert space.sections == ["left", "right"]
        right = [truth[unit][0] for unit in zip(seen.place.region, seen.place.instance, strict=True)]
        np.testing.assert_allclose(space.xy, right)
        assert Space.of(seen, "region").sections == ["left", "right"]
        with pytest.raises(ValueError, match=r"Section 'k0' has units of elements in several coordinate systems"):
            Space.of(seen, "kind")

    def test_what_system_is_meant_must_be_clear(self, scene):
        sdata, _ = scene
        set_transformation(sdata.shapes["left"], {"pixels": Identity(), "inches": Identity()}, set_all=True)
        with pytest.raises(ValueError, match=r"not clear.*'left': \['inches', 'pixels'\].*set_transformation"):
            Space.of(view(sdata, table_key="cells"))

    def test_labels_and_points(self, annotating):
        image = np.zeros((20, 20), np.int32)
        image[2:5, 2:5], image[10:13, 14:17] = 7, 9
        points = PointsModel.parse(pd.DataFrame({"x": [1.0, 5.0], "y": [2.0, 6.0]}, index=[9, 7]))
        for kind, element in (("labels", Labels2DModel.parse(image, dims=("y", "x"))), ("points", points)):
            table = annotating(np.ones((2, 60)), ["a", "b"], [9, 7], "there", RNA)
            sdata = spatialdata.SpatialData(**{kind: {"there": element}}, tables={"t": table})
            xy = Space.of(view(sdata)).xy
            np.testing.assert_allclose(xy, [[15.5, 11.5], [3.5, 3.5]] if kind == "labels" else [[1, 2], [5, 6]])

    def test_a_unit_that_the_element_lacks_has_no_place(self, scene, caplog):
        sdata, _ = scene
        sdata.shapes["left"] = sdata.shapes["left"].iloc[10:]
        space = Space.of(view(sdata, table_key="cells"))
        assert np.isnan(space.xy).any(1).sum() == 10
        assert "10 of 60 units are not in the element 'left'" in caplog.text


class TestInside:
    """Shapes that hold cells, against distances and a grid."""

    @pytest.fixture
    def tissue(self):
        return scvcell.datasets.simulate_tissue(300, n_donors=1, n_genes=20, as_anndata=False, seed=1)

    def test_circles_hold_centroids(self, tissue):
        seen = view(tissue, table_key="cells")
        found, place = seen.inside("donor1_spots")
        cells, spots = (tissue.tables[name].obsm["spatial"] for name in ("cells", "spots"))
        near = np.sqrt(((spots[:, None] - cells[None]) ** 2).sum(2)) <= 27.5
        np.testing.assert_array_equal(found.matrix.toarray(), near)
        assert list(found.coarse) == list(tissue.tables["spots"].obs["instance"])
        out = AnnData(np.zeros((len(found.coarse), 1)))
        place.annotate(out)
        TableModel().validate(out)
        some = np.array([40, 2, 7])
        np.testing.assert_array_equal(seen.subset(some).inside("donor1_spots")[0].matrix.toarray(), near[:, some])

    def test_polygons_hold_the_same_as_circles(self, tissue):
        seen = view(tissue, table_key="cells")
        spots = tissue.shapes["donor1_spots"]
        square = spots.geometry.buffer(20, cap_style="square")
        tissue.shapes["squares"] = ShapesModel.parse(
            geopandas.GeoDataFrame(geometry=square), transformations={"global": Identity()}
        )
        found, _ = seen.inside("squares")
        apart = np.abs(tissue.tables["spots"].obsm["spatial"][:, None] - tissue.tables["cells"].obsm["spatial"]).max(2)
        np.testing.assert_array_equal(found.matrix.toarray(), apart <= 20)

    def test_shares_of_area(self, tissue):
        seen = view(tissue, table_key="cells")
        whole, share = seen.inside("donor1_spots")[0], seen.inside("donor1_spots", area=True)[0]
        a, b = whole.matrix.toarray(), share.matrix.toarray()
        assert (b <= 1 + 1e-9).all()
        spots, cells = (tissue.tables[name].obsm["spatial"] for name in ("spots", "cells"))
        apart = np.sqrt(((spots[:, None] - cells[None]) ** 2).sum(2))
        np.testing.assert_allclose(b[apart < 21], 1, atol=1e-9)
        assert (b[apart > 33.5] == 0).all()
        assert a.sum() == pytest.approx(b.sum(), rel=0.05), "what is lost at the edge is gained beyond it"
        del tissue.shapes["donor1_cells"]
        tissue.points["donor1_cells"] = PointsModel.parse(
            pd.DataFrame(cells, columns=["x", "y"], index=tissue.tables["cells"].obs["instance"]),
            transformations={"global": Identity()},
        )
        np.testing.assert_array_equal(view(tissue, table_key="cells").inside("donor1_spots")[0].matrix.toarray(), a)
        with pytest.raises(ValueError, match="have no shapes, so no area"):
            view(tissue, table_key="cells").inside("donor1_spots", area=True)

    def test_sections_that_lie_on_one_another(self, caplog):
        apart = scvcell.datasets.simulate_tissue(300, n_donors=2, n_genes=20, as_anndata=False, seed=1)
        found, _ = view(apart, table_key="cells").inside("donor2_spots")
        own = (apart.tables["cells"].obs["section"] == "donor2").to_numpy()
        assert found.matrix[:, own].sum() == found.matrix.sum() > 0, "every section has a coordinate system of its own"
        assert not caplog.text
        for element in apart.shapes.values():
            set_transformation(element, {"global": Identity()}, set_all=True)
        assert view(apart, table_key="cells").inside("donor2_spots")[0].matrix[:, ~own].sum() > 0
        assert "hold units of 2 elements" in caplog.text

    def test_refused(self, tissue):
        set_transformation(tissue.shapes["donor1_spots"], {"else": Identity()}, set_all=True)
        with pytest.raises(ValueError, match=r"'donor1_spots' is in the coordinate systems \['else'\], the units are"):
            view(tissue, table_key="cells").inside("donor1_spots")
        with pytest.raises(ValueError, match=r"no shapes 'spots'; it has \['donor1_cells', 'donor1_spots'\]"):
            view(tissue, table_key="cells").inside("spots")
        with pytest.raises(ValueError, match="of no element"):
            view(tissue.tables["cells"]).inside("donor1_spots")


class TestRefusals:
    def test_ids_of_another_type(self, annotating, circles):
        table = annotating(np.ones((3, 60)), "abc", [1, 2, 3], "there", RNA)
        sdata = spatialdata.SpatialData(
            shapes={"there": circles(np.ones((3, 2)), ["1", "2", "3"])}, tables={"t": table}
        )
        with pytest.raises(ValueError, match=r"none of the 3 instances.*astype\(str\)"):
            Space.of(view(sdata))

    def test_an_element_that_is_not_there(self, scene):
        sdata, _ = scene
        del sdata.shapes["left"]
        seen = view(sdata, table_key="cells")  # cells can be fitted without places
        with pytest.raises(ValueError, match=r"annotates the element 'left', which the SpatialData lacks.*right"):
            Space.of(seen)

    def test_a_table_without_region(self, scene):
        sdata, _ = scene
        sdata.tables["free"] = TableModel.parse(AnnData(np.ones((4, 60), np.float32), var=pd.DataFrame(index=RNA)))
        assert view(sdata, table_key="free").place is None
        with pytest.raises(ValueError, match="no coordinates"):
            Space.of(view(sdata, table_key="free"))
        with pytest.raises(ValueError, match="'free' annotates no element"):
            view(sdata, table_key={"rna": "cells", "adt": "free"})

    @pytest.mark.parametrize("fault", ["duplicate", "missing", "column"])
    def test_broken_ids(self, scene, fault):
        table = scene[0].tables["cells"]
        if fault == "duplicate":
            table.obs["region"], table.obs["id"] = "left", ["cell0", *table.obs["id"][1:]]
            table.obs.loc[table.obs_names[1], "id"] = "cell0"
        elif fault == "missing":
            table.obs["id"] = table.obs["id"].where(np.arange(table.n_obs) != 3)
        else:
            del table.obs["id"]
        said = {"duplicate": "of the instance 'cell0'", "missing": "1 rows .* no instance", "column": "no such column"}
        with pytest.raises(ValueError, match=said[fault]):
            view(scene[0], table_key="cells")

    def test_unknown_tables(self, scene):
        with pytest.raises(ValueError, match=r"give `table_key=` as one of \['cells', 'stains'\].*'rna': 'cells'"):
            view(scene[0])
        with pytest.raises(ValueError, match="as one of"):
            view(scene[0], table_key={"rna": "cells", "adt": "proteins"})


class TestFit:
    @pytest.fixture
    def fitted(self, scene, quick):
        return scene[0], scvcell.tl.fit(scene[0], table_key=BOTH, batch_key="region", train=quick)

    def test_states_go_to_each_table(self, fitted):
        sdata, _ = fitted
        states = {}
        for table in sdata.tables.values():
            units = zip(table.obs["region"], table.obs["id"], table.obsm["X_csl"], strict=True)
            for region, i, state in units:
                np.testing.assert_array_equal(states.setdefault((region, i), state), state)
        assert len({tuple(state) for state in states.values()}) == 120
        assert "csl" in sdata.tables["stains"].uns

    def test_the_model_remembers_its_tables(self, fitted, tmp_path):
        sdata, fit = fitted
        fit.save(tmp_path / "model")
        for model in (fit, scvcell.CSL.load(tmp_path / "model", sdata)):
            for table in sdata.tables.values():
                table.obsm.clear()
            scvcell.tl.embed(sdata, model)
            scvcell.tl.transfer_labels(sdata, model, key="kind")
            assert all("X_csl" in table.obsm for table in sdata.tables.values())
            assert sdata.tables["stains"].obs["kind_transferred"].notna().all()
        del sdata.tables["stains"]
        scvcell.tl.embed(sdata, fit)  # new data may lack a table

    def test_tables_of_other_names(self, fitted):
        sdata, model = fitted
        for name in BOTH.values():
            sdata.tables[f"my_{name}"] = sdata.tables[name].copy()
            del sdata.tables[name], sdata.tables[f"my_{name}"].obsm["X_csl"]
        with pytest.raises(ValueError, match=r"fitted on the tables.*model.view\(data, table_key="):
            scvcell.tl.embed(sdata, model)
        scvcell.tl.embed(model.view(sdata, table_key={m: f"my_{name}" for m, name in BOTH.items()}), model)
        assert all("X_csl" in table.obsm for table in sdata.tables.values())

    def test_new_tables_open_in_another_process(self, fitted, tmp_path):
        sdata, model = fitted
        sdata.tables["predicted"] = scvcell.tl.translate(sdata, model, to="adt")
        sdata.write(tmp_path / "out.zarr")
        script = f"""
            import spatialdata
            from spatialdata.models import TableModel
            sdata = spatialdata.read_zarr({str(tmp_path / "out.zarr")!r})
            table = sdata.tables["predicted"]
            TableModel().validate(table)
            element, joined = spatialdata.join_spatialelement_table(
                sdata=sdata, spatial_element_names="left", table_name="predicted", how="inner"
            )
            assert joined.n_obs == 60, joined
            assert sdata.tables["stains"].obsm["X_csl"].shape[0] == 100
        """
        subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)], check=True)

    def test_nothing_else_of_the_user_changes(self, scene, quick):
        sdata, _ = scene
        before = {name: (table.X.copy(), table.obs.copy()) for name, table in sdata.tables.items()}
        scvcell.tl.fit(sdata, table_key=BOTH, train=quick)
        for name, (x, obs) in before.items():
            table = sdata.tables[name]
            assert (x != table.X).nnz == 0
            pd.testing.assert_frame_equal(table.obs[obs.columns], obs)
            assert set(table.obs) - set(obs) == {"csl_uncertainty"}
            assert set(table.obsm) == {"X_csl"}
            assert set(table.uns) == {"csl", "spatialdata_attrs"} | {k for k in table.uns if k.startswith("_scvi")}


class TestCircles:
    def test_tables_annotate_them_and_stay_as_they_are(self, tmp_path):
        tables = scvcell.datasets.simulate_tissue(300, n_genes=20, seed=1)
        sdata = scvcell.datasets.simulate_tissue(300, n_genes=20, as_anndata=False, seed=1)
        assert "region" not in tables["cells"].obs
        assert set(sdata.shapes) == {f"donor{k}_{name}" for k in (1, 2) for name in ("cells", "spots")}
        sdata.write(tmp_path / "tissue.zarr")
        back = spatialdata.read_zarr(tmp_path / "tissue.zarr")
        for name, radius in (("cells", 6.0), ("spots", 27.5)):
            table = back.tables[name]
            assert abs(table.X - tables[name].X).max() == 0
            for region, own in table.obs.groupby("region", observed=True):
                there = back.shapes[region].loc[own["instance"]]
                xy = np.stack([there.geometry.x, there.geometry.y], 1)
                np.testing.assert_allclose(xy, table[own.index].obsm["spatial"])
                assert (there["radius"] == radius).all()
                assert region == f"{own['section'].iloc[0]}_{name}"

    def test_without_spatialdata_the_error_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "spatialdata", None)
        with pytest.raises(ImportError, match=r"scvcell\[spatial\].*as_anndata=True"):
            scvcell.datasets.simulate_tissue(300, n_genes=20, as_anndata=False)
