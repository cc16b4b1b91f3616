"""Interruption at every stage, further training, threads, and what is torch's own: nothing lost, nothing stale."""

import logging
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

import scvcell
from scvcell import CSL
from scvcell.model import Diverged, Terminated, _fit
from scvcell.model._stops import INTERRUPT, NOTHING, SAVE, TERMINATE, Stops
from scvcell.model._train import TrainingPlan

QUICK = scvcell.TrainConfig(max_epochs=3, progress=False, accelerator="cpu", validation=0.3)
KEYS = scvcell.PerturbationKeys("action", control="control")


def cells(paired=1.0, seed=1):
    return scvcell.datasets.simulate(200, n_genes=40, n_proteins=5, paired=paired, seed=seed)


def screen():
    return scvcell.datasets.simulate_actions(200, n_targets=2, pairs=False, n_genes=40, n_proteins=5, seed=1)


def raising(error, at=1):
    """A function that raises when it is called for the `at`-th time, and else does nothing of its own."""
    calls = [0]

    def wrap(original):
        def call(*args, **options):
            calls[0] += 1
            if calls[0] == at:
                raise error
            return original(*args, **options)

        return call

    return wrap


class TestInterrupts:
    def test_before_there_are_parameters_nothing_is_left(self, monkeypatch):
        mdata = scvcell.datasets.simulate(200, n_genes=80, n_proteins=5, paired=1.0, seed=1)
        CSL.setup_mudata(mdata)
        model = CSL(mdata)
        monkeypatch.setattr(np.linalg, "qr", raising(KeyboardInterrupt())(np.linalg.qr))
        with pytest.raises(KeyboardInterrupt):
            model.train(QUICK)
        assert model.module is None
        model.train(QUICK)
        assert float(model.module.front_ends["rna"].loadings.abs().sum()) > 0

    def test_in_training_the_model_is_usable_and_says_so_until_it_is_trained(self, monkeypatch, caplog, tmp_path):
        mdata = cells()
        with monkeypatch.context() as patch:
            step = raising(KeyboardInterrupt(), at=2)(TrainingPlan.training_step)
            patch.setattr(TrainingPlan, "training_step", step)
            model = scvcell.tl.fit(mdata, train=QUICK)
        assert model.interrupted
        assert np.isfinite(mdata.obsm["X_csl"]).all()
        loaded = CSL.load(model.save(tmp_path / "m"), mdata)
        for one in (model, loaded):
            caplog.clear()
            scvcell.tl.embed(mdata, one)
            assert caplog.text.count("The training of this model was interrupted") == 1
            one.train(QUICK)
            caplog.clear()
            scvcell.tl.embed(mdata, one)
            assert "interrupted" not in caplog.text
            assert not one.interrupted

    @pytest.mark.parametrize(
        "stage", ["scvcell.model._translate.Calibration.learn", "scvcell.response._learn.Response.learn"]
    )
    def test_after_training_the_model_comes_back(self, stage, monkeypatch, caplog):
        def stop(*args, **options):
            raise KeyboardInterrupt

        mdata = screen()
        with monkeypatch.context() as patch:
            patch.setattr(stage, stop)
            model = scvcell.tl.fit(mdata, perturbation=KEYS, train=QUICK)
        assert model.interrupted
        assert 'model.learn("response", keys) learns it' in caplog.text
        assert np.isfinite(mdata.obsm["X_csl"]).all()
        model.learn("response", KEYS)
        assert len(scvcell.tl.effects(mdata, model, "T1"))

    def test_between_rounds_the_first_one_stays(self, monkeypatch):
        mdata = cells(paired=0.5)
        monkeypatch.setattr("scvcell.model._fit.mutual_matches", raising(KeyboardInterrupt())(lambda *a: None))
        model = scvcell.tl.fit(mdata, train=QUICK)
        assert model.interrupted
        assert np.isfinite(mdata.obsm["X_csl"]).any()

    def test_while_a_round_is_set_up_the_first_one_stays_and_the_next_training_has_its_round(self, monkeypatch):
        mdata = cells(paired=0.5)
        with monkeypatch.context() as patch:
            patch.setattr(_fit, "summaries", raising(KeyboardInterrupt(), at=2)(_fit.summaries))
            model = scvcell.tl.fit(mdata, train=QUICK)
        once = scvcell.tl.fit(cells(paired=0.5), train=scvcell.TrainConfig(**{**vars(QUICK), "rematch": 0}))
        np.testing.assert_array_equal(model.get_latent_representation(), once.get_latent_representation())
        assert model.interrupted
        model.train(QUICK)
        assert model.matched > 0

    def test_before_the_first_step_there_is_no_model(self, monkeypatch):
        mdata = cells()
        CSL.setup_mudata(mdata)
        model = CSL(mdata)
        monkeypatch.setattr(CSL, "source", raising(KeyboardInterrupt())(CSL.source))
        with pytest.raises(KeyboardInterrupt):
            model.train(QUICK)
        assert model.module is None
        assert not model.split_

    def test_while_states_are_written_the_model_comes_back(self, monkeypatch, caplog, fingerprint):
        mdata = cells()
        before = fingerprint(mdata)
        monkeypatch.setattr("scvcell.tl._fit.write_states", raising(KeyboardInterrupt())(scvcell.tl.embed))
        model = scvcell.tl.fit(mdata, train=QUICK)
        assert model.interrupted
        assert "scvcell.tl.embed(data, model) writes states" in caplog.text
        assert fingerprint(mdata) == before

    def test_an_exit_of_the_user_is_none_of_a_fit(self, monkeypatch):
        """A handler of the user's may leave by its own status, and is alone in what SIGTERM does."""
        monkeypatch.setattr(TrainingPlan, "training_step", raising(SystemExit(5), at=2)(TrainingPlan.training_step))
        with pytest.raises(SystemExit) as stop:
            scvcell.tl.fit(cells(), train=QUICK)
        assert stop.value.code == 5
        monkeypatch.undo()
        came, step = [], TrainingPlan.training_step

        def signalled(self, batch, index):
            if self.global_step == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            return step(self, batch, index)

        monkeypatch.setattr(TrainingPlan, "training_step", signalled)
        before = signal.signal(signal.SIGTERM, lambda *_: came.append(1))
        try:
            assert not scvcell.tl.fit(cells(), train=QUICK).interrupted
        finally:
            signal.signal(signal.SIGTERM, before)
        assert came == [1]

    def test_sigterm_ends_the_process_with_its_status_and_the_model(self, monkeypatch):
        mdata = cells()
        CSL.setup_mudata(mdata)
        model, step = CSL(mdata), TrainingPlan.training_step

        def killed(self, batch, index):
            if self.global_step == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return step(self, batch, index)

        monkeypatch.setattr(TrainingPlan, "training_step", killed)
        with pytest.raises(Terminated) as stop:
            model.train(scvcell.TrainConfig(max_epochs=50, progress=False, accelerator="cpu"))
        assert stop.value.code == 143
        assert stop.value.model is model
        assert model.is_trained_
        assert model.interrupted

    def test_a_handler_of_another_language_stays(self, monkeypatch):
        get = signal.getsignal
        monkeypatch.setattr(signal, "getsignal", lambda n: None if n == signal.SIGINT else get(n))
        assert scvcell.tl.fit(cells(), train=QUICK).is_trained_


