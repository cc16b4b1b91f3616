"""The command line: info, fit on .h5mu and .h5ad, messages instead of tracebacks."""

import logging
import subprocess
import sys

import anndata
import numpy as np
import pandas as pd
import pytest

import scvcell
from scvcell._cli import main


@pytest.fixture(autouse=True)
def levels():
    """`main` configures logging for the process; put it back."""
    names = ("", "scvcell", "lightning.pytorch")
    before = [logging.getLogger(n).level for n in names]
    yield
    for name, level in zip(names, before, strict=True):
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def file(mosaic, tmp_path):
    path = tmp_path / "in.h5mu"
    mosaic(90).write(path)
    return path


def run(*args):
    return main([str(a) for a in args])


def test_info(capsys):
    assert run("info") == 0
    out = capsys.readouterr().out
    for word in ("scvcell", "scvi-tools", "torch", "counts", "protein", "adt", scvcell.__version__):
        assert word in out


def test_fit_writes_a_model_and_the_latent(file, mosaic, tmp_path, capsys):
    before = file.read_bytes()
    assert run("fit", file, tmp_path / "out", "--batch-key", "batch", "--max-epochs", 2, "--seed", 3) == 0
    assert f"Saved in {tmp_path / 'out'}" in capsys.readouterr().out
    latent = pd.read_csv(tmp_path / "out" / "latent.csv", index_col=0)
    mdata = mosaic(90)
    model = scvcell.CSL.load(tmp_path / "out" / "model", mdata)
    assert list(latent.index) == list(mdata.obs_names)
    uncertainty = latent.pop("csl_uncertainty")
    np.testing.assert_allclose(latent, model.get_latent_representation(), atol=1e-4)
    np.testing.assert_allclose(uncertainty, np.sqrt(model.posterior(mdata).var.numpy()).mean(1), atol=1e-4)
    assert model.schema.batch_key == "batch"
    assert file.read_bytes() == before, "the input file is read only"


def test_fit_of_a_corpus(mosaic, tmp_path, capsys):
    pytest.importorskip("dask")
    whole = mosaic(120)["rna"]
    (tmp_path / "in").mkdir()
    whole[:50].copy().write_h5ad(tmp_path / "in" / "a.h5ad")
    whole[50:].copy().write_zarr(tmp_path / "in" / "b.zarr")
    assert run("fit", tmp_path / "in", tmp_path / "out", "--batch-key", "batch", "--max-epochs", 1) == 0
    assert "model/, latent.zarr" in capsys.readouterr().out
    found = anndata.read_zarr(tmp_path / "out" / "latent.zarr")
    assert list(found.obs_names) == list(whole.obs_names)
    model = scvcell.CSL.load(tmp_path / "out" / "model", whole)
    np.testing.assert_allclose(found.obsm["X_csl"], model.get_latent_representation(), atol=1e-4)
    files = (tmp_path / "in" / "b.zarr", tmp_path / "in" / "a.h5ad")
    assert run("fit", *files, tmp_path / "out", "--max-epochs", 1) == 2
    assert "exists already" in capsys.readouterr().err
    assert run("fit", *files, tmp_path / "out", "--max-epochs", 1, "--overwrite") == 0
    assert list(anndata.read_zarr(tmp_path / "out" / "latent.zarr").obs_names[:2]) == list(whole.obs_names[50:52])
    assert run("fit", *files, tmp_path / "other", "--table-key", "cells") == 2
    assert "not for a corpus" in capsys.readouterr().err


def test_fit_of_an_h5ad_with_another_operator(mosaic, tmp_path):
    mosaic(90)["adt"].write_h5ad(tmp_path / "in.h5ad")
    assert run("fit", tmp_path / "in.h5ad", tmp_path / "out", "--measure", "rna=protein", "--max-epochs", 1) == 0
    assert scvcell.CSL.load(tmp_path / "out" / "model").schema.modalities["rna"].operator == "protein"


