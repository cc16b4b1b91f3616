"""Progress, threads, and the warnings of other libraries."""

import inspect
import logging
import pickle
import sys
import warnings

import pytest
import scanpy as sc
import torch

import scvcell
from scvcell import _calm
from scvcell._calm import Bar, calm, progress


@pytest.fixture
def threads(monkeypatch):
    """Torch has as many threads as it takes by itself on a machine of four cores."""
    before = torch.get_num_threads()
    for name in _calm.THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_calm, "_usual", lambda: {2, 4})
    torch.set_num_threads(4)
    yield monkeypatch
    torch.set_num_threads(before)


def test_one_thread_for_the_time_of_the_work(threads):
    with calm():
        assert torch.get_num_threads() == 1
        with calm():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 4
    with pytest.raises(KeyError), calm():
        raise KeyError
    assert torch.get_num_threads() == 4


@pytest.mark.parametrize("name", _calm.THREADS)
def test_threads_of_the_environment_are_kept(threads, name):
    threads.setenv(name, "4")
    with calm():
        assert torch.get_num_threads() == 4


def test_threads_that_were_set_are_kept(threads):
    torch.set_num_threads(3)
    with calm():
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == 3


def test_warnings_of_others_stay_away_and_all_other_ones_pass():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with calm():
            for module in ("anndata.compat", "lightning.pytorch.trainer", "scvi", "torch.jit._script", "pandas.core"):
                warnings.warn_explicit("mind this", FutureWarning, "file.py", 1, module=module)
            warnings.warn("You defined a `validation_step` but have no `val_dataloader`. Skipping.", stacklevel=1)
            warnings.warn("Sparse invariant checks are implicitly disabled", stacklevel=1)
            for module in ("scvcell.tl._fit", "__main__", "torchlike", "numpy._core"):
                warnings.warn_explicit(module, RuntimeWarning, "file.py", 1, module=module)
        warnings.warn_explicit("after", FutureWarning, "file.py", 1, module="scvi")
    assert [str(w.message) for w in seen] == ["scvcell.tl._fit", "__main__", "torchlike", "numpy._core", "after"]


def test_every_public_function_is_calm_and_keeps_its_signature():
    for module in (scvcell.tl, scvcell.pl, scvcell.pp, scvcell.datasets):
        for name in module.__all__:
            function = getattr(module, name)
            if not inspect.isclass(function) and not inspect.ismodule(function):
                assert function.__wrapped__.__doc__ == function.__doc__
                assert inspect.signature(function) == inspect.signature(function.__wrapped__)
                assert pickle.loads(pickle.dumps(function)) is function


@pytest.fixture
def in_a_file(monkeypatch):
    """Standard error is no terminal, and no notebook is there."""
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


def test_a_file_gets_a_few_lines(capsys, in_a_file):
    bar = Bar(1000, "Work", delay=0)
    for _ in range(1000):
        bar.step(loss=1.25)
    bar.close()
    lines = capsys.readouterr().err.splitlines()
    assert 5 <= len(lines) <= _calm.LINES
    assert "Work: 1000 of 1000" in lines[-1]
    assert "loss 1.25" in lines[-1]
    assert not any("\r" in line for line in lines)


def test_quick_work_says_nothing(capsys, in_a_file):
    assert list(progress(iter("abc"), "Work")) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("how", ["shown", "scvcell", "scvi", "scanpy"])
def test_no_progress_where_none_is_wanted(capsys, monkeypatch, in_a_file, how):
    if how == "scanpy":
        before = sc.settings.verbosity
        sc.settings.verbosity = 0
    elif how != "shown":
        logger = logging.getLogger(how)
        monkeypatch.setattr(logger, "level", logging.WARNING)
    try:
        assert list(progress(range(3), "Work", shown=how != "shown", delay=0)) == [0, 1, 2]
    finally:
        if how == "scanpy":
            sc.settings.verbosity = before
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_after_a_while(capsys, monkeypatch, in_a_file):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    list(progress(range(3), "Quick"))
    assert capsys.readouterr().err == ""
    list(progress(range(3), "Work", delay=0))
    assert "Work" in capsys.readouterr().err
