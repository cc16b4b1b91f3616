"""The mathematical core says what it takes: no public signature of `objective` or `state` has an ``Any``."""

import ast
from pathlib import Path

import pytest

import scvcell

SOURCE = Path(scvcell.__file__).parent
FILES = [path for folder in ("objective", "state") for path in sorted((SOURCE / folder).glob("*.py"))]


def signatures(tree):
    """Public functions and methods, with the annotations of what they take and give."""
    inside = [node for kind in tree.body if isinstance(kind, ast.ClassDef) for node in kind.body]
    for node in [*tree.body, *inside]:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            yield node.name, [arg.annotation for arg in every if arg.arg not in ("self", "cls")] + [node.returns]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_public_signatures_are_typed(path):
    for name, annotations in signatures(ast.parse(path.read_text())):
        assert None not in annotations, f"{name} lacks an annotation"
        found = {node.id for a in annotations for node in ast.walk(a) if isinstance(node, ast.Name)}
        assert "Any" not in found, f"{name} takes or gives Any"
