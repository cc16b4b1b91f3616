"""Which cells are held out, and what further training leaves behind."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import scvcell
from scvcell import CSL
from scvcell.model._fit import split_cells

QUICK = scvcell.TrainConfig(max_epochs=3, progress=False, accelerator="cpu", validation=0.3)


KEYS = scvcell.PerturbationKeys("action", control="control")


def cells(paired=1.0, seed=1):
    return scvcell.datasets.simulate(200, n_genes=40, n_proteins=5, paired=paired, seed=seed)


def screen():
    return scvcell.datasets.simulate_actions(200, n_targets=2, pairs=False, n_genes=40, n_proteins=5, seed=1)


@pytest.mark.parametrize("first", [0.0, 0.3])
def test_cells_that_were_trained_on_never_calibrate(first):
    """Whatever is held out, in whatever order, and also where the first training held nothing out."""
    mdata = cells()
    CSL.setup_mudata(mdata)
    model, trained = CSL(mdata), set()
    tests = [mdata.obs_names[:40], mdata.obs_names[100:], ()]
    for seed, held_out in enumerate(tests):
        share = first if seed == 0 else 0.3
        config = scvcell.TrainConfig(max_epochs=1, progress=False, accelerator="cpu", validation=share)
        model.train(config, held_out=held_out, seed=seed)
        trained |= set(mdata.obs_names[model.train_indices_])
        assert trained <= set(model.split_["train"])
        assert not trained & set(model.split_["validation"])


class TestFurtherTraining:
    def test_what_was_learned_on_old_states_is_refused_until_it_is_learned_again(self):
        mdata = screen()
        model = scvcell.tl.fit(mdata, perturbation=KEYS, train=QUICK)
        held = set(model.split_["validation"])
        pool = next(iter(model.calibration.arrays.values()))["pool"]
        model.train(scvcell.TrainConfig(max_epochs=2, progress=False, accelerator="cpu"), seed=5)
        with pytest.raises(ValueError, match=r'states have moved. Learn it again: model.learn\("response", keys\)'):
            scvcell.tl.perturb(mdata, model, "T1")
        assert set(model.split_["validation"]) == held, "cells that were trained on can calibrate nothing"
        scvcell.tl.translate(mdata, model, to="adt", source=["rna"])
        assert np.abs(next(iter(model.calibration.arrays.values()))["pool"] - pool).max() > 0
        model.learn("response", KEYS)
        assert len(scvcell.tl.effects(mdata, model, "T1"))

    def test_velocity_too(self):
        adata = scvcell.datasets.simulate(150, n_genes=30, n_proteins=5, seed=1)["rna"]
        adata.obs["day"] = np.arange(adata.n_obs) % 2
        model = scvcell.tl.fit(adata, train=QUICK)
        scvcell.tl.velocity(adata, model, time_key="day")
        model.train(QUICK)
        with pytest.raises(ValueError, match=r"Learn it again: scvcell.tl.velocity\(data, model\)"):
            scvcell.tl.forecast(adata, model, time=0.1)


def test_without_validation_cells(mosaic, quick):
    model = scvcell.tl.fit(mosaic(90), train=replace(quick, validation=0.0))
    assert model.split_["validation"] == []
    assert not any(k.endswith("_validation") for k in model.history)


def test_training_again_continues(mosaic, quick):
    mdata = mosaic(90)
    model = scvcell.tl.fit(mdata, train=quick)
    front = model.module.front_ends["rna"].loadings.clone()
    before = model.get_latent_representation()
    model.train(replace(quick, max_epochs=3))
    assert torch.equal(model.module.front_ends["rna"].loadings, front)
    assert not np.array_equal(model.get_latent_representation(), before)


@pytest.fixture
def fresh(mosaic):
    """A model that was set up, its view, and batches of the cells."""
    mdata = mosaic(300)
    CSL.setup_mudata(mdata, batch_key="batch")
    model = CSL(mdata)
    seen = model.view()
    return model, seen, model.schema.context(seen)[1]


def test_the_same_share_of_every_batch_and_combination_of_assays_is_held_out(fresh):
    model, seen, batch = fresh
    config = scvcell.TrainConfig(validation=0.2)
    train, validation = split_cells(model, seen, batch, config, seen.obs_names[:0], 0)
    assert sorted([*train, *validation]) == list(range(seen.n_obs))
    kind = batch * 4 + seen.present("rna") * 2 + seen.present("adt")
    for value in np.unique(kind):
        assert np.isin(validation, np.flatnonzero(kind == value)).sum() == round(0.2 * (kind == value).sum())
    again = split_cells(model, seen, batch, config, seen.obs_names[:0], 0)[1]
    other = split_cells(model, seen, batch, config, seen.obs_names[:0], 1)[1]
    np.testing.assert_array_equal(validation, again)
    assert not np.array_equal(validation, other)


def test_held_out_cells_are_in_neither_part_and_known_ones_stay(fresh, caplog):
    model, seen, batch = fresh
    config, held = scvcell.TrainConfig(validation=0.2), seen.obs_names[::3]
    train, validation = split_cells(model, seen, batch, config, held, 0)
    assert not seen.obs_names[np.r_[train, validation]].isin(held).any()
    model.split_ = {"train": [seen.obs_names[0]], "validation": [seen.obs_names[1]]}
    train, validation = split_cells(model, seen, batch, config, held, 5)
    assert 1 in validation
    assert 0 not in np.r_[train, validation]
    assert "1 of the cells that are held out were trained on before" in caplog.text


@pytest.mark.parametrize("what", ["everything", "an assay"])
def test_what_leaves_nothing_to_learn_from_is_refused(fresh, what):
    model, seen, batch = fresh
    held = seen.obs_names if what == "everything" else seen.obs_names[seen.present("adt")]
    message = "Every cell is held out" if what == "everything" else "'adt' is present in no training cell"
    with pytest.raises(ValueError, match=message):
        split_cells(model, seen, batch, scvcell.TrainConfig(), held, 0)
