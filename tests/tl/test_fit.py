"""tl.fit on every container: what is written, what is left alone, seeds, memory, and failures on the way."""

import gc
import importlib
import tracemalloc
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

import scvcell
from scvcell.model import Diverged

WRITTEN = (".uns/keys", ".obsm/keys", ".obsm/X_csl", ".obs/csl_uncertainty")


def kept(fingerprint, data):
    """Fingerprint without the documented keys of a fit."""
    out = fingerprint(data, without=WRITTEN)
    return {k: v for k, v in out.items() if not k.startswith(".uns/csl")}


class TestWhatIsWritten:
    def test_documented_keys_and_nothing_else(self, mosaic, quick, fingerprint):
        mdata = mosaic(90)
        mdata.uns["mine"] = {"a": 1}
        mdata.obsm["X_mine"] = np.zeros((mdata.n_obs, 2))
        before = kept(fingerprint, mdata)
        model = scvcell.tl.fit(mdata, batch_key="batch", train=quick)
        after = kept(fingerprint, mdata)
        assert after == before
        assert set(mdata.uns) == {"mine", "csl"}
        assert {"X_mine", "X_csl"} <= set(mdata.obsm)
        assert not {"X_csl"} & {k for a in mdata.mod.values() for k in a.obsm}
        assert mdata.obsm["X_csl"].shape == (mdata.n_obs, model.n_latent)
        np.testing.assert_array_equal(mdata.obsm["X_csl"], model.get_latent_representation())
        expected = model.posterior().var.sqrt().mean(1)
        np.testing.assert_allclose(mdata.obs["csl_uncertainty"], expected, rtol=1e-6)

    def test_uns_is_plain_and_can_be_written(self, mosaic, quick, tmp_path):
        import mudata

        mdata = mosaic(90)
        model = scvcell.tl.fit(mdata, batch_key="batch", train=quick, seed=4)
        uns = mdata.uns["csl"]
        assert uns["params"]["seed"] == 4
        assert uns["params"]["modalities"] == {"rna": "counts", "adt": "protein"}
        assert uns["version"] == scvcell.__version__
        assert set(uns["history"]) == set(model.history)
        mdata.write(tmp_path / "fitted.h5mu")
        again = mudata.read_h5mu(tmp_path / "fitted.h5mu")
        np.testing.assert_array_equal(again.obsm["X_csl"], mdata.obsm["X_csl"])
        assert again.uns["csl"]["params"]["n_latent"] == model.n_latent

    def test_key_added(self, mosaic, quick):
        mdata = mosaic(90)
        scvcell.tl.fit(mdata, train=quick, key_added="X_mine")
        assert "X_mine" in mdata.obsm
        assert "X_csl" not in mdata.obsm
        assert "X_mine_uncertainty" in mdata.obs

    def test_a_second_fit_replaces_the_first(self, mosaic, quick):
        mdata = mosaic(90)
        scvcell.tl.fit(mdata, train=quick, seed=0)
        first = mdata.obsm["X_csl"].copy()
        scvcell.tl.fit(mdata, train=quick, seed=1)
        assert not np.array_equal(first, mdata.obsm["X_csl"])
        assert mdata.uns["csl"]["params"]["seed"] == 1