def test_a_command_that_is_ended_saves_and_says_so(tmp_path):
    code = """
import os, signal, sys
from scvcell.model._train import TrainingPlan
step = TrainingPlan.training_step
def killed(self, batch, index):
    if self.global_step == 3:
        os.kill(os.getpid(), signal.SIGTERM)
    return step(self, batch, index)
TrainingPlan.training_step = killed
from scvcell._cli import main
sys.exit(main(["fit", sys.argv[1], sys.argv[2], "--max-epochs", "300"]))
"""
    cells().write(tmp_path / "in.h5mu")
    command = [sys.executable, "-W", "ignore", "-c", code, tmp_path / "in.h5mu", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 143
    assert "interrupted; the model as it was then is in" in done.stderr
    assert (tmp_path / "out" / "latent.csv").is_file()
    assert CSL.load(tmp_path / "out" / "model").interrupted


@pytest.mark.parametrize(
    "stage", ["scvcell.tl._fit.view", "scvcell.model._translate._make", "scvcell.tl._fit.write_states"]
)
def test_sigterm_at_every_stage_of_a_command(stage, tmp_path, monkeypatch, capsys):
    """Before there is a model, and after training, when only a part is there."""
    import importlib

    from scvcell._cli import main

    cells().write(tmp_path / "in.h5mu")
    module, name = stage.rsplit(".", 1)
    original, calls = getattr(importlib.import_module(module), name), []

    def kill(*args, **options):
        calls.append(1)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*args, **options)

    monkeypatch.setattr(stage, kill)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["fit", str(tmp_path / "in.h5mu"), str(tmp_path / "out"), "--max-epochs", "1"]) == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert (tmp_path / "out" / "model").exists() == (stage != "scvcell.tl._fit.view")
    assert "interrupted" in capsys.readouterr().err


