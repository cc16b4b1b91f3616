"""Pages made from the code at build time: the theory tables, the table of metrics and the tutorials."""

from __future__ import annotations

import inspect
import re
import shutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
TABLES = DOCS / "generated" / "tables"

# Symbol and meaning of each folder of operators; their rows come from the registries found in it.
OPERATORS = {
    "measure": ("M_{s,m}", "measurement: state to data"),
    "scale": (r"P,\ L", "project and lift between scales"),
    "perturb": (r"\Delta_a", "perturbation: state to state"),
}
# What is not chosen by name but always there.
STATE = {"state": ("z", ("fuse",)), "model": ("z", ("CSL",)), "prior": (r"\mathrm{prior}", ("GuidancePrior",))}
# Terms whose docstring leaves the formula to the function they call, or to their name.
FORMULAS = {
    "kl": r"$\mathrm{KL}\big(q(z \mid x_A)\,\|\,\mathcal N(0, I)\big)$",
    "agreement": r"$\tfrac12 \mathrm{KL}(q_a\,\|\,q_b) + \tfrac12 \mathrm{KL}(q_b\,\|\,q_a)$",
}
FUNCTIONS = {"contrast": "info_nce", "match": "mmd"}

BLOCK = re.compile(r"^\.\. math::[ ]*(.*(?:\n(?:[ \t]+\S.*|[ \t]*(?=\n[ \t]+\S)))*)", flags=re.MULTILINE)


def math_of(thing: Any) -> str:
    """Every ``.. math::`` block of a docstring on one line, or the plain ``equation`` of a class."""
    blocks = (" ".join(block.replace("&", " ").split()) for block in BLOCK.findall(inspect.getdoc(thing) or ""))
    formula = r", \quad ".join(block.rstrip(",.") for block in blocks)
    if formula:
        # \Vert and \mid, because a bar would end the cell of the table
        return "$" + formula.replace(r"\\", r"\quad ").replace(r"\|", r"\Vert ").replace("|", r"\mid ") + "$"
    plain = getattr(thing, "equation", "")
    return f"`{plain}`" if plain else ""


def source_of(thing: Any) -> str:
    """Link to the file that defines it; third parties' files are named by module only."""
    path = Path(inspect.getsourcefile(thing) or "")
    if not path.is_relative_to(ROOT):
        return f"`{inspect.getmodule(thing).__name__}`"
    relative = path.relative_to(ROOT)
    _, line = inspect.getsourcelines(thing)
    return f"[`{relative.relative_to('src')}`]({{repository}}/blob/main/{relative}#L{line})"


def registries(folder: str) -> Iterator[Any]:
    """Every registry that a folder of operators exposes."""
    from scvcell._registry import Registry

    if find_spec(f"scvcell.{folder}") is None:
        return
    for value in vars(import_module(f"scvcell.{folder}")).values():
        if isinstance(value, Registry):
            yield value


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def operators() -> str:
    """Symbol -> equation -> class -> file for every registered operator."""
    rows = []
    for folder, (symbol, names) in STATE.items():
        module = import_module(f"scvcell.{folder}")
        for name in names:
            thing = getattr(module, name)
            rows.append((f"${symbol}$", "", math_of(thing), f"`{name}`", source_of(thing)))
    for folder, (symbol, _) in OPERATORS.items():
        for registry in registries(folder):
            for name in registry:
                cls = registry[name]
                rows.append((f"${symbol}$", f"`{name}`", math_of(cls), f"`{cls.__name__}`", source_of(cls)))
    return table(("symbol", "name", "equation", "class", "file"), rows)


def terms() -> str:
    """Equation and file of every term of the objective."""
    objective = import_module("scvcell.objective")
    rows = []
    for name, term in objective.TERMS.in_order():
        called = getattr(objective, FUNCTIONS.get(name, ""), None)
        formula = math_of(term) or math_of(called) or FORMULAS.get(name, "")
        rows.append((f"`{name}`", formula.replace(r"\|", r"\Vert "), summary(term), source_of(term)))
    return table(("term", "equation", "what it asks", "file"), rows)


def plain(text: str) -> str:
    """Text in which nothing is a mark of Markdown or ends a cell of a table."""
    return re.sub(r"([\\|*_<>\[\]$])", r"\\\1", text)


def metrics() -> str:
    """Records of every registered metric, one table for each kind of arguments."""
    score = import_module("scvcell.score")
    parts = []
    for takes, meaning in score.TAKES.items():
        mine = [score.METRICS[name] for name in sorted(score.METRICS) if score.METRICS[name].takes == takes]
        header = ("metric", "better", "of each", "scale", "formula", "source", "what fools it")
        fields = ("better", "per", "scale", "formula", "source", "fooled_by")
        rows = [(f"`{one.name}`", *(plain(getattr(one, field)) for field in fields)) for one in mine]
        if mine:
            parts += [f"**{takes[:1].upper() + takes[1:]}**: {meaning.replace('``', '`')}.\n", table(header, rows)]
    return "\n".join(parts)


def summary(thing: Any) -> str:
    """First sentence of a docstring."""
    return (inspect.getdoc(thing) or "").split("\n\n")[0].replace("\n", " ").replace(r"\|", "|").replace("|", r"\|")


def write(app: Sphinx) -> None:
    """Write every generated page."""
    TABLES.mkdir(parents=True, exist_ok=True)
    repository = app.config.repository
    for name, make in {"operators": operators, "terms": terms, "metrics": metrics}.items():
        text = make().replace("{repository}", repository)
        path = TABLES / f"{name}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    tutorials = DOCS / "generated" / "tutorials"
    tutorials.mkdir(parents=True, exist_ok=True)
    for notebook in (ROOT / "tutorials").glob("*.ipynb"):
        shutil.copy2(notebook, tutorials / notebook.name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for files."""
    app.add_config_value("repository", "", "env", [str])
    app.connect("builder-inited", write, priority=1)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