class TestContainers:
    def test_anndata(self, mosaic, quick, fingerprint):
        adata = mosaic(90)["rna"]
        before = kept(fingerprint, adata)
        model = scvcell.tl.fit(adata, batch_key="batch", train=quick)
        assert kept(fingerprint, adata) == before
        assert adata.obsm["X_csl"].shape == (adata.n_obs, model.n_latent)
        assert list(model.schema.modalities) == ["rna"]

    def test_anndata_of_proteins(self, mosaic, quick):
        adata = mosaic(90)["adt"]
        model = scvcell.tl.fit(adata, measure={"rna": "protein"}, train=quick)
        assert model.schema.modalities["rna"].operator == "protein"

    @pytest.mark.filterwarnings("ignore::anndata.ImplicitModificationWarning")
    def test_view_of_an_anndata(self, mosaic, quick, fingerprint):
        adata = mosaic(90)["rna"]
        before = fingerprint(adata)
        part = adata[adata.obs["batch"] == "b0"]
        scvcell.tl.fit(part, train=quick)
        assert part.obsm["X_csl"].shape[0] == part.n_obs
        assert fingerprint(adata) == before, "the parent of a view must not change"

    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_view_of_a_mudata(self, mosaic, quick, fingerprint):
        mdata = mosaic(90)
        before = fingerprint(mdata)
        part = mdata[mdata.obs["batch"] == "b0"]
        scvcell.tl.fit(part, train=quick)
        assert part.obsm["X_csl"].shape[0] == part.n_obs < mdata.n_obs
        assert fingerprint(mdata) == before

    @pytest.mark.parametrize("name", ["RNA", "my proteins", "a/b", "gène", "10"])
    def test_modalities_of_any_name(self, mosaic, quick, name, tmp_path):
        mdata = mosaic(90)
        own = MuData({name: mdata["rna"], "adt": mdata["adt"]})
        model = scvcell.tl.fit(own, measure={name: "counts"}, train=quick)
        again = scvcell.CSL.load(model.save(tmp_path / "model"), own)
        np.testing.assert_array_equal(again.get_latent_representation(), own.obsm["X_csl"])
        assert np.isfinite(scvcell.tl.translate(own, again, to=name)[mdata["adt"].obs_names].X).all()

    @pytest.mark.parametrize("name", ["GEX.v3", "values", "train"])
    def test_modalities_of_names_that_torch_refuses(self, mosaic, quick, name):
        mdata = mosaic(90)
        own = MuData({name: mdata["rna"], "adt": mdata["adt"]})
        scvcell.tl.fit(own, measure={name: "counts"}, train=quick)

    @pytest.mark.parametrize("dtype", ["uint8", "bool", "float16"])
    def test_small_types(self, mosaic, quick, dtype):
        x = np.minimum(mosaic(90)["rna"].X.toarray(), 200).astype(dtype)
        adata = AnnData(x)
        scvcell.tl.fit(adata, train=quick)
        assert np.isfinite(adata.obsm["X_csl"]).all()
        assert adata.X.dtype == dtype

    def test_a_modality_of_one_cell_and_one_of_zeros(self, mosaic, quick):
        mdata = mosaic(90)
        empty = AnnData(sp.csr_matrix((30, 4), dtype=np.float32))
        empty.obs_names = mdata["rna"].obs_names[:30]
        odd = MuData({"rna": mdata["rna"], "adt": mdata["adt"][:1].copy(), "hto": empty})
        scvcell.tl.fit(odd, measure={"hto": "protein"}, train=quick)
        assert np.isfinite(odd.obsm["X_csl"]).all()

    def test_copied_subset_of_a_mudata(self, mosaic, quick):
        mdata = mosaic(90)
        part = mdata[mdata.obs["batch"] == "b0"].copy()
        scvcell.tl.fit(part, train=quick)
        assert np.isfinite(part.obsm["X_csl"]).all()

    def test_shuffled_cells_and_modalities_of_different_cells(self, mosaic, quick):
        mdata = mosaic(90)
        order = np.random.default_rng(3).permutation(mdata.n_obs)
        other = mdata[order].copy()
        scvcell.tl.fit(other, train=quick)
        assert list(other.obs_names) == list(mdata.obs_names[order])

    def test_three_modalities_of_two_operators(self, mosaic, quick):
        mdata = mosaic(90)
        three = MuData({"adt": mdata["adt"], "rna": mdata["rna"], "spliced": mdata["rna"][:20].copy()})
        model = scvcell.tl.fit(three, measure={"spliced": "counts"}, train=quick)
        assert list(three.mod) == ["adt", "rna", "spliced"]
        assert list(model.schema.modalities) == ["adt", "rna", "spliced"]
        assert len(model.module.inference(next(model.batches(model.source(model.view())))).pairs) == 3

    def test_nothing_paired(self, mosaic, quick):
        mdata = mosaic(90)
        rna, adt = mdata["rna"].copy(), mdata["adt"].copy()
        adt.obs_names = [f"{n}-p" for n in adt.obs_names]
        apart = MuData({"rna": rna, "adt": adt})
        scvcell.tl.fit(apart, train=quick)
        assert np.isfinite(apart.obsm["X_csl"]).all()

    def test_every_form_of_counts(self, mosaic, quick, stored, form):
        data = stored(mosaic(60), form)
        types = {m: type(a.X) for m, a in data.mod.items()}
        scvcell.tl.fit(data, batch_key="batch", train=replace(quick, max_epochs=1))
        assert np.isfinite(data.obsm["X_csl"]).all()
        assert {m: type(a.X) for m, a in data.mod.items()} == types

    def test_same_numbers_for_every_type_in_memory(self, mosaic, quick, stored):
        latents = []
        for form in ("csr_matrix", "csc_array", "dense", "int64", "uint16", "float64"):
            data = stored(mosaic(60), form)
            scvcell.tl.fit(data, batch_key="batch", train=quick)
            latents.append(data.obsm["X_csl"])
        for latent in latents[1:]:
            np.testing.assert_allclose(latent, latents[0], atol=2e-3)

    def test_layers(self, mosaic, quick):
        mdata = mosaic(90)
        plain = mdata.copy()
        for name, adata in mdata.mod.items():
            adata.layers["counts"] = adata.X.copy()
            adata.X = np.log1p(adata.X) - 0.5 * (name == "rna") * sp.csr_matrix(np.eye(*adata.shape))
        scvcell.tl.fit(mdata, layers={"rna": "counts", "adt": "counts"}, train=quick)
        scvcell.tl.fit(plain, train=quick)
        np.testing.assert_array_equal(mdata.obsm["X_csl"], plain.obsm["X_csl"])


