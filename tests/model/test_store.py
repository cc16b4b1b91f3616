"""Save and load: identical models, no unpickling, and an old model that survives every failure."""

import errno
import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import scvcell
from scvcell import CSL


@pytest.fixture
def saved(small, tmp_path):
    return small.model.save(tmp_path / "model")


def edit(folder, change):
    meta = json.loads((folder / "model.json").read_text())
    change(meta)
    (folder / "model.json").write_text(json.dumps(meta))


class TestRoundTrip:
    def test_everything_comes_back(self, small, saved):
        again = CSL.load(saved)
        ours, theirs = small.model.module.state_dict(), again.module.state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[k], theirs[k]) for k in ours)
        assert again.schema == small.model.schema
        assert again.split_ == small.model.split_
        assert (again.alignment, again.matched) == (small.model.alignment, small.model.matched)
        assert again.weights == small.model.weights
        assert again.parameters() == small.model.parameters()
        assert again.is_trained_
        assert again.history.keys() == small.model.history.keys()
        for name, frame in small.model.history.items():
            np.testing.assert_allclose(again.history[name][name], frame[name])

    def test_embeddings_are_identical(self, small, saved):
        np.testing.assert_array_equal(CSL.load(saved).get_latent_representation(small.mdata), small.mdata.obsm["X_csl"])

    def test_calibration_comes_back_without_data(self, small, saved):
        again = CSL.load(saved)
        assert again.calibration_.keys() == small.model.calibration_.keys() != set()
        ours, theirs = (scvcell.tl.translate(small.mdata, m, to="adt") for m in (small.model, again))
        for layer in ("lower", "upper", "mean"):
            np.testing.assert_array_equal(ours.layers[layer], theirs.layers[layer])
        pd.testing.assert_frame_equal(ours.var, theirs.var)
        pd.testing.assert_frame_equal(ours.obs, theirs.obs)

    def test_encoders_of_many_cells_have_one_network(self, small, mosaic, quick, tmp_path, monkeypatch):
        monkeypatch.setattr("scvcell.model._train.FEW_CELLS", 50)
        data = mosaic(90)
        model = scvcell.tl.fit(data, train=replace(quick, max_epochs=1))
        again = CSL.load(model.save(tmp_path / "large"))
        assert (small.model.n_networks, model.n_networks, again.n_networks) == (2, 1, 1)
        np.testing.assert_array_equal(again.get_latent_representation(data), data.obsm["X_csl"])

    def test_with_data(self, small, saved):
        again = CSL.load(saved, small.mdata)
        assert again.adata is small.mdata
        np.testing.assert_array_equal(again.get_latent_representation(), small.mdata.obsm["X_csl"])

    @pytest.mark.parametrize("likelihood", ["zinb", "poisson"])
    def test_options_layers_covariates_and_weights(self, mosaic, quick, tmp_path, likelihood):
        mdata = mosaic(90)
        mdata["rna"].layers["counts"] = mdata["rna"].X
        model = scvcell.tl.fit(
            mdata,
            measure={"rna": ("counts", {"likelihood": likelihood})},
            batch_key="batch",
            covariates=["celltype", "age"],
            layers={"rna": "counts"},
            weights=scvcell.Weights(contrast=3),
            train=quick,
        )
        again = CSL.load(model.save(tmp_path / "model"), mdata)
        np.testing.assert_array_equal(again.get_latent_representation(), mdata.obsm["X_csl"])
        assert again.module.operators["rna"].likelihood == likelihood
        assert again.weights.contrast == 3
        for a, b in zip(
            *(scvcell.tl.translate(mdata, m, to="rna").layers["mean"] for m in (model, again)), strict=True
        ):
            np.testing.assert_array_equal(a, b)

    def test_saved_twice_is_the_same(self, small, saved, tmp_path):
        second = CSL.load(saved).save(tmp_path / "second")
        first, again = (json.loads((p / "model.json").read_text()) for p in (saved, second))
        assert first == again

    def test_a_string_path_and_missing_parents(self, small, tmp_path):
        path = small.model.save(str(tmp_path / "a" / "b" / "model"))
        assert CSL.load(str(path)).n_latent == small.model.n_latent

    def test_anndata_model(self, mosaic, quick, tmp_path):
        adata = mosaic(90)["rna"]
        model = scvcell.tl.fit(adata, train=quick)
        again = CSL.load(model.save(tmp_path / "m"), adata)
        np.testing.assert_array_equal(again.get_latent_representation(), adata.obsm["X_csl"])

    def test_a_loaded_model_without_data_says_so(self, saved):
        again = CSL.load(saved)
        with pytest.raises(ValueError, match="loaded without data; give the data"):
            again.get_latent_representation()
        with pytest.raises(ValueError, match="loaded without data"):
            again.train()


