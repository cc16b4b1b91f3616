"""Save and load: identical models, no unpickling, and an old model that survives every failure."""

import copy
import errno
import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import mudata
import numpy as np
import pandas as pd
import pytest
import torch

import scvcell
from scvcell import CSL, _folder
from scvcell.model import _store


@pytest.fixture
def saved(small, tmp_path):
    return small.model.save(tmp_path / "model")


def edit(folder, change):
    """Change what the folder says, as if it had been saved so."""
    meta = json.loads((folder / "model.json").read_text())
    change(meta)
    meta["checksum"] = _folder._of_manifest(meta)
    (folder / "model.json").write_text(json.dumps(meta))


def names_in(folder):
    """Names of cells, as the folder has them."""
    with np.load(folder / "split.npz") as arrays:
        return _store._unpacked(dict(arrays))


def without_checksums(folder):
    """The folder as versions before checksums wrote it, with the names of cells in the manifest."""
    meta = json.loads((folder / "model.json").read_text())
    del meta["files"], meta["prose"], meta["checksum"]
    meta |= {"format": 1, "split": names_in(folder)}
    (folder / "split.npz").unlink()
    (folder / "model.json").write_text(json.dumps(meta))
    return folder


FILES = ("model.json", "model.pt", "split.npz", "calibration.npz")
"""Files that a model is read from."""


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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
        assert again.calibration.arrays.keys() == small.model.calibration.arrays.keys() != set()
        ours, theirs = (scvcell.tl.translate(small.mdata, m, to="adt") for m in (small.model, again))
        for layer in ("lower", "upper", "mean"):
            np.testing.assert_array_equal(ours.layers[layer], theirs.layers[layer])
        pd.testing.assert_frame_equal(ours.var, theirs.var)
        pd.testing.assert_frame_equal(ours.obs, theirs.obs)

    def test_encoders_of_many_cells_have_one_network(self, small, mosaic, quick, tmp_path, monkeypatch):
        monkeypatch.setattr("scvcell.model._config.SMALL_DATA_CELLS", 50)
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


class TestCard:
    """The model card in the folder is for people: they may edit it, and no version of it stops a load."""

    def test_a_new_model_brings_a_new_card_unless_somebody_edited_it(self, small, saved):
        file = saved / "README.md"
        small.model.save(saved, overwrite=True, license="mit")
        assert "license: mit\n" in file.read_text()
        small.model.save(saved, overwrite=True)
        assert "license:" not in file.read_text()
        file.write_text("mine")
        for _ in range(2):
            small.model.save(saved, overwrite=True)
            assert file.read_text() == "mine"
        CSL.load(saved)
        file.unlink()
        CSL.load(saved)
        small.model.save(saved, overwrite=True)
        assert "library_name: scvcell" in file.read_text()

    def test_a_licence_that_is_none_is_refused_before_anything_is_written(self, small, tmp_path):
        with pytest.raises(ValueError, match=r"license takes a short identifier.*not 'CC BY 4.0'"):
            small.model.save(tmp_path / "model", license="CC BY 4.0")
        assert not list(tmp_path.iterdir())

    def test_names_of_cells_are_in_one_file_that_the_description_does_not_grow_with(self, small, saved):
        names = small.mdata.obs_names
        for file in ("README.md", "model.json"):
            text = (saved / file).read_text()
            assert not [name for name in names if f'"{name}"' in text]
        assert names_in(saved) == small.model.split_

    @pytest.mark.parametrize("names", [[], [""], ["", "a", ""], ["é-模", "a\nb", 'q"', "x\0", "\udcff"]])
    def test_any_name_of_a_cell_comes_back(self, names):
        split = {"train": names, "validation": ["c1"]}
        assert _store._unpacked(_store._packed({part: iter(some) for part, some in split.items()})) == split


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
        assert {p.name for p in saved.iterdir()} == {*FILES, "README.md"}
        state = torch.load(saved / "model.pt", weights_only=True)
        assert all(isinstance(v, torch.Tensor) for v in state.values())
        json.loads((saved / "model.json").read_text())


