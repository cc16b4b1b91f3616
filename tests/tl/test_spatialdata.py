"""Verbs of tissue on a SpatialData with rows in any order say what they say of an AnnData; results are its tables."""

import subprocess
import sys
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest
from spatialdata.models import TableModel

import scvcell


@pytest.fixture(scope="module")
def tissue(fewer_steps):
    """Two sections with cells and spots, rows of the table of cells shuffled, and a model of the cells."""
    sdata = scvcell.datasets.simulate_tissue(400, n_donors=2, n_genes=50, as_anndata=False, seed=2)
    cells = sdata["cells"][np.random.default_rng(0).permutation(sdata["cells"].n_obs)].copy()
    cells.obs["truth"] = cells.obs.pop("niche")
    plain = cells.copy()  # with the places that the simulator wrote
    cells.obsm["spatial"] = cells.obsm["spatial"][::-1].copy()  # those of elements count, not these
    sdata["cells"] = cells
    train = scvcell.TrainConfig(max_epochs=15, progress=False)
    model = scvcell.tl.fit(sdata, table_key="cells", batch_key="section", train=train)
    lifted = scvcell.tl.lift(model.view(sdata, table_key="spots"), model, labels_key="cell_type")
    return SimpleNamespace(sdata=sdata, plain=plain, model=model, lifted=lifted)


def test_niches_are_those_of_elements(tissue):
    scvcell.tl.niche(tissue.sdata, tissue.model, n_niches=3)
    scvcell.tl.niche(tissue.plain, tissue.model, n_niches=3, section_key="section")
    cells = tissue.sdata["cells"]
    np.testing.assert_allclose(cells.obsm["X_niche"], tissue.plain.obsm["X_niche"], atol=1e-5)
    assert (cells.obs["niche"].to_numpy() == tissue.plain.obs["niche"].to_numpy()).all()


def test_labels_of_another_section(tissue):
    given = tissue.sdata["cells"].obs["section"] == "donor1"
    for data, section_key in ((tissue.sdata, None), (tissue.plain, "section")):
        scvcell.tl.predict_endpoint(data, tissue.model, key="truth", reference=given, section_key=section_key)
    found, plain = tissue.sdata["cells"].obs, tissue.plain.obs
    assert (found["truth_predicted"].to_numpy() == plain["truth_predicted"].to_numpy()).all()
    truth = found["truth"].astype(str)[~given]
    assert (found["truth_predicted"].astype(str)[~given] == truth).mean() > truth.value_counts(normalize=True).max()


def test_lifted_spots_are_a_table(tissue):
    spots, lifted = tissue.sdata["spots"], tissue.lifted
    plain = scvcell.tl.lift(spots, tissue.model, labels_key="cell_type", section_key="section")
    np.testing.assert_allclose(lifted.X, plain.X, atol=1e-5)
    np.testing.assert_allclose(lifted.obsm["spatial"], spots.obsm["spatial"], atol=1e-6)
    TableModel().validate(lifted)
    assert list(lifted.obs["instance"]) == list(spots.obs["instance"])


def test_translated_cells_are_a_table_also_on_disk(tissue, tmp_path, monkeypatch):
    monkeypatch.setattr("scvcell._containers._blocks.MAX_BLOCK_ROWS", 64)
    order = np.argsort(tissue.sdata["cells"].obs["region"].astype(str), kind="stable")
    monkeypatch.setitem(tissue.sdata.tables, "cells", tissue.sdata["cells"][order].copy())
    whole = scvcell.tl.translate(tissue.sdata, tissue.model, to="rna")
    left = scvcell.tl.translate(tissue.sdata, tissue.model, to="rna", out=tmp_path / "z.zarr")
    for table in (whole, left.to_memory()):
        TableModel().validate(table)
        assert list(table.uns["spatialdata_attrs"]["region"]) == ["donor1_cells", "donor2_cells"]
        for key in ("region", "instance"):
            assert table.obs[key].tolist() == tissue.sdata["cells"].obs[key].tolist()


def test_cells_are_looked_for_in_their_section(tissue):
    asked = tissue.plain[::5].copy()
    true = asked.obsm.pop("spatial")
    asked.obs["region"] = asked.obs["section"].astype(str) + "_cells"
    found = scvcell.tl.map_to_space(asked, tissue.model, spatial=tissue.sdata, section_key="region")
    assert np.isfinite(found.obsm["spatial"]).all()
    away = np.linalg.norm(found.obsm["spatial"] - true, axis=1)
    middle = np.stack([true[asked.obs["section"] == s].mean(0) for s in asked.obs["section"]])
    assert np.median(away) < np.median(np.linalg.norm(middle - true, axis=1))


def test_results_open_and_draw_in_another_process(tissue, tmp_path):
    sdata, model = tissue.sdata, tissue.model
    for name, table in (
        ("sums", scvcell.tl.project(sdata, model, by="donor1_spots")),
        ("around", scvcell.tl.project(sdata, model, by=6)),
        ("lifted", tissue.lifted),
    ):
        TableModel().validate(table)
        sdata[name] = table
    sdata.write(tmp_path / "out.zarr")
    script = f"""
        import matplotlib
        matplotlib.use("agg")
        import scvcell
        import spatialdata
        from spatialdata.models import TableModel
        sdata = spatialdata.read_zarr({str(tmp_path / "out.zarr")!r})
        for table in sdata.tables.values():
            TableModel().validate(table)
        assert sdata["lifted"].obsm["X_csl_by_type"].ndim == 3
        scvcell.pl.spatial(sdata, "cell_type", table_key="cells")[0].figure.savefig({str(tmp_path / "cells.png")!r})
        axes = scvcell.pl.composition(sdata["lifted"], section_key="region")
        axes[0].figure.savefig({str(tmp_path / "pies.png")!r})
    """
    subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)], check=True)
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("cells.png", "pies.png"))