def test_fit_of_tables_of_a_spatialdata(tmp_path, capsys):
    sdata = scvcell.datasets.simulate_tissue(200, n_donors=1, n_genes=30, as_anndata=False, seed=0)
    sdata.write(tmp_path / "in.zarr")
    assert run("fit", tmp_path / "in.zarr", tmp_path / "out") == 2
    assert "give --table-key as one of ['cells', 'spots']" in capsys.readouterr().err
    given = ("--table-key", "cells", "--batch-key", "section", "--max-epochs", 1)
    assert run("fit", tmp_path / "in.zarr", tmp_path / "out", *given) == 0
    latent = pd.read_csv(tmp_path / "out" / "latent.csv", index_col=0)
    model = scvcell.CSL.load(tmp_path / "out" / "model", sdata)
    assert list(latent.index.astype(str)) == list(sdata["cells"].obs_names)
    np.testing.assert_allclose(latent.iloc[:, :-1], model.get_latent_representation(), atol=1e-4)


@pytest.mark.parametrize("layers", [["counts"], ["rna=counts", "adt=counts"]])
def test_layers_of_the_counts(mosaic, tmp_path, layers):
    mdata = mosaic(90)
    for adata in mdata.mod.values():
        adata.layers["counts"] = adata.X.copy()
        adata.X = adata.X * 0.37
    mdata.write(tmp_path / "in.h5mu")
    given = [part for layer in layers for part in ("--layers", layer)]
    assert run("fit", tmp_path / "in.h5mu", tmp_path / "out", "--max-epochs", 1, *given) == 0
    model = scvcell.CSL.load(tmp_path / "out" / "model")
    assert {name: spec.layer for name, spec in model.schema.modalities.items()} == {"rna": "counts", "adt": "counts"}


def test_a_layer_of_some_modalities_is_theirs(mosaic, tmp_path):
    mdata = mosaic(90)
    mdata["rna"].layers["counts"] = mdata["rna"].X.copy()
    mdata.write(tmp_path / "in.h5mu")
    assert run("fit", tmp_path / "in.h5mu", tmp_path / "out", "--max-epochs", 1, "--layers", "counts") == 0
    model = scvcell.CSL.load(tmp_path / "out" / "model")
    assert [model.schema.modalities[name].layer for name in ("rna", "adt")] == ["counts", None]


