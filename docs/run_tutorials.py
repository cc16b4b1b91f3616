"""Execute the tutorials and keep what they show: ``python docs/run_tutorials.py [NAME ...]``."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

TUTORIALS = Path(__file__).parents[1] / "tutorials"
SMALL = "%config InlineBackend.rc = {'figure.dpi': 60}\n"
"""Small figures, set in the kernel and not in the notebook."""


def run(path: Path) -> None:
    """Execute one notebook, drop progress and warnings, and write it back."""
    notebook = nbformat.read(path, as_version=4)
    setup = nbformat.v4.new_code_cell(SMALL)
    notebook.cells.insert(0, setup)
    with TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    notebook.cells.remove(setup)
    for cell in notebook.cells:
        cell.metadata.clear()
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
            for output in cell.outputs:
                if "execution_count" in output:
                    output["execution_count"] = None
    notebook.metadata = {key: notebook.metadata[key] for key in ("kernelspec",)}
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(path.stem for path in TUTORIALS.glob("*.ipynb")):
        run(TUTORIALS / f"{name}.ipynb")
