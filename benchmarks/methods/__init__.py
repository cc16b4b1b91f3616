"""One file per method, each with ``run(task, seed) -> Output`` and ``TABLES`` naming where it can run.

A new method is a new file here: it is found by its name, nothing else has to be changed. Names of files equal names
in the tables; a first docstring line says what the method is and how it was configured.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def available() -> list[str]:
    """Names of all methods, from the files of this folder (nothing is imported)."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def load(name: str) -> ModuleType:
    """Import one method."""
    if name not in available():
        msg = f"no method {name!r}; there are {', '.join(available())}"
        raise KeyError(msg)
    return importlib.import_module(f"{__name__}.{name}")