def test_overwrite(file, tmp_path, capsys):
    assert run("fit", file, tmp_path / "out", "--max-epochs", 1) == 0
    assert run("fit", file, tmp_path / "out", "--max-epochs", 1) == 2
    assert "exists already. Give another folder, or --overwrite" in capsys.readouterr().err
    assert run("fit", file, tmp_path / "out", "--max-epochs", 1, "--overwrite") == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["{tmp}/none.h5mu", "{tmp}/out"], "No file"),
        (["{tmp}/text.txt", "{tmp}/out"], "text.txt is neither .h5mu nor .h5ad, nor the .zarr folder"),
        (["{tmp}/none.zarr", "{tmp}/out"], "No folder"),
        (["{tmp}/empty.zarr", "{tmp}/out"], "empty.zarr"),
        (["{tmp}/in.h5mu", "{tmp}/out", "--table-key", "cells"], "--table-key is for the .zarr folder"),
        (["{tmp}/text.h5ad", "{tmp}/out"], "text.h5ad"),
        (["{tmp}/in.h5mu", "{tmp}/out", "--batch-key", "lane"], "No obs column 'lane'. Columns: age, batch, celltype"),
        (["{tmp}/in.h5mu", "{tmp}/text.txt"], "text.txt is a file. Give a folder"),
        (["{tmp}/in.h5mu", "{tmp}/out", "--layers", "count"], "No modality has a layer 'count'. Layers: none."),
        (["{tmp}/in.h5mu", "{tmp}/out", "--measure", "protein"], "--measure takes NAME=OPERATOR, not 'protein'"),
        (["{tmp}/in.h5mu", "{tmp}/out", "--measure", "adt=protien"], "Did you mean 'protein'?"),
        (["{tmp}/in.h5mu", "{tmp}/out", "--max-epochs", "0"], "max_epochs must be > 0"),
    ],
)
def test_mistakes_are_one_line(file, tmp_path, capsys, args, message):
    (tmp_path / "empty.zarr").mkdir()
    for name in ("text.txt", "text.h5ad"):
        (tmp_path / name).write_text("no data")
    assert run("fit", *(a.format(tmp=tmp_path) for a in args)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.splitlines()[-1].startswith("scvcell: ")
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def judged(mosaic, quick, tmp_path_factory):
    """A model that did not see a batch, all cells, and the split, as files."""
    tmp_path = tmp_path_factory.mktemp("judged")
    mdata = mosaic(240)
    split = scvcell.pp.split(mdata, "batch", test=["b1"])
    scvcell.tl.fit(mdata, split=split, train=quick).save(tmp_path / "model")
    mdata.write(tmp_path / "in.h5mu")
    split.save(tmp_path / "split.json")
    (tmp_path / "other.json").write_text("{}")
    return tmp_path


def test_report_is_a_page_and_json(judged, capsys):
    args = ("report", judged / "model", judged / "in.h5mu", "-o", judged / "r.html", "--json", judged / "r.json")
    assert run(*args, "--split", judged / "split.json") == 0
    assert f"Saved {judged / 'r.html'} and {judged / 'r.json'}" in capsys.readouterr().out
    report = scvcell.risk.RiskReport.from_json((judged / "r.json").read_text())
    assert "scvcell" in set(report.summary["predictor"])
    page = (judged / "r.html").read_text()
    assert "Where scvcell may be trusted" in page
    rows = report.summary.query("predictor == 'scvcell' and better != 'nominal'")
    assert all(f">{name}, {metric}" in page for name, metric in zip(rows["readout"], rows["metric"], strict=True))
    assert run(*args) == 2
    assert "r.html exists already. Give another file, or --overwrite" in capsys.readouterr().err


def test_a_report_fetches_its_model_from_the_hub_before_it_reads_the_data(judged, capsys, monkeypatch):
    args = ("report", "lab/atlas@v1", judged / "in.h5mu", "-o", judged / "hub.html")
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.chdir(judged)

    def offline(*args, **options):
        raise hub.errors.LocalEntryNotFoundError("offline")

    with monkeypatch.context() as patch:
        patch.setattr(hub, "snapshot_download", offline)
        patch.setattr("scvcell._cli.read", pytest.fail)
        assert run(*args) == 2
    assert "scvcell: No folder 'lab/atlas@v1' here, and the hub cannot be reached" in capsys.readouterr().err

    def evaluate(model, data, **options):
        raise ValueError(f"{model.schema.batches}, {data.n_obs} cells")

    monkeypatch.setattr(hub, "snapshot_download", lambda name, revision, **o: {"lab/atlas": "model"}[name])
    monkeypatch.setattr("scvcell.risk.evaluate", evaluate)
    assert run(*args) == 2
    model = scvcell.CSL.load(judged / "model")
    assert capsys.readouterr().err == f"scvcell: {model.schema.batches}, 240 cells\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "none"}, "No folder {tmp}/none"),
        ({"data": "none.h5mu"}, "No file {tmp}/none.h5mu"),
        ({"data": "split.json"}, "neither .h5mu nor .h5ad"),
        ({"--split": "none.json"}, "No file {tmp}/none.json"),
        ({"--split": "other.json"}, "other.json"),
        ({"-o": "model"}, "model is a folder. Give a file."),
        ({"--groups": "colour"}, "No obs column 'colour'"),
        ({"--axes": "contxt"}, "Did you mean 'context'"),
    ],
)
def test_mistakes_of_a_report_are_one_line(judged, capsys, change, message):
    paths = {"model": "model", "data": "in.h5mu", "-o": "new.html"} | change
    named = [
        part
        for key, value in paths.items()
        if key.startswith("-")
        for part in (key, value if key in ("--groups", "--axes") else judged / value)
    ]
    assert run("report", judged / paths["model"], judged / paths["data"], *named) == 2
    error = capsys.readouterr().err
    assert message.format(tmp=judged) in error
    assert error.splitlines()[-1].startswith("scvcell: ")
    assert "Traceback" not in error
    assert not (judged / "new.html").exists()


