"""Which of several processes this one is, where they train together; each runs the user's script, the first writes."""

from __future__ import annotations

import builtins
import sys
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPECTED = [0]
"""Number that the process will have when the group is there, see `expect`."""

MAX_WAIT = timedelta(minutes=30)
"""How long others wait for the first process."""
DONE: dict[str, int] = {}
"""How often the first process has done work that others wait for, by its kind."""


def expect(number: int) -> None:
    """Say what number the process will have among those that train together, as its launcher has it."""
    EXPECTED[0] = number


def _group() -> Any:
    """Torch's module of process groups, where one is at work; None else, also before torch is imported."""
    torch = sys.modules.get("torch")
    distributed = None if torch is None else torch.distributed
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return distributed


def world() -> int:
    """Number of processes that train together, 1 where this one is alone."""
    group = _group()
    return 1 if group is None else int(group.get_world_size())


def rank() -> int:
    """Number of this process among them, from 0 on."""
    group = _group()
    return EXPECTED[0] if group is None else int(group.get_rank())


@contextmanager
def first_alone(what: str) -> Iterator[bool]:
    """Work of the first process, for which the others wait; where it fails, they fail alike.

    They wait for a note in the group's store, and not in a step that all must take together: where a script has the
    work behind a condition of its own, so that the first process alone comes here, it waits for nobody.

    Parameters
    ----------
    what
        The kind of work. Work of one kind is counted, so that all know which is which.

    Yields
    ------
    Whether this process does the work.

    Raises
    ------
    RuntimeError
        In another process, if the first one did not do the work for half an hour.
    """
    group, number = _group(), rank()
    if group is None or group.get_world_size() == 1:
        yield number == 0
        return
    DONE[what] = DONE.get(what, 0) + 1
    store, key = group.distributed_c10d._get_default_store(), f"scvcell {what} {DONE[what]}"
    if number:
        yield False
        _wait(group, store, key, what)
        return
    try:
        yield True
    except BaseException as error:
        store.set(key, f"{type(error).__name__}: {error}")
        raise
    store.set(key, "")


def _wait(group: Any, store: Any, key: str, what: str) -> None:
    """Wait for the note of the first process; fail as it says that it failed."""
    try:
        store.wait([key], MAX_WAIT)
        error = store.get(key).decode()
    except group.DistNetworkError:
        return  # the first process is at its end, where it held the store: that was its last work, or it said why not
    except group.DistStoreError as late:
        raise RuntimeError(
            f"{what} is the work of the first process, which did not come to it in {MAX_WAIT}. All processes must come "
            "to it, or the first one alone."
        ) from late
    if error:
        kind, _, message = error.partition(": ")
        raise getattr(builtins, kind, RuntimeError)(f"{message} (So the first process says.)")