class TestNothingIsUnpickled:
    def test_a_malicious_file_is_refused(self, saved, tmp_path):
        class Harm:
            def __reduce__(self):
                return (open, (str(tmp_path / "harm"), "w"))

        torch.save({"x": Harm()}, saved / "model.pt")
        with pytest.raises(
            ValueError, match=r"model.pt is damaged, or holds more than numbers; nothing of it was loaded"
        ):
            CSL.load(saved)
        assert not (tmp_path / "harm").exists()

    def test_malicious_calibration_is_refused(self, small, saved, tmp_path):
        class Harm:
            def __reduce__(self):
                return (open, (str(tmp_path / "harm"), "w"))

        np.savez(saved / "calibration.npz", **{"rna>adt/pool": np.array([Harm()], dtype=object)})
        with pytest.raises(ValueError, match=r"calibration.npz is damaged, or holds more than numbers"):
            CSL.load(saved)
        assert not (tmp_path / "harm").exists()

    def test_files_hold_tensors_and_plain_values_only(self, saved):
        assert {p.name for p in saved.iterdir()} == {"model.json", "model.pt", "calibration.npz"}
        state = torch.load(saved / "model.pt", weights_only=True)
        assert all(isinstance(v, torch.Tensor) for v in state.values())
        json.loads((saved / "model.json").read_text())