class TestRefusals:
    def test_newer_layout(self, saved):
        edit(saved, lambda m: m.update(format=99, scvcell="9.1"))
        with pytest.raises(ValueError, match=r"saved by scvcell 9.1 in a newer layout \(format 99.*'scvcell>=9.1'"):
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

    @pytest.mark.parametrize("fails", ["torch.save", "numpy.savez_compressed", "json.dumps", "os.fsync", "replace"])
    def test_full_disk_leaves_the_old_model(self, small, saved, mosaic, quick, monkeypatch, fails):
        other = scvcell.tl.fit(mosaic(90, seed=5), train=quick)
        before, replace, left = contents(saved), Path.replace, [3]

        def full(*args, **kwargs):
            raise RuntimeError("enforce fail") if fails == "torch.save" else OSError(errno.ENOSPC, "No space left")

        def some(self, to):
            left[0] -= 1
            return replace(self, to) if left[0] else full()

        monkeypatch.setattr(Path, "replace", some) if fails == "replace" else monkeypatch.setattr(fails, full)
        with pytest.raises(OSError, match=r"No space left|cannot be written to"):
            other.save(saved, overwrite=True)
        monkeypatch.undo()
        assert contents(saved) == before
        assert [p.name for p in saved.parent.iterdir()] == [saved.name], "no rubbish is left"

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
    without_checksums(tmp_path / "m")
    later = {"centre", "covariance", "noise", "measured"}
    old = {k: v for k, v in state.items() if not (k.startswith("front_ends.") and k.rpartition(".")[2] in later)}
    torch.save(old, file)
    again = scvcell.CSL.load(tmp_path / "m", mdata)
    torch.testing.assert_close(again.posterior(again.view()).mean, model.posterior(model.view()).mean)
    fewer = mdata["rna"][:, 3:].copy()
    with pytest.raises(ValueError, match="saved by an earlier version"):
        scvcell.tl.embed(fewer, again)


