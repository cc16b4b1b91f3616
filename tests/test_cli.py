"""The command line: info, fit on .h5mu and .h5ad, messages instead of tracebacks."""

import logging

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
    np.testing.assert_allclose(latent, model.get_latent_representation(), atol=1e-4)
    assert model.schema.batch_key == "batch"
    assert file.read_bytes() == before, "the input file is read only"


def test_fit_of_an_h5ad_with_another_operator(mosaic, tmp_path):
    mosaic(90)["adt"].write_h5ad(tmp_path / "in.h5ad")
    assert run("fit", tmp_path / "in.h5ad", tmp_path / "out", "--measure", "rna=protein", "--max-epochs", 1) == 0
    assert scvcell.CSL.load(tmp_path / "out" / "model").schema.modalities["rna"].operator == "protein"


def test_overwrite(file, tmp_path, capsys):
    assert run("fit", file, tmp_path / "out", "--max-epochs", 1) == 0
    assert run("fit", file, tmp_path / "out", "--max-epochs", 1) == 2
    assert "exists already. Give another folder, or --overwrite" in capsys.readouterr().err
    assert run("fit", file, tmp_path / "out", "--max-epochs", 1, "--overwrite") == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["{tmp}/none.h5mu", "{tmp}/out"], "No file"),
        (["{tmp}/text.txt", "{tmp}/out"], "text.txt is neither .h5mu nor .h5ad"),
        (["{tmp}/text.h5ad", "{tmp}/out"], "text.h5ad"),
        (["{tmp}/in.h5mu", "{tmp}/out", "--batch-key", "lane"], "No obs column 'lane'. Columns: age, batch, celltype"),
        (["{tmp}/in.h5mu", "{tmp}/out", "--measure", "protein"], "--measure takes NAME=OPERATOR, not 'protein'"),
        (["{tmp}/in.h5mu", "{tmp}/out", "--measure", "adt=protien"], "Did you mean 'protein'?"),
        (["{tmp}/in.h5mu", "{tmp}/out", "--max-epochs", "0"], "max_epochs must be > 0"),
    ],
)
def test_mistakes_are_one_line(file, tmp_path, capsys, args, message):
    for name in ("text.txt", "text.h5ad"):
        (tmp_path / name).write_text("no data")
    assert run("fit", *(a.format(tmp=tmp_path) for a in args)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.splitlines()[-1].startswith("scvcell: ")
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


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

    monkeypatch.setattr(Counts, "log_prob", lambda self, x, z, *_: z.sum(1) * float("nan"))
    assert run("fit", file, tmp_path / "out") == 2
    assert "scvcell: Training diverged: the loss of 'rna'" in capsys.readouterr().err
