"""Many tasks, each with one record on disk: a run that was killed goes on, by whoever works, in whichever order."""

from __future__ import annotations

import json
import logging
import os
import time
from concurrent.futures import as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scvcell._calm import Bar
from scvcell._tasks import FAILED, canonical, digest, perform, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Executor, Future

    from scvcell._tasks import Task

logger = logging.getLogger("scvcell")

MARK = "records.json"
FORMAT = {"scvcell": "records", "format": 1}
"""What a folder of records says of itself, in a file named `MARK`."""


def run_tasks(
    tasks: Iterable[Task], *, cache: str | Path | None = None, executor: Executor | None = None, progress: bool = True
) -> list[dict[str, Any]]:
    """Work on tasks, and keep the record of each, so that none is worked on twice.

    Parameters
    ----------
    tasks
        Picklable objects with a ``key`` and a call, as in `scvcell._tasks.Task`.
    cache
        Folder of records, which is made. A task whose record is there is not worked on again. By default nothing is
        kept.
    executor
        Who works: any `concurrent.futures.Executor`, such as ``ProcessPoolExecutor(2, get_context("spawn"))`` or that
        of a Dask cluster, ``client.get_executor(retries=3)``. By default this process works, one task after another.
        Workers need no access to `cache`.
    progress
        Whether to say how many tasks are done, and about how long the others take.

    Returns
    -------
    The answer of each task, in the order of `tasks`: exactly the same by any executor, in any order, and after any
    number of interruptions. The answer of a task that raised is ``{"failed": "ValueError: ..."}``; it is not kept, so
    that the next run tries again.

    Raises
    ------
    ValueError
        If two tasks have the same key, `cache` holds something else than records, or a record is of another key. All
        this is told before any work.
    OSError
        If `cache` cannot be written to.

    Notes
    -----
    Whatever stops a run, Ctrl-C or a worker that dies, leaves the records that are there, and the error says how to go
    on. A run that was killed repeats at most the tasks that were being worked on, one per worker.

    A record is JSON, where numbers that are not finite stand as ``NaN`` and ``Infinity``, as in Python. One that is not
    whole is worked on again.
    """
    tasks = list(tasks)
    names = _names(tasks)
    records = None if cache is None else Records(cache)
    found: dict[str, dict[str, Any]] = {}
    if records is not None:
        there = ((name, records.read(name, task.key)) for name, task in zip(names, tasks, strict=True))
        found = {name: record for name, record in there if record is not None}
    rest = [(name, task) for name, task in zip(names, tasks, strict=True) if name not in found]
    what = f"Tasks ({len(found)} were done before)" if found else "Tasks"
    bar, start = Bar(len(rest), what, shown=progress), time.monotonic()

    def keep(name: str, task: Task, text: str) -> None:
        found[name] = json.loads(text)
        if FAILED in found[name]:
            logger.warning("A task failed: %s. It was %s.", found[name][FAILED], canonical(task.key))
        elif records is not None:
            records.write(name, task.key, found[name])
        left = (time.monotonic() - start) / (bar.done + 1) * (len(rest) - bar.done - 1)
        bar.step(**{"minutes left": left / 60})

    try:
        _work(rest, executor, keep)
    except BaseException as error:
        error.add_note(_how_to_go_on(sum(FAILED not in record for record in found.values()), len(tasks), cache))
        raise
    finally:
        bar.close()
    return [found[name] for name in names]


def _names(tasks: Sequence[Task]) -> list[str]:
    """Name of the record of each task.

    Raises
    ------
    ValueError
        If two tasks have the same key.
    """
    names: dict[str, int] = {}
    for number, task in enumerate(tasks):
        first = names.setdefault(digest(task.key), number)
        if first != number:
            raise ValueError(
                f"Tasks {first} and {number} have the same key, {canonical(task.key)}. A key must hold all that the "
                "answer depends on; leave out tasks that are the same."
            )
    return list(names)


def _work(rest: list[tuple[str, Task]], executor: Executor | None, keep: Callable[[str, Task, str], None]) -> None:
    """Hand every task to `executor`, and every answer to `keep` as soon as it is there."""
    if executor is None:
        for name, task in rest:
            keep(name, task, perform(task))
        return
    waiting: dict[Future[str], tuple[str, Task]] = {}
    try:
        for name, task in rest:
            waiting[executor.submit(perform, task)] = (name, task)
        for future in as_completed(list(waiting)):
            keep(*waiting[future], future.result())
            del waiting[future]
    finally:
        for future, (name, task) in waiting.items():
            if not future.cancel() and future.done() and future.exception() is None:
                keep(name, task, future.result())


def _how_to_go_on(done: int, n: int, cache: str | Path | None) -> str:
    if cache is None:
        return f"{done} of {n} tasks were done, and nothing was kept. Give cache='folder', so that a run can go on."
    return f"{done} of {n} tasks are done and kept in {str(cache)!r}. To go on, run the same again with the same cache."


class Records:
    """A folder with one JSON file per task, named by the digest of its key.

    Parameters
    ----------
    path
        Folder, which is made.

    Raises
    ------
    ValueError
        If it holds something else than records, or records of another format.
    OSError
        If it cannot be written to.
    """

    def __init__(self, path: str | Path) -> None:
        self.folder = Path(path)
        there = self.folder.exists()
        if there and not self.folder.is_dir():
            raise ValueError(f"The cache {str(path)!r} is a file. Give a folder, which need not exist.")
        others = there and any(not file.name.startswith(".") for file in self.folder.iterdir())
        if others and self._mark() != FORMAT:
            raise ValueError(
                f"The cache {str(path)!r} holds something else than records of format {FORMAT['format']}. Give another "
                "folder, which need not exist."
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._replace(MARK, json.dumps(FORMAT))
        except OSError as error:
            raise type(error)(error.errno, f"The cache {str(path)!r} cannot be written to: {error.strerror}") from error

    def _mark(self) -> Any:
        """What the folder says of itself."""
        try:
            return json.loads((self.folder / MARK).read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def read(self, name: str, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer of the task with this name and key; None if there is no whole record of it.

        Raises
        ------
        ValueError
            If the record is whole, but of another key.
        """
        file = self._file(name)
        try:
            about = json.loads(file.read_bytes())
            whole = digest([about["key"], about["answer"]]) == about["sha256"]
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, RecursionError):
            whole = False
        if not whole:
            logger.warning("The record %s is not whole; its task runs again.", file)
            return None
        if canonical(about["key"]) != canonical(key):
            raise ValueError(
                f"{file} is the record of another task: {canonical(about['key'])}, not {canonical(key)}. Delete it, or "
                "give another cache."
            )
        return dict(about["answer"])

    def write(self, name: str, key: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Keep an answer: it is there as a whole or not at all, whenever this process is killed."""
        about = {"key": plain(key), "answer": answer, "sha256": digest([key, answer])}
        self._replace(self._file(name).name, json.dumps(about))

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _replace(self, name: str, text: str) -> None:
        """Write a file beside, and give it its name in one step."""
        beside = self.folder / f".{name}-{os.getpid()}"
        try:
            beside.write_text(text, encoding="utf-8")
            beside.replace(self.folder / name)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
