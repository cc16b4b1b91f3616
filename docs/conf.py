"""Configuration of the documentation; build with ``uv run --group docs sphinx-build -W docs docs/_build``."""

import os
import sys
from importlib.metadata import metadata
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

info = metadata("scvcell")
project = info["Name"]
author = "The scvcell developers"
copyright = f"2026, {author}"
version = release = info["Version"]
repository = "https://github.com/scvcell/scvcell"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
    *sorted(path.stem for path in (HERE / "_ext").glob("*.py")),
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "generated/tables", "jupyter_execute", "**.ipynb_checkpoints"]
default_role = "code"

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False
napoleon_use_ivar = True

# Two classes of one name, such as an assay's and a report's Readout, which Sphinx cannot tell apart in annotations.
suppress_warnings = ["ref.python"]

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"

# Notebooks are executed once and cached in _build; SCVCELL_DOCS_NOTEBOOKS=off builds the text alone, quickly.
nb_execution_mode = os.environ.get("SCVCELL_DOCS_NOTEBOOKS", "cache")
nb_execution_cache_path = str(HERE / "_build" / ".jupyter_cache")
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_output_stderr = "remove"
nb_merge_streams = True

# Inventories of other projects need a network, which a build on a laptop or in a sandbox may not have.
intersphinx_mapping = (
    {
        "anndata": ("https://anndata.readthedocs.io/en/stable/", None),
        "matplotlib": ("https://matplotlib.org/stable/", None),
        "mudata": ("https://mudata.readthedocs.io/stable/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "pandas": ("https://pandas.pydata.org/docs/", None),
        "python": ("https://docs.python.org/3/", None),
        "scanpy": ("https://scanpy.readthedocs.io/en/stable/", None),
        "scvi-tools": ("https://docs.scvi-tools.org/en/stable/", None),
        "torch": ("https://docs.pytorch.org/docs/stable/", None),
    }
    if os.environ.get("READTHEDOCS")
    else {}
)

html_theme = "furo"
html_title = f"scvcell {version}"
html_static_path = ["_static"]
html_theme_options = {
    "source_repository": repository,
    "source_branch": "main",
    "source_directory": "docs/",
}
