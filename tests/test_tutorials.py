"""The tutorials run from the first cell to the last, and are committed with what they show."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

SHORT = """
import functools
from dataclasses import replace
import scvcell
from scvcell.response import _crossfit, _flow_fit
from scvcell.scale import _amortise
from scvcell.screen import _order
fit = scvcell.tl.fit

@functools.wraps(fit)
def short(*args, train=None, **options):
    return fit(*args, train=replace(train or scvcell.TrainConfig(), max_epochs=3), **options)

scvcell.tl.fit = short
_flow_fit.train_flow.__defaults__ = (8,)
_crossfit.FLOW_STEPS = _order.REFIT_STEPS = 8
_amortise.N_STEPS = 30
"""
"""Run before the first cell: what is shown was made by full training, which the example of README has as well."""
TUTORIALS = sorted(Path(__file__).parents[1].joinpath("tutorials").glob("*.ipynb"))


def test_there_are_tutorials():
    assert {path.stem for path in TUTORIALS} >= {"01_quickstart", "02_mosaic", "03_perturbation"}


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_committed_as_people_read_them(path):
    """With figures and tables, without noise, and small."""
    cells = nbformat.read(path, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert {output["output_type"] for output in outputs} <= {"display_data", "execute_result", "stream"}
    assert {output["name"] for output in outputs if output["output_type"] == "stream"} <= {"stdout"}
    assert path.stat().st_size < 1_000_000
    for words in ("You need", "You will have", "It takes"):
        assert f"**{words}**" in cells[0].source


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(SHORT))
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
