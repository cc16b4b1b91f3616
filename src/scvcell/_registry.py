"""Name -> class registries, with entry points for third parties and near-miss errors."""

from __future__ import annotations

import logging
import re
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

logger = logging.getLogger("scvcell")

OWN = "scvcell"
"""Name of this package's distribution."""


def near_miss(name: str, known: Iterable[str]) -> str:
    """What an error message adds where `name` resembles a known one: ``" Did you mean 'counts'?"``, else nothing."""
    folded = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), list(folded), n=1)
    return f" Did you mean {folded[near[0]]!r}?" if near else ""


def folded(name: str) -> str:
    """A name as it is compared: without case, blanks, underscores and hyphens."""
    return re.sub(r"[\s_\-]+", "", name).lower()


def _of_others(point: EntryPoint) -> bool:
    """Whether an entry point is that of another package."""
    dist = getattr(point, "dist", None)
    return dist is None or dist.name != OWN


class Registry[T]:
    """A named table of classes (or functions) that third parties can extend.

    Parameters
    ----------
    kind
        What is registered, for messages: ``"measurement"``.
    group
        Entry-point group through which other packages register theirs: ``"scvcell.measurements"``.

    Examples
    --------
    >>> MEASUREMENTS = Registry("measurement", "scvcell.measurements")
    >>> @MEASUREMENTS.register("counts", aliases=("rna",))
    ... class Counts: ...
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self._items: dict[str, T] = {}
        self._aliases: dict[str, str] = {}
        self._scanned = False

    def register(self, name: str, *, aliases: tuple[str, ...] = ()) -> Callable[[T], T]:
        """Decorator that registers a class under `name` and its `aliases`."""

        def add(item: T) -> T:
            if self._items.get(name, item) is not item:
                raise ValueError(f"{self.kind} {name!r} is registered already by {self._items[name]!r}.")
            self._items[name] = item
            self._aliases.update(dict.fromkeys(aliases, name))
            return item

        return add

    def _scan(self) -> None:
        """Load entry points once; a name that is already taken by the package wins."""
        if self._scanned:
            return
        self._scanned = True
        # the package's own come by the same way, and win
        points = sorted(entry_points(group=self.group), key=_of_others)
        for point in points:
            if point.name not in self._items:
                try:
                    item = point.load()
                except Exception:
                    logger.warning(
                        "The %s %r of another package cannot be loaded; it is left out.",
                        *(self.kind, point.name),
                        exc_info=True,
                    )
                    continue
                self._items[point.name] = item
                self._aliases = dict.fromkeys(getattr(item, "aliases", ()), point.name) | self._aliases

    def __contains__(self, name: object) -> bool:
        self._scan()
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        self._scan()
        return iter(sorted(self._items))

    def in_order(self) -> list[tuple[str, T]]:
        """Names and items as they were registered, those of other packages last."""
        self._scan()
        return list(self._items.items())

    def __getitem__(self, name: str) -> T:
        self._scan()
        if name in self._items:
            return self._items[name]
        hint = near_miss(name, self._items)
        raise KeyError(f"No {self.kind} is called {name!r}.{hint} Registered: {', '.join(self)}.")

    def infer(self, name: str) -> str | None:
        """Name of the item that `name` stands for (itself, an alias; case, blank, ``_`` and ``-`` ignored), or None."""
        self._scan()
        known = {folded(key): target for key, target in self._aliases.items()}
        known |= {folded(key): key for key in self._items}
        return known.get(folded(name))

    def aliases(self, name: str) -> list[str]:
        """Aliases under which `name` is recognised."""
        self._scan()
        return sorted(alias for alias, target in self._aliases.items() if target == name)