class TestSeeds:
    def test_the_same_seed_repeats_bit_by_bit(self, mosaic, quick):
        runs = []
        for seed in (0, 0, 1):
            mdata = mosaic(90)
            np.random.seed(len(runs))  # noqa: NPY002  global state must not matter
            scvcell.tl.fit(mdata, batch_key="batch", train=quick, seed=seed)
            runs.append(mdata.obsm["X_csl"])
        np.testing.assert_array_equal(runs[0], runs[1])
        assert not np.array_equal(runs[0], runs[2])

    def test_global_random_state_is_left_alone(self, mosaic, quick):
        import torch

        before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        scvcell.tl.fit(mosaic(90), train=quick)
        assert torch.equal(torch.get_rng_state(), before[0])
        np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002

    def test_seed_repeats_on_disk(self, mosaic, quick, stored):
        disk = stored(mosaic(90), "h5ad csr")
        latents = []
        for _ in range(2):
            scvcell.tl.fit(disk, batch_key="batch", train=quick)
            latents.append(np.array(disk.obsm["X_csl"]))
        np.testing.assert_array_equal(*latents)


class TestSplit:
    @pytest.mark.parametrize("given", ["list", "index", "object"])
    def test_held_out_cells_are_never_seen(self, mosaic, quick, given):
        mdata = mosaic(90)
        test = mdata.obs_names[::4]
        split = {"list": test.tolist(), "index": test, "object": SimpleNamespace(test=test)}[given]
        model = scvcell.tl.fit(mdata, train=replace(quick, validation=0.2), split=split)
        used = set(model.split_["train"]) | set(model.split_["validation"])
        assert used == set(mdata.obs_names) - set(test)
        assert not set(model.split_["train"]) & set(model.split_["validation"])
        assert np.isfinite(mdata.obsm["X_csl"]).all(), "held-out cells are embedded all the same"

    def test_values_of_held_out_cells_do_not_matter(self, mosaic, quick):
        mdata, other = mosaic(90), mosaic(90)
        test = mdata.obs_names[::4]
        for adata in other.mod.values():
            x = adata.X.toarray()
            x[adata.obs_names.isin(test)] = 5
            adata.X = sp.csr_matrix(x)
        one, two = (scvcell.tl.fit(d, batch_key="batch", train=quick, split=test) for d in (mdata, other))
        keep = ~mdata.obs_names.isin(test)
        np.testing.assert_array_equal(one.posterior().mean[keep], two.posterior().mean[keep])

    def test_only_training_cells_of_a_split_are_trained_on(self, mosaic, quick, tmp_path):
        mdata, other = mosaic(480), mosaic(480)
        part = np.array(["train", "train", "train", "calibration", "test", None], object)[np.arange(480) % 6]
        split = scvcell.pp.split(mdata, assign=dict(zip(mdata.obs_names, part, strict=True)))
        hidden = mdata.obs_names[part != "train"]
        for adata in other.mod.values():
            x = adata.X.toarray()
            x[adata.obs_names.isin(hidden)] = 5
            adata.X = sp.csr_matrix(x)
        models = [scvcell.tl.fit(d, batch_key="batch", train=quick, split=split) for d in (mdata, other)]
        keep = ~mdata.obs_names.isin(hidden)
        np.testing.assert_array_equal(*(each.posterior().mean[keep] for each in models))
        model = models[0]
        assert {*model.split_["train"], *model.split_["validation"]} == set(split.train)
        assert model.split_["calibration"] == list(split.calibration)
        protein = scvcell.tl.translate(mdata, model, to="adt")
        paired = mdata["rna"].obs_names.intersection(mdata["adt"].obs_names)
        both = paired.isin(split.calibration).sum()
        assert both >= 20
        assert protein.uns["csl_translate"]["calibration_cells"] == both, "they alone set intervals"
        set_aside = protein.obs["split"][mdata["adt"].obs_names.intersection(split.calibration)]
        assert set(set_aside) == {"calibration"}
        assert model.split_digest == split.digest
        assert scvcell.CSL.load(model.save(tmp_path / "model")).split_digest == split.digest
        model.train(quick, held_out=hidden)
        assert model.split_digest == "", "trained further, it is of no split"

    def test_a_split_of_other_data_is_refused(self, mosaic, quick, fingerprint):
        mdata = mosaic(90)
        split = scvcell.pp.split(mdata[:60].copy(), "celltype", test="alpha")
        before = fingerprint(mdata)
        with pytest.raises(
            ValueError, match="The split was made for other data: it does not know 30 of these 90 cells"
        ):
            scvcell.tl.fit(mdata, train=quick, split=split)
        assert fingerprint(mdata) == before

    def test_test_cells_may_be_gone(self, mosaic, quick):
        mdata = mosaic(90)
        split = scvcell.pp.split(mdata, "celltype", test="alpha")
        seen = mdata[mdata.obs_names.isin(split.train)].copy()
        model = scvcell.tl.fit(seen, train=quick, split=split)
        assert model.split_digest == split.digest
        assert "calibration" not in model.split_

    def test_validation_takes_a_share_of_every_kind_of_cell(self, mosaic, quick):
        mdata = mosaic(600)
        model = scvcell.tl.fit(mdata, batch_key="batch", train=replace(quick, max_epochs=1, validation=0.25))
        held = mdata.obs_names.isin(model.split_["validation"])
        kinds = mdata.obs["batch"].astype(str) + [
            str(tuple(model.view().present(m)[i] for m in mdata.mod)) for i in range(600)
        ]
        shares = [held[(kinds == k).to_numpy()].mean() for k in kinds.unique()]
        assert len(shares) == 6
        np.testing.assert_allclose(shares, 0.25, atol=0.02)

    def test_names_that_are_not_in_the_data_are_refused(self, mosaic, quick):
        with pytest.raises(ValueError, match=r"split has 1 names that the data lack, e.g. 'no such cell'"):
            scvcell.tl.fit(mosaic(90), train=quick, split=["no such cell"])

    def test_positions_instead_of_names_are_refused(self, mosaic, quick):
        with pytest.raises(TypeError, match=r"split= holds numbers, e.g. .*data.obs_names\[positions\]"):
            scvcell.tl.fit(mosaic(90), train=quick, split=np.arange(10))

    @pytest.mark.parametrize("kind", ["mask", "series", "query", "split"])
    def test_cells_are_given_in_any_way(self, mosaic, quick, kind):
        mdata = mosaic(90)
        hidden = mdata.obs["batch"] == "b0"
        ways = {
            "mask": hidden.to_numpy(),
            "series": hidden[::-1],
            "query": "batch == 'b0'",
            "split": SimpleNamespace(test=mdata.obs_names[hidden]),
        }
        model = scvcell.tl.fit(mdata, train=replace(quick, max_epochs=1), split=ways[kind])
        seen = {*model.split_["train"], *model.split_["validation"]}
        assert seen == set(mdata.obs_names[~hidden])