class TestRefusals:
    def test_newer_layout(self, saved):
        edit(saved, lambda m: m.update(format=99, scvcell="9.1"))
        with pytest.raises(ValueError, match=r"saved by scvcell 9.1 in a newer layout \(format 99.*Update scvcell"):
            CSL.load(saved)

    def test_another_version_with_the_same_layout_loads(self, small, saved):
        edit(saved, lambda m: m.update(scvcell="0.0.1"))
        assert CSL.load(saved).schema == small.model.schema

    def test_another_class(self, saved):
        edit(saved, lambda m: m.update({"class": "TOTALVI"}))
        with pytest.raises(ValueError, match="holds a 'TOTALVI' model, not CSL"):
            CSL.load(saved)

    @pytest.mark.parametrize("name", ["model.json", "model.pt"])
    def test_missing_file(self, saved, name):
        (saved / name).unlink()
        with pytest.raises(FileNotFoundError, match=f"No scvcell model at .*: {name} is missing. Save one"):
            CSL.load(saved)

    def test_missing_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"model.json is missing"):
            CSL.load(tmp_path / "nowhere")

    def test_parameters_that_do_not_fit(self, saved):
        edit(saved, lambda m: m.update(n_latent=3))
        with pytest.raises(ValueError, match="do not fit its description"):
            CSL.load(saved)

    def test_operator_that_is_not_installed(self, saved):
        edit(saved, lambda m: m["registry"]["schema"]["modalities"]["rna"].update(operator="gaussian"))
        with pytest.raises((KeyError, ValueError), match="gaussian"):
            CSL.load(saved)

    @pytest.mark.parametrize(
        ("name", "content"),
        [("model.pt", b"not a zip"), ("model.pt", b""), ("model.json", b"{half"), ("calibration.npz", b"PK")],
    )
    def test_damaged_file(self, saved, name, content):
        (saved / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is damaged"):
            CSL.load(saved)

    def test_data_that_do_not_fit(self, small, saved):
        with pytest.raises(ValueError, match="lacks 55 of the 60 features"):
            CSL.load(saved, small.mdata["rna"][:, 55:].copy())

    def test_untrained_model(self, mosaic, tmp_path):
        mdata = mosaic(90)
        CSL.setup_mudata(mdata)
        with pytest.raises(RuntimeError, match="Only a trained model can be saved"):
            CSL(mdata).save(tmp_path / "m")
        assert not list(tmp_path.iterdir())

    def test_options_that_are_not_plain(self, mosaic, quick, tmp_path):
        mdata = mosaic(90)
        model = scvcell.tl.fit(mdata, measure={"adt": ("protein", {"background": np.full(6, 0.1)})}, train=quick)
        again = CSL.load(model.save(tmp_path / "arrays"))
        assert again.schema.modalities["adt"].options["background"] == [0.1] * 6
        model.registry_["setup_args"]["measure"] = {"adt": object()}
        with pytest.raises(TypeError, match="must be plain values to be saved; found object"):
            model.save(tmp_path / "m")
        assert [p.name for p in tmp_path.iterdir()] == ["arrays"]


class TestOverwriting:
    def test_needs_to_be_asked_for(self, small, saved):
        before = (saved / "model.json").stat().st_mtime_ns
        with pytest.raises(FileExistsError, match=r"exists already. Give another path, or overwrite=True"):
            small.model.save(saved)
        assert (saved / "model.json").stat().st_mtime_ns == before

    def test_replaces_the_old_model(self, small, saved, mosaic, quick):
        mdata = mosaic(90, seed=5)
        model = scvcell.tl.fit(mdata, train=quick)
        model.save(saved, overwrite=True)
        np.testing.assert_array_equal(CSL.load(saved, mdata).get_latent_representation(), mdata.obsm["X_csl"])
        assert [p.name for p in saved.parent.iterdir()] == [saved.name]

    @pytest.mark.parametrize("fails", ["torch.save", "numpy.savez_compressed", "pathlib.Path.write_text", "swap"])
    def test_full_disk_leaves_the_old_model(self, small, saved, mosaic, quick, monkeypatch, fails):
        other = scvcell.tl.fit(mosaic(90, seed=5), train=quick)

        def full(*args, **kwargs):
            if fails == "torch.save":
                args[1].write_bytes(b"half a file")
            raise OSError(errno.ENOSPC, "No space left on device")

        if fails == "swap":
            from pathlib import Path

            original = Path.rename
            monkeypatch.setattr(
                Path,
                "rename",
                lambda self, to: (
                    full()
                    if self.name.startswith(".model-") and to.name == "model" and "old" not in self.name
                    else original(self, to)
                ),
            )
        else:
            monkeypatch.setattr(fails, full)
        with pytest.raises(OSError, match="No space left"):
            other.save(saved, overwrite=True)
        monkeypatch.undo()
        assert [p.name for p in saved.parent.iterdir()] == [saved.name], "no rubbish is left"
        np.testing.assert_array_equal(
            CSL.load(saved, small.mdata).get_latent_representation(), small.mdata.obsm["X_csl"]
        )

    def test_full_disk_for_a_new_model_leaves_nothing(self, small, tmp_path, monkeypatch):
        def full(*args, **kwargs):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("torch.save", full)
        with pytest.raises(OSError, match="No space left"):
            small.model.save(tmp_path / "model")
        assert not list(tmp_path.iterdir())

    def test_saving_over_the_folder_it_was_loaded_from(self, small, saved):
        again = CSL.load(saved)
        again.save(saved, overwrite=True)
        np.testing.assert_array_equal(
            CSL.load(saved, small.mdata).get_latent_representation(), small.mdata.obsm["X_csl"]
        )

    def test_a_folder_that_is_no_model_is_not_deleted(self, small, tmp_path):
        precious = tmp_path / "results"
        precious.mkdir()
        (precious / "thesis.txt").write_text("years of work")
        with pytest.raises(FileExistsError, match="is no scvcell model, so it is not overwritten"):
            small.model.save(precious, overwrite=True)
        assert (precious / "thesis.txt").read_text() == "years of work"


def test_permissions_are_those_of_any_new_folder(saved, tmp_path):
    (tmp_path / "usual").mkdir()
    assert saved.stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_moved_folder_loads(small, saved, tmp_path):
    moved = shutil.move(saved, tmp_path / "elsewhere")
    np.testing.assert_array_equal(CSL.load(moved, small.mdata).get_latent_representation(), small.mdata.obsm["X_csl"])


def test_a_model_of_an_earlier_version_loads_and_says_what_it_cannot_do(mosaic, quick, tmp_path):
    mdata = mosaic(120)
    model = scvcell.tl.fit(mdata, batch_key="batch", train=quick)
    model.save(tmp_path / "m")
    file = next((tmp_path / "m").glob("*.pt"))
    state = torch.load(file, weights_only=True)
    later = {"centre", "covariance", "noise", "measured"}
    old = {k: v for k, v in state.items() if not (k.startswith("front_ends.") and k.rpartition(".")[2] in later)}
    torch.save(old, file)
    again = scvcell.CSL.load(tmp_path / "m", mdata)
    torch.testing.assert_close(again.posterior(again.view()).mean, model.posterior(model.view()).mean)
    fewer = mdata["rna"][:, 3:].copy()
    with pytest.raises(ValueError, match="saved by an earlier version"):
        scvcell.tl.embed(fewer, again)
