"""The tutorials run from the first cell to the last, and are committed without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

TUTORIALS = sorted(Path(__file__).parents[1].joinpath("tutorials").glob("*.ipynb"))


def test_there_are_tutorials():
    assert {path.stem for path in TUTORIALS} >= {"01_quickstart", "02_mosaic", "03_perturbation"}


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_committed_without_outputs(path):
    cells = nbformat.read(path, as_version=4).cells
    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