class TestMemory:
    def test_x_is_referenced_and_never_replaced(self, mosaic, quick):
        mdata = mosaic(90)
        arrays = {m: (id(a.X), id(a.X.data), id(a.X.indices)) for m, a in mdata.mod.items()}
        scvcell.tl.fit(mdata, train=quick)
        assert {m: (id(a.X), id(a.X.data), id(a.X.indices)) for m, a in mdata.mod.items()} == arrays

    @pytest.mark.parametrize(
        ("form", "copies"),
        [
            ("csr", 0.5),
            ("dense", 0.5),
            pytest.param("csc", 1.5),
        ],
    )
    def test_fitting_copies_x_at_most_once(self, quick, monkeypatch, form, copies):
        """Peak of what Python allocates during a fit, in units of X; columns have to be turned into rows once."""
        from scvcell._containers._matrix import Matrix

        monkeypatch.setattr(Matrix.chunks, "__defaults__", (500,))
        dense = np.random.default_rng(0).poisson(0.6, (20000, 400)).astype(np.float32)
        x = dense if form == "dense" else getattr(sp, f"{form}_matrix")(dense)
        size = x.nbytes if form == "dense" else x.data.nbytes + x.indices.nbytes + x.indptr.nbytes
        adata = AnnData(x)
        del dense, x
        # two components, so that the scores of all cells are small beside X
        config = replace(quick, max_epochs=1, batch_size=1024, n_components=2, n_latent=2)
        scvcell.tl.fit(adata[:100].copy(), train=config)
        gc.collect()
        tracemalloc.start()
        base = tracemalloc.get_traced_memory()[0]
        scvcell.tl.fit(adata, train=config)
        peak = tracemalloc.get_traced_memory()[1] - base
        tracemalloc.stop()
        assert peak < copies * size

    @pytest.mark.parametrize("way", ["fit", "failure", "setup only", "query", "adopted"])
    def test_data_die_with_their_last_name(self, mosaic, quick, tmp_path, way):
        mdata = mosaic(90)
        if way == "fit":
            model = scvcell.tl.fit(mdata, train=quick)
            scvcell.tl.translate(mdata, model, to="adt")
        elif way == "failure":
            with pytest.raises(KeyError):
                scvcell.tl.fit(mdata, batch_key="none", train=quick)
        elif way == "setup only":
            scvcell.CSL.setup_mudata(mdata)
        elif way == "query":
            model = scvcell.tl.fit(mosaic(60), batch_key="batch", train=quick).load_query_data(mdata)
        else:
            model = scvcell.CSL.load(scvcell.tl.fit(mosaic(60), train=quick).save(tmp_path / "m"), mdata)
        alive = weakref.ref(mdata)
        model = None
        del mdata
        gc.collect()
        assert alive() is None

    def test_a_model_keeps_its_data_alive(self, mosaic, quick):
        mdata = mosaic(90)
        model = scvcell.tl.fit(mdata, train=quick)
        alive = weakref.ref(mdata)
        del mdata
        gc.collect()
        assert alive() is model.adata is not None