class TestDamage:
    """Whatever is changed in a folder, it is refused by the name of the file, and never read as something else."""

    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize("how", ["flip", "cut", "longer", "empty"])
    def test_any_byte_of_any_file(self, saved, name, how):
        rng, raw = np.random.default_rng(0), (saved / name).read_bytes()
        for _ in range(25 if how in ("flip", "cut") else 1):
            changed = bytearray(raw)
            if how == "flip":
                changed[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
            elif how == "cut":
                changed = changed[: rng.integers(len(raw))]
            else:
                changed = changed + b"x" * 10 if how == "longer" else bytearray()
            (saved / name).write_bytes(bytes(changed))
            with pytest.raises(ValueError, match=name):
                CSL.load(saved)

    def test_a_folder_that_knows_no_split_is_read(self, saved):
        edit(saved, lambda meta: meta.pop("split_digest"))
        assert CSL.load(saved).split_digest == ""

    def test_a_folder_without_checksums_is_read_and_its_damage_is_one_kind_of_error(self, small, saved):
        without_checksums(saved)
        np.testing.assert_array_equal(
            CSL.load(saved, small.mdata).get_latent_representation(), small.mdata.obsm["X_csl"]
        )
        rng = np.random.default_rng(0)
        for name in ("model.json", "model.pt", "calibration.npz"):
            raw = (saved / name).read_bytes()
            for _ in range(40):
                changed = bytearray(raw)
                changed[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
                (saved / name).write_bytes(bytes(changed[: rng.integers(len(raw))] if rng.random() < 0.5 else changed))
                try:
                    CSL.load(saved)
                except ValueError as error:
                    assert "damaged" in str(error) or "holds a" in str(error) or "newer" in str(error)  # noqa: PT017
            (saved / name).write_bytes(raw)

    @pytest.mark.parametrize(
        "change",
        [
            lambda m: m.clear(),
            lambda m: m.update(format="1"),
            lambda m: m.pop("registry"),
            lambda m: m["weights"].update(other=1),
            lambda m: m["registry"]["schema"]["modalities"]["rna"].update(features=[]),
            lambda m: m["registry"]["schema"].update(batches=[]),
            lambda m: m.update(n_latent=-1),
            lambda m: m.update(n_latent=20_000_000),
            lambda m: m.update(n_networks=10_000_000),
            lambda m: m.update(history=[1]),
            lambda m: m["files"].update({"../outside": m["files"]["model.pt"]}),
        ],
    )
    def test_descriptions_that_make_no_sense(self, saved, change):
        edit(saved, change)
        with pytest.raises((ValueError, FileNotFoundError), match=r"damaged|do not fit|holds a|missing"):
            CSL.load(saved)

    def test_arrays_that_unpack_to_far_more(self, saved, monkeypatch):
        monkeypatch.setattr("scvcell.model._store.MAX_ARRAY_BYTES", 1000)
        without_checksums(saved)
        np.savez_compressed(saved / "calibration.npz", **{"rna>adt/pool": np.zeros(10_000_000, np.uint8)})
        with pytest.raises(ValueError, match=r"calibration.npz is damaged"):
            CSL.load(saved)


class TestFilesOfOthers:
    def test_they_stay(self, small, saved):
        (saved / "figures").mkdir()
        (saved / "figures" / "umap.png").write_bytes(b"mine")
        (saved / "cells.h5mu").write_bytes(b"mine")
        (saved / ".hidden").write_bytes(b"mine")
        small.model.save(saved, overwrite=True)
        for name in ("figures/umap.png", "cells.h5mu", ".hidden"):
            assert (saved / name).read_bytes() == b"mine"
        CSL.load(saved)

    def test_a_file_of_the_same_name_is_not_taken(self, small, saved):
        (saved / "guidance.npz").write_bytes(b"mine")
        before = contents(saved)
        meta = json.loads((saved / "model.json").read_text())
        with pytest.raises(FileExistsError, match=r"has a guidance.npz that is not the model's"):
            _folder.write(saved, meta, {"guidance.npz": lambda f: f.write(b"ours")}, plain=str)
        assert contents(saved) == before

    @pytest.mark.parametrize("text", ['{"modelTopology": {}}', "[1]", "no json", "", '{"class": "CSL"}'])
    def test_a_model_json_of_another_program_is_no_model(self, small, tmp_path, text):
        (tmp_path / "model.json").write_text(text)
        (tmp_path / "thesis.txt").write_text("mine")
        before = contents(tmp_path)
        with pytest.raises(FileExistsError, match="is no scvcell model"):
            small.model.save(tmp_path, overwrite=True)
        assert contents(tmp_path) == before

    def test_a_part_that_the_model_no_longer_has_goes(self, saved):
        edit(saved, lambda m: m["files"].update({"drift.npz": m["files"]["calibration.npz"]}))
        shutil.copy(saved / "calibration.npz", saved / "drift.npz")
        _folder.write(saved, {}, {"model.pt": lambda f: f.write(b"x")}, plain=str)
        assert {path.name for path in saved.iterdir()} == {"model.json", "model.pt", "README.md"}

    def test_links_are_followed_and_stay(self, small, tmp_path):
        place = small.model.save(tmp_path / "store")
        link = tmp_path / "model"
        link.symlink_to(place)
        for _ in range(2):
            time = (place / "model.pt").stat().st_mtime_ns
            small.model.save(link, overwrite=True)
            assert link.is_symlink()
            assert (place / "model.pt").stat().st_mtime_ns > time
        CSL.load(link)

    @pytest.mark.parametrize("name", ["m" * 255, "a b", "ünï-模型", "-o", ".hidden", "model.json", "$HOME"])
    def test_odd_names(self, small, tmp_path, name):
        folder = small.model.save(tmp_path / name)
        small.model.save(folder, overwrite=True)
        CSL.load(folder)
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_where_a_file_is_in_the_way(self, small, tmp_path):
        (tmp_path / "file").write_text("mine")
        for path in (tmp_path / "file", tmp_path / "file" / "model"):
            with pytest.raises(NotADirectoryError, match="is a file, not a folder"):
                small.model.save(path, overwrite=True)
        assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_the_model_without_its_data(small, again):
    other = again(small.model)
    assert other.adata is None
    assert small.model.adata is small.mdata
    assert len(pickle.dumps(small.model)) < 4 * sum(p.nbytes for p in small.model.module.state_dict().values())
    ours, theirs = (scvcell.tl.translate(small.mdata, m, to="adt") for m in (small.model, other))
    np.testing.assert_array_equal(ours.X, theirs.X)
    np.testing.assert_array_equal(ours.layers["lower"], theirs.layers["lower"])
    assert {**vars(other), "_adata": 0}.keys() == {**vars(small.model), "_adata": 0}.keys()
    with pytest.raises(ValueError, match="loaded without data"):
        other.get_latent_representation()
    next(other.module.parameters()).data.add_(1)
    np.testing.assert_array_equal(small.model.get_latent_representation(), small.mdata.obsm["X_csl"])


def test_copies_of_a_model_with_actions_and_with_query_batches(mosaic, quick, tmp_path):
    data = scvcell.datasets.simulate_actions(200, n_targets=2, pairs=False, n_genes=40, n_proteins=5, seed=1)
    mdata = mudata.MuData({"rna": data["rna"].copy(), "flow": data["adt"].copy()})
    mdata.obs["action"] = data.obs["action"]
    keys = scvcell.PerturbationKeys("action", control="control")
    model = scvcell.tl.fit(mdata, measure={"flow": "protein"}, perturbation=keys, train=quick)
    loaded = CSL.load(model.save(tmp_path / "m"))
    for other in (loaded, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        ours, theirs = (scvcell.tl.effects(mdata, m, "T1") for m in (model, other))
        pd.testing.assert_frame_equal(ours, theirs)
    cells = mosaic(90)
    query = cells[cells.obs["batch"] == cells.obs["batch"].iloc[0]].copy()
    query.obs["batch"] = "new"
    for adata in query.mod.values():
        adata.obs["batch"] = "new"
    mapped = scvcell.tl.fit(cells, batch_key="batch", train=quick).load_query_data(query, train=quick)
    again = pickle.loads(pickle.dumps(mapped))
    np.testing.assert_array_equal(again.get_latent_representation(query), mapped.get_latent_representation(query))


@pytest.mark.parametrize(
    "options",
    [
        np.full(6, 0.1),
        pd.Series(np.full(6, 0.1)),
        tuple(np.full(6, 0.1)),
        np.full(6, 0.1, np.float32),
        [np.float64(0.1)] * 6,
    ],
)
def test_options_are_made_plain_when_they_are_given(mosaic, quick, tmp_path, options):
    mdata = mosaic(90)
    measure = {"rna": scvcell.measure.Counts, "adt": (scvcell.measure.Protein, {"background": options})}
    if len(options) == 1:
        measure["adt"] = (scvcell.measure.Protein, {"background": list(options) * 6})
    model = scvcell.tl.fit(mdata, measure=measure, train=quick, batch_key=["batch"])
    assert model.schema.modalities["adt"].options["background"] == pytest.approx([0.1] * 6)
    assert CSL.load(model.save(tmp_path / "m"), mdata).schema == model.schema


def test_options_that_no_file_holds_are_refused_before_any_work(mosaic):
    with pytest.raises(TypeError, match=r"measure\['adt'\]: background must be plain: a number, text, or a list"):
        scvcell.tl.fit(mosaic(90), measure={"adt": ("protein", {"background": object()})})