class TestSignalsWait:
    """For the end of a step, where what is known of a training is kept."""

    @pytest.fixture
    def handlers(self):
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
        before = [signal.getsignal(number) for number in numbers]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)

    def test_the_first_is_remembered_and_the_second_acts(self, handlers):
        stops = Stops()
        stops.take()
        os.kill(os.getpid(), signal.SIGINT)
        assert stops.asked == INTERRUPT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert stops.asked == NOTHING
        signal.raise_signal(signal.SIGUSR1)
        assert stops.asked == SAVE
        stops.give_back()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL

    def test_the_strongest_counts_and_a_handler_of_the_users_is_called_later(self, handlers):
        came = []
        signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
        signal.signal(signal.SIGUSR1, lambda number, frame: came.append(number))
        stops = Stops()
        stops.take()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            os.kill(os.getpid(), number)
        assert came == [signal.SIGUSR1], "the user's own, which is not touched"
        assert stops.asked == TERMINATE
        stops.act(stops.asked)
        assert came == [signal.SIGUSR1, signal.SIGTERM]
        assert stops.asked == NOTHING

    def test_outside_the_main_thread_nothing_is_taken(self, handlers):
        stops = Stops()
        thread = threading.Thread(target=stops.take)
        thread.start()
        thread.join()
        assert not stops.taken


class TestDivergence:
    def test_a_first_training_leaves_no_model(self, tmp_path):
        mdata = cells()
        CSL.setup_mudata(mdata)
        model = CSL(mdata)
        with pytest.raises(Diverged):
            model.train(scvcell.TrainConfig(max_epochs=5, lr=1e30, progress=False, accelerator="cpu"))
        assert model.module is None
        for call in (lambda: model.save(tmp_path / "m"), lambda: scvcell.tl.embed(mdata, model)):
            with pytest.raises(RuntimeError, match=r"not trained|trained model"):
                call()
        assert "X_csl" not in mdata.obsm

    @pytest.mark.parametrize("validation", [0.3, 0.0])
    def test_a_further_training_changes_nothing(self, validation):
        mdata = screen()
        model = scvcell.tl.fit(mdata, perturbation=KEYS, train=QUICK)
        before = scvcell.tl.effects(mdata, model, "T1")
        bad = scvcell.TrainConfig(max_epochs=2, lr=1e30, validation=validation, progress=False, accelerator="cpu")
        with pytest.raises(Diverged, match="diverged"):
            model.train(bad)
        after = scvcell.tl.effects(mdata, model, "T1")
        np.testing.assert_array_equal(before["lfc"], after["lfc"])

    def test_parameters_that_are_not_finite_after_the_last_step(self, monkeypatch):
        mdata = cells()
        model = scvcell.tl.fit(mdata, train=QUICK)
        before = model.get_latent_representation()

        def broken(self):
            next(self.module.parameters()).data.fill_(float("nan"))

        monkeypatch.setattr(TrainingPlan, "on_train_epoch_end", broken)
        with pytest.raises(Diverged, match="not finite after the last step"):
            model.train(scvcell.TrainConfig(max_epochs=1, validation=0.0, progress=False, accelerator="cpu"))
        np.testing.assert_array_equal(model.get_latent_representation(), before)