class TestFailuresOnTheWay:
    def test_divergence_names_the_modality_and_changes_nothing(self, mosaic, quick, fingerprint):
        mdata = mosaic(90)
        mdata["adt"].X[0, 0] = 3e38
        before = fingerprint(mdata)
        with pytest.raises(
            Diverged, match=r"diverged: the loss of .*'adt'.* is not finite. Try train=TrainConfig\(lr="
        ):
            scvcell.tl.fit(mdata, train=quick)
        assert fingerprint(mdata) == before

    def test_divergence_late_in_training(self, mosaic, quick, fingerprint, monkeypatch):
        from scvcell.measure import Counts

        calls, original = [], Counts.log_prob

        def sometimes(self, *args, **options):
            calls.append(1)
            return original(self, *args, **options) * (float("nan") if len(calls) == 6 else 1)

        monkeypatch.setattr(Counts, "log_prob", sometimes)
        mdata = mosaic(90)
        before = fingerprint(mdata)
        with pytest.raises(Diverged, match="the loss of 'rna' is not finite"):
            scvcell.tl.fit(mdata, train=replace(quick, max_epochs=10))
        assert fingerprint(mdata) == before

    @pytest.mark.parametrize("where", ["scvcell.model._translate._make", "scvcell.tl._embed.np.zeros"])
    def test_an_error_after_training_changes_nothing(self, mosaic, quick, fingerprint, monkeypatch, where):
        mdata = mosaic(90)
        before = fingerprint(mdata)

        def fail(*args, **kwargs):
            raise RuntimeError("out of memory")

        monkeypatch.setattr(where, fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            scvcell.tl.fit(mdata, train=quick)
        assert fingerprint(mdata) == before

    def test_interrupt_leaves_a_usable_model(self, mosaic, quick, monkeypatch, caplog, tmp_path):
        from scvcell.model._train import TrainingPlan

        original = TrainingPlan.on_train_epoch_end

        def stop(self):
            original(self)
            if len(self.records) == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr(TrainingPlan, "on_train_epoch_end", stop)
        mdata = mosaic(90)
        model = scvcell.tl.fit(mdata, batch_key="batch", train=replace(quick, max_epochs=50))
        assert model.interrupted
        assert model.is_trained_
        assert "interrupted after 3 epochs" in caplog.text
        assert np.isfinite(mdata.obsm["X_csl"]).all()
        assert len(model.history["loss_train"]) == 3
        again = scvcell.CSL.load(model.save(tmp_path / "model"), mdata)
        np.testing.assert_array_equal(again.get_latent_representation(), mdata.obsm["X_csl"])


def test_covariates_reach_the_decoder(mosaic, quick):
    mdata = mosaic(90)
    model = scvcell.tl.fit(mdata, batch_key="batch", covariates=["celltype", "age"], train=quick)
    assert model.schema.n_context == 2 + 3 + 1
    assert model.module.operators["rna"].decoder.context_bias.shape == (6, 60)


def test_a_fit_reads_its_container_once(mosaic, quick, monkeypatch):
    whole = []
    for module in ("tl._fit", "model._fitted", "model._csl"):
        where = f"scvcell.{module}.view"
        read = importlib.import_module(f"scvcell.{module}").view
        monkeypatch.setattr(where, lambda *args, read=read, **kwargs: whole.append(1) or read(*args, **kwargs))
    scvcell.tl.fit(mosaic(120), batch_key="batch", train=quick)
    assert len(whole) == 1
