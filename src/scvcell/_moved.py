"""Names that have moved keep working for two minor releases, with a warning that says where they are now."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def moved(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__`` for names that live elsewhere now.

    Parameters
    ----------
    module
        The module that had them, its ``__name__``.
    names
        Name -> where it is now, as ``"package.module:name"``.

    Examples
    --------
    >>> __getattr__ = moved(__name__, {"BASELINES": "scvcell.risk.baselines:BASELINES"})
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        where, _, new = names[name].partition(":")
        warnings.warn(
            f"{module}.{name} is now {where}.{new}; the old name stays for two minor releases.",
            FutureWarning,
            stacklevel=2,
        )
        return getattr(import_module(where), new)

    return get