def test_interrupt_before_there_is_a_model(file, tmp_path, capsys, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("scvcell.tl.fit", stop)
    assert run("fit", file, tmp_path / "out") == 130
    assert "interrupted before there was a model" in capsys.readouterr().err


def test_interrupt_during_training_saves_what_there_is(file, tmp_path, monkeypatch, mosaic):
    from scvcell.model._train import TrainingPlan

    def stop(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainingPlan, "on_train_epoch_end", stop)
    assert run("fit", file, tmp_path / "out") == 130
    assert np.isfinite(scvcell.CSL.load(tmp_path / "out" / "model", mosaic(90)).get_latent_representation()).all()


@pytest.mark.parametrize("args", [[], ["fti"], ["fit"]])
def test_usage(args, capsys):
    with pytest.raises(SystemExit) as stop:
        main(args)
    assert stop.value.code == 2
    assert "usage: scvcell" in capsys.readouterr().err


def test_diverged_training_is_one_line(file, tmp_path, capsys, monkeypatch):
    from scvcell.measure import Counts

    monkeypatch.setattr(Counts, "log_prob", lambda self, x, z, *_, **__: z.sum(1) * float("nan"))
    assert run("fit", file, tmp_path / "out") == 2
    assert "scvcell: Training diverged: the loss of 'rna'" in capsys.readouterr().err


def test_a_fit_keeps_how_far_it_has_come(file, tmp_path, capsys):
    kept = tmp_path / "kept"
    assert run("fit", file, tmp_path / "out", "--max-epochs", "1", "--checkpoint", kept) == 0
    assert (kept / "round-0.done.pt").is_file()
    capsys.readouterr()
    assert run("fit", file, tmp_path / "other", "--max-epochs", "2", "--checkpoint", kept) == 2
    assert "keeps another fit: max_epochs: 1 then, 2 now" in capsys.readouterr().err
    assert not (tmp_path / "other" / "model").exists()


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--precision", "bf16", "precision must be one of 32"), ("--devices", "0", "devices must be a whole number >= 1")],
)
def test_settings_of_processes_are_checked(file, tmp_path, capsys, option, value, said):
    assert run("fit", file, tmp_path / "out", option, value) == 2
    assert said in capsys.readouterr().err


LIGHT = """
import resource, sys
from scvcell._cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as stop:
    status = stop.code
use = resource.getrusage(resource.RUSAGE_SELF)
print("spent", use.ru_utime + use.ru_stime, "torch" in sys.modules)
sys.exit(status)
"""


@pytest.mark.parametrize(
    ("args", "status", "said", "seconds"),
    [
        (["--version"], 0, f"scvcell {scvcell.__version__}", 1),
        (["--help"], 0, "usage: scvcell", 1),
        (["fit", "--help"], 0, ".h5ad", 1),
        (["fit", "none.h5mu", "out"], 2, "No file none.h5mu", 1),
        (["fit", "{tmp}/text.txt", "out"], 2, "neither .h5mu nor .h5ad", 1),
        (["fit", "{tmp}/text.h5ad", "out"], 2, "not an HDF5 file", 1),
        (["fit", "{tmp}/in.h5mu", "{tmp}/out", "--measure", "protein"], 2, "NAME=OPERATOR", 1),
        (["fit", "{tmp}/in.h5mu", "{tmp}/out", "--max-epochs", "0"], 2, "max_epochs must be > 0", 1),
        (["report", "none", "none.h5mu"], 2, "No folder none", 1),
        (["report", "{tmp}", "{tmp}/text.h5ad", "-o", "{tmp}/r.html"], 2, "not an HDF5 file", 1),
        (["report", "{tmp}", "{tmp}/in.h5mu", "--groups", "lane", "-o", "{tmp}/r.html"], 2, "No obs column 'lane'", 5),
        (["demo", "--out", "{tmp}/text.txt"], 2, "text.txt is a file", 1),
        (["fit", "{tmp}/in.h5mu", "{tmp}/out", "--batch-key", "lane"], 2, "No obs column 'lane'", 5),
        (["fit", "{tmp}/in.h5mu", "{tmp}/out", "--layers", "count"], 2, "No modality has a layer", 5),
    ],
)
def test_what_needs_no_torch_is_quick(file, tmp_path, args, status, said, seconds):
    for name in ("text.txt", "text.h5ad"):
        (tmp_path / name).write_text("no data")
    args = [arg.format(tmp=tmp_path) for arg in args]
    done = subprocess.run([sys.executable, "-c", LIGHT, *args], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert said in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == (status == 2)
    _, spent, torch = done.stdout.splitlines()[-1].split()
    assert torch == "False"
    assert float(spent) < seconds