class TestWhatIsTorchs:
    def test_two_fits_beside_each_other_are_two_fits(self):
        mdata = cells()
        scvcell.tl.fit(mdata, batch_key="batch", train=QUICK)
        alone, found = mdata.obsm["X_csl"], {}
        level, dtype = logging.getLogger("lightning.pytorch").level, torch.get_default_dtype()

        def fit(i):
            own = cells()
            scvcell.tl.fit(own, batch_key="batch", train=QUICK)
            found[i] = own.obsm["X_csl"]

        threads = [threading.Thread(target=fit, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 2
        for latent in found.values():
            np.testing.assert_array_equal(latent, alone)
        assert logging.getLogger("lightning.pytorch").level == level
        assert torch.get_default_dtype() == dtype

    def test_its_random_state_is_left_alone(self, tmp_path):
        mdata = screen()
        torch.manual_seed(3)
        before = torch.get_rng_state()
        model = scvcell.tl.fit(mdata, perturbation=KEYS, batch_key="cell_type", train=QUICK)
        CSL.load(model.save(tmp_path / "m"), mdata)
        scvcell.tl.perturb(mdata, model, "T1")
        model.differential_expression(mdata, "cell_type", modality="rna")
        query = mdata.copy()
        for part in (query, *query.mod.values()):
            part.obs["cell_type"] = "new"
        model.load_query_data(query, train=QUICK)
        assert torch.equal(torch.get_rng_state(), before)

    def test_differential_expression_is_the_same_twice(self):
        mdata = cells()
        model = scvcell.tl.fit(mdata, train=QUICK)
        one, other = (model.differential_expression(mdata, "cell_type", modality="rna") for _ in range(2))
        np.testing.assert_array_equal(one["lfc_mean"], other["lfc_mean"])

    def test_draws_of_two_groups_are_independent(self, monkeypatch):
        from scvcell.state._posterior import Posterior

        states, sample = [], Posterior.sample
        monkeypatch.setattr(Posterior, "sample", lambda self: states.append(torch.get_rng_state()) or sample(self))
        mdata = cells()
        model = scvcell.tl.fit(mdata, train=QUICK)
        states.clear()
        model.differential_expression(mdata, "cell_type", *np.unique(mdata.obs["cell_type"])[:2], modality="rna")
        assert len(states) > 1
        assert len({state.numpy().tobytes() for state in states}) == len(states)

    def test_its_default_dtype_is_neither_assumed_nor_changed(self, tmp_path):
        mdata = cells()
        model = scvcell.tl.fit(mdata, train=QUICK)
        folder, wanted = model.save(tmp_path / "m"), scvcell.tl.translate(mdata, model, to="adt").X
        torch.set_default_dtype(torch.float64)
        try:
            scvcell.tl.fit(cells(), train=QUICK)
            for one in (model, CSL.load(folder)):
                np.testing.assert_allclose(scvcell.tl.translate(mdata, one, to="adt").X, wanted, atol=1e-4)
            assert torch.get_default_dtype() == torch.float64
        finally:
            torch.set_default_dtype(torch.float32)
