"""One task, one answer of plain values, with random numbers of its own. What a process that works on tasks imports."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

FAILED = "failed"
"""Key of an answer that says why there is none."""


class Task(Protocol):
    """What can be worked on anywhere and at any time: it can be pickled, and its answer depends on its key alone.

    Whatever is large, such as data and models, it holds as a path.
    """

    @property
    def key(self) -> Mapping[str, Any]:
        """All plain values that the answer depends on; ``"seed"``, where it is there, starts the random numbers."""

    def __call__(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """The answer, of plain values."""


def plain(value: Any) -> Any:
    """A value as JSON gives it back: text, truth values, numbers, None, lists, and mappings with names.

    Raises
    ------
    TypeError
        If it holds anything else.
    """
    if value is None or isinstance(value, bool):
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise TypeError(f"Names in a record must be text, not {name!r}.")
        return {str(name): plain(each) for name, each in value.items()}
    raise TypeError(
        f"A record holds text, numbers, truth values, None, lists and mappings, not {type(value).__name__}: {value!r}."
    )


def canonical(value: Any) -> str:
    """The one JSON text of plain values, whatever the order of names in mappings."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"))


def digest(value: Any) -> str:
    """SHA-256 of the canonical text of plain values."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def perform(task: Task) -> str:
    """Work on a task, and give its answer as JSON.

    A task that raises has the answer ``{"failed": "ValueError: ..."}``.

    Notes
    -----
    The random numbers come from ``SeedSequence([seed, digest of the key])``. So they are the same in whichever order
    tasks are worked on, by however many processes.
    """
    key = task.key
    try:
        entropy = [int(key.get("seed", 0)), int(digest(key), 16)]
        found = plain(task(np.random.default_rng(np.random.SeedSequence(entropy))))
        if not isinstance(found, dict):
            raise TypeError(f"A task must answer by a mapping, not {type(found).__name__}.")
    except Exception as error:
        found = {FAILED: f"{type(error).__name__}: {error}"}
    return json.dumps(found)
