"""Query data: known cells keep their embedding, new batches are learned, features must fit."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mudata import MuData

import scvcell


@pytest.fixture(scope="module")
def reference(mosaic, quick):
    """A model of batches b0 and b1, and a whole that has a third one, whose genes are shifted."""
    whole = mosaic(300, n_batches=3)
    known = whole[whole.obs["batch"] != "b2"].copy()
    model = scvcell.tl.fit(known, batch_key="batch", train=replace(quick, max_epochs=25, validation=0.4))
    return whole, known, model


def test_known_cells_keep_their_embedding_and_new_ones_get_one(reference, quick):
    whole, known, model = reference
    query = model.load_query_data(whole, train=quick)
    latent = query.get_latent_representation()
    where = whole.obs_names.get_indexer(known.obs_names)
    np.testing.assert_allclose(latent[where], known.obsm["X_csl"], atol=1e-5)
    new = np.setdiff1d(np.arange(whole.n_obs), where)
    assert len(new) > 50
    assert np.isfinite(latent[new]).all()
    assert query.schema.batches == ["b0", "b1", "b2"]


def test_embedding_the_known_data_with_the_query_model_is_bit_identical(reference, quick):
    whole, known, model = reference
    query = model.load_query_data(whole, train=quick)
    np.testing.assert_array_equal(query.get_latent_representation(known), model.get_latent_representation(known))


def test_the_given_model_does_not_change(reference, quick):
    whole, known, model = reference
    before = {k: v.clone() for k, v in model.module.state_dict().items()}
    batches = list(model.schema.batches)
    model.load_query_data(whole, train=quick)
    assert all(torch.equal(v, before[k]) for k, v in model.module.state_dict().items())
    assert model.schema.batches == batches
    assert model.adata is known


def test_the_data_do_not_change(reference, quick, fingerprint):
    whole, _, model = reference
    before = fingerprint(whole)
    model.load_query_data(whole, train=quick)
    assert fingerprint(whole) == before


def test_new_cells_meet_their_type(reference, quick):
    """Cells of the new batch, whose genes are shifted, are nearest to reference cells of their own type."""
    whole, _, model = reference
    query = model.load_query_data(whole, train=quick)
    data = whole.copy()
    is_new = (data.obs["batch"] == "b2").to_numpy()
    scvcell.tl.transfer_labels(data, query, key="celltype", reference=~is_new)
    right = (data.obs["celltype_transferred"].astype(str) == data.obs["celltype"].astype(str)).to_numpy()
    assert right[is_new].mean() > 0.8


def test_what_depends_on_the_state_stays_and_the_new_context_is_trained(reference, quick):
    whole, _, model = reference
    old = model.module.state_dict()
    start = model.load_query_data(whole, train=replace(quick, max_epochs=1, lr=1e-12))
    query = model.load_query_data(whole, train=replace(quick, max_epochs=5))
    for key, value in query.module.state_dict().items():
        if value.shape == old[key].shape:
            assert torch.equal(value, old[key]), key
    d = model.n_latent
    for name in ("rna", "adt"):
        before, untrained, trained = (m.module.operators[name].decoder for m in (model, start, query))
        assert torch.equal(trained.hidden.weight[:, : d + 2], before.hidden.weight)
        assert torch.equal(trained.context_bias[:2], before.context_bias)
        assert not torch.equal(trained.hidden.weight[:, d + 2], untrained.hidden.weight[:, d + 2])
        assert not torch.equal(trained.context_bias[2], untrained.context_bias[2])


def test_the_new_batch_starts_at_the_mean_of_the_known_ones(reference, quick):
    whole, _, model = reference
    start = model.load_query_data(whole, train=replace(quick, max_epochs=1, lr=1e-12))
    bias = start.module.operators["rna"].decoder.context_bias.detach()
    torch.testing.assert_close(bias[2], bias[:2].mean(0))


def test_covariates_stay_in_their_columns(mosaic, quick):
    whole = mosaic(240, n_batches=3)
    known = whole[whole.obs["batch"] != "b2"].copy()
    model = scvcell.tl.fit(known, batch_key="batch", covariates=["celltype", "age"], train=quick)
    query = model.load_query_data(whole, train=quick)
    old, new = (m.module.operators["rna"].decoder.context_bias.detach() for m in (model, query))
    kept = [0, 1, 3, 4, 5, 6]
    assert torch.equal(new[kept], old)
    for source in (["rna"], ["adt"]):
        to = "adt" if source == ["rna"] else "rna"
        tables = [scvcell.tl.translate(known, m, to=to, source=source).X for m in (model, query)]
        np.testing.assert_allclose(tables[0], tables[1], rtol=1e-5)


def test_batches_that_were_read_in_another_way(mosaic, quick, caplog):
    data = mosaic()
    known, new = (data.copy() for _ in range(2))
    known.obs["batch"] = known.obs["batch"].cat.codes.astype(int).to_numpy()
    model = scvcell.tl.fit(known, batch_key="batch", train=quick)
    for held in (float, "Int64", "category", str):
        new.obs["batch"] = known.obs["batch"].astype(held)
        assert model.load_query_data(new, train=quick).schema.batches == ["0", "1"]
    new.obs["batch"] = known.obs["batch"].astype(float).astype(str)
    with caplog.at_level("WARNING", logger="scvcell"):
        found = model.load_query_data(new, train=quick)
    assert found.schema.batches == ["0", "1", "0.0", "1.0"]
    assert "look like known ones that were read in another way: '0.0' and '0', '1.0' and '1'" in caplog.text


def test_no_new_batch_needs_no_training(reference):
    _, known, model = reference
    query = model.load_query_data(known)
    assert query.schema.batches == model.schema.batches
    np.testing.assert_array_equal(query.get_latent_representation(), known.obsm["X_csl"])


def test_query_data_alone_in_other_order_and_one_modality(reference, quick):
    whole, _, model = reference
    adt = whole["adt"]
    only = MuData({"adt": adt[np.flatnonzero(adt.obs["batch"] == "b2")[::-1], adt.var_names[::-1]].copy()})
    only.obs["batch"] = "b2"
    query = model.load_query_data(only, train=quick)
    assert np.isfinite(query.get_latent_representation()).all()
    out = scvcell.tl.translate(only, query, to="rna", source=["adt"])
    assert np.isfinite(out.X).all()


def test_a_new_batch_without_a_modality_is_translated_in_the_context_of_known_ones(reference, quick):
    """Batch b2 has no proteins: their decoder cannot have learned its context."""
    whole, _, model = reference
    only = MuData({"rna": whole["rna"][whole["rna"].obs["batch"] == "b2"].copy()})
    only.obs["batch"] = "b2"
    query = model.load_query_data(only, train=quick)
    own = scvcell.tl.translate(only, query, to="adt", source=["rna"]).X
    known = [scvcell.tl.translate(only, query, to="adt", source=["rna"], batch=b).X for b in ("b0", "b1")]
    log = [np.log1p(k.mean(0)) for k in known]
    assert (np.log1p(own.mean(0)) > np.minimum(*log) - 0.3).all()
    assert (np.log1p(own.mean(0)) < np.maximum(*log) + 0.3).all()


def test_query_model_is_saved_and_loaded(reference, quick, tmp_path):
    whole, _, model = reference
    query = model.load_query_data(whole, train=quick)
    again = scvcell.CSL.load(query.save(tmp_path / "query"), whole)
    np.testing.assert_array_equal(again.get_latent_representation(), query.get_latent_representation())


def test_query_keeps_the_calibration_of_the_reference(reference, quick):
    whole, known, model = reference
    query = model.load_query_data(whole, train=quick)
    before, after = (scvcell.tl.translate(known, m, to="adt") for m in (model, query))
    assert np.isfinite(before[known["rna"].obs_names].layers["upper"]).all()
    np.testing.assert_allclose(after.layers["upper"], before.layers["upper"], rtol=1e-4)
    assert query.calibration.arrays.keys() == model.calibration.arrays.keys()
    assert query.calibration.arrays is not model.calibration.arrays


def test_same_seed_same_query_model(reference, quick):
    whole, _, model = reference
    one, other = (model.load_query_data(whole, train=quick, seed=3).module.state_dict() for _ in range(2))
    assert all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("batch", ["b0", "b9"])
def test_missing_features_are_no_zeros(reference, quick, fingerprint, batch):
    """Cells of which every other gene was measured are near where all genes put them; with zeros they are not."""
    _, known, model = reference
    cells = np.flatnonzero((known["rna"].obs["batch"] == "b0").to_numpy())
    states = []
    for kind in ("whole", "missing", "zeros"):
        rna = known["rna"][cells].copy()
        if kind == "missing":
            rna = rna[:, ::2].copy()
        if kind == "zeros":
            x = rna.X.toarray()
            x[:, 1::2] = 0
            rna.X = x
        data = MuData({"rna": rna})
        data.obs["batch"] = batch
        before = fingerprint(data)
        query = model if batch == "b0" else model.load_query_data(data, train=quick)
        states.append(query.get_latent_representation(data))
        assert fingerprint(data) == before
    truth, missing, zeros = states
    moved = [np.linalg.norm(z - truth, axis=1).mean() for z in (missing, zeros)]
    assert moved[0] < (0.6 if batch == "b0" else 1) * moved[1]
    apart = np.linalg.norm(truth - truth[np.random.default_rng(0).permutation(len(truth))], axis=1).mean()
    assert moved[0] < 0.5 * apart


class TestRefusals:
    def test_missing_features(self, reference, fingerprint):
        whole, _, model = reference
        data = MuData({"rna": whole["rna"][:, 57:].copy()})
        data.obs["batch"] = "b9"
        before = fingerprint(data)
        with pytest.raises(ValueError, match=r"'rna' lacks 57 of the 60 features of the model, e.g. \['gene000'"):
            model.load_query_data(data)
        assert fingerprint(data) == before

    def test_unknown_features_are_ignored(self, reference, quick, mosaic):
        _, _, model = reference
        wide = mosaic(300, n_batches=3, genes=70)
        query = model.load_query_data(wide, train=quick)
        assert query.view().modalities["rna"].n_vars == 60

    def test_bad_counts(self, reference):
        whole, _, model = reference
        data = whole.copy()
        data["rna"].X = data["rna"].X / 2
        with pytest.raises(ValueError, match="non-integer"):
            model.load_query_data(data)

    def test_missing_batch_column(self, reference):
        whole, _, model = reference
        data = whole.copy()
        for obs in (data.obs, *(a.obs for a in data.mod.values())):
            del obs["batch"]
        with pytest.raises(KeyError, match="No obs column 'batch'"):
            model.load_query_data(data)

    def test_untrained_model(self, reference, mosaic):
        mdata = mosaic(90)
        scvcell.CSL.setup_mudata(mdata)
        with pytest.raises(RuntimeError, match=r"not trained. Run `model.train"):
            scvcell.CSL(mdata).load_query_data(mdata)

    def test_unknown_covariate_category(self, mosaic, quick):
        mdata = mosaic(90)
        model = scvcell.tl.fit(mdata, covariates=["celltype"], train=quick)
        other = mdata.copy()
        other.obs["celltype"] = "delta"
        with pytest.raises(ValueError, match=r"obs\['celltype'\] has categories the model does not know: \['delta'\]"):
            model.load_query_data(other)


def test_load_query_data_is_as_silent_as_the_fit(mosaic, quick, monkeypatch):
    whole = mosaic(n_batches=3)
    known = whole[whole.obs["batch"] != "b2"].copy()
    model = scvcell.tl.fit(known, batch_key="batch", train=quick)
    seen = []
    done = SimpleNamespace(history={}, interrupted=False, terminated=False)
    monkeypatch.setattr("scvcell.model._query.run", lambda *args: seen.append(args[4]) or done)
    model.load_query_data(whole)
    assert (seen[0].progress, seen[0].accelerator) == (False, "cpu")


def test_checkpoints_of_a_query_are_refused_before_any_work(small, tmp_path, quick):
    with pytest.raises(ValueError, match="keeps no checkpoints"):
        small.model.load_query_data(small.mdata, train=replace(quick, checkpoint=tmp_path / "kept"))
    assert list(tmp_path.iterdir()) == []
