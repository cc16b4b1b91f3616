"""Cells of a SpatialData are asked about like others, with their places; several tables are not guessed at."""

import json

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scvcell
from scvcell import risk
from scvcell._containers import view
from scvcell.risk import EffectBaseline, Split, save_questions
from scvcell.risk._cells import cells_of
from scvcell.risk.axes import Modality, Perturbation

spatialdata = pytest.importorskip("spatialdata")
KEYS = scvcell.PerturbationKeys("drug", control="no")
N = 60


def table(genes):
    rng = np.random.default_rng(genes)
    obs = pd.DataFrame({"drug": np.repeat(["no", "a", "b"], N // 3)}, index=[f"c{i:02d}" for i in range(N)])
    obs["region"], obs["instance"] = pd.Categorical(["shapes"] * N), np.arange(N)[::-1]
    data = AnnData(rng.poisson(4, (N, genes)).astype(np.float32), obs)
    keys = {"region": "shapes", "region_key": "region", "instance_key": "instance"}
    return spatialdata.models.TableModel.parse(data, **keys)


@pytest.fixture(scope="module")
def scene():
    xy = np.random.default_rng(0).uniform(0, 50, (N, 2))
    shapes = spatialdata.models.ShapesModel.parse(xy, geometry=0, radius=1.0, index=np.arange(N))
    one = spatialdata.SpatialData(shapes={"shapes": shapes}, tables={"genes": table(20)})
    two = spatialdata.SpatialData(shapes={"shapes": shapes}, tables={"genes": table(20), "stains": table(5)})
    names = pd.Index(one.tables["genes"].obs_names)
    hidden = names[(one.tables["genes"].obs["drug"] == "a").to_numpy()]
    return one, two, xy[::-1], Split(names.difference(hidden), hidden[:0], hidden, "new target")


def test_cells_have_the_places_of_their_elements_and_share_values(scene):
    one, _, xy, _ = scene
    found = cells_of(one)
    np.testing.assert_allclose(found.obsm["spatial"], xy)
    assert np.shares_memory(found.X, one.tables["genes"].X)
    assert "spatial" not in one.tables["genes"].obsm
    assert "spatialdata_attrs" not in found.uns
    assert cells_of(found) is found


def test_questions_about_a_spatialdata_are_those_about_its_table(scene, tmp_path):
    one, _, xy, split = scene
    axis, plain = Perturbation(KEYS, n_partitions=0), one.tables["genes"].copy()
    folders = [save_questions(axis, data, split, tmp_path / name) for data, name in ((one, "a"), (plain, "b"))]
    about = [json.loads((folder / "questions.json").read_text()) for folder in folders]
    assert about[0] == about[1]
    seen = anndata.read_h5ad(folders[0] / "seen.h5ad")
    assert not seen.obs_names.isin(split.test).any()
    np.testing.assert_allclose(seen.obsm["spatial"], xy[np.repeat(["no", "a", "b"], N // 3) != "a"])


def test_a_report_and_an_audit_take_it(scene):
    one, _, _, split = scene
    axis, plain = Perturbation(KEYS, n_partitions=0), one.tables["genes"].copy()
    asked = {"predictors": EffectBaseline("control", KEYS), "split": split, "axes": [axis], "baselines": ("mean",)}
    config = risk.RiskConfig(n_boot=10)
    reports = [
        risk.evaluate(asked["predictors"], data, config=config, **dict(list(asked.items())[1:]))
        for data in (one, plain)
    ]
    pd.testing.assert_frame_equal(reports[0].rows, reports[1].rows)
    found = [risk.ask(EffectBaseline("control", KEYS), axis, data, split) for data in (one, plain)]
    pd.testing.assert_frame_equal(*found)


def test_several_tables_are_refused_before_any_work(scene, tmp_path):
    _, two, _, split = scene
    says = r"has the tables \['genes', 'stains'\], and nothing says .* Give one of them, such as data.tables\['genes'\]"
    with pytest.raises(ValueError, match=says):
        save_questions(Modality("genes", "stains"), two, split, tmp_path / "asked")
    assert not (tmp_path / "asked").exists()
    with pytest.raises(ValueError, match=says):
        risk.evaluate(EffectBaseline("control", KEYS), two, split=split, axes=[Perturbation(KEYS)])
    with pytest.raises(ValueError, match=says):
        risk.audit(two, split)
    with pytest.raises(ValueError, match=says):
        risk.hide_pairing(two, "genes", "stains")
    with pytest.raises(ValueError, match="has no table, so that there are no cells"):
        risk.hold_out(spatialdata.SpatialData(), "drug", "a")


def test_a_model_knows_its_tables(scene):
    _, two, _, _ = scene

    class Model(scvcell.CSL):
        def __init__(self):
            pass

        def view(self, data):
            return view(data, table_key={"rna": "genes", "adt": "stains"})

    found = cells_of(two, [Model()])
    assert {name: each.n_vars for name, each in found.mod.items()} == {"rna": 20, "adt": 5}
    by_name = dict(zip(found.obs_names, found.obsm["spatial"].tolist(), strict=True))
    seen = view(two, table_key={"rna": "genes", "adt": "stains"})
    assert [by_name[name] for name in seen.obs_names] == seen.own_place.coordinates().tolist()
    assert found.obs["drug"].tolist() == seen.column("drug").tolist()
