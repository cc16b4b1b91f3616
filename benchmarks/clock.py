"""Wall and CPU seconds of a stretch of work, with pauses."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.task import Output


class Stopwatch:
    """Runs from its creation. CPU seconds are those of all threads of this process.

    On a machine that others use as well, wall time says as much about them as about the method; with one thread, CPU
    seconds are what the wall would show on an idle machine.
    """

    def __init__(self) -> None:
        self._begin = self._now()
        self._paused = (0.0, 0.0)

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def _elapsed(self, which: int) -> float:
        return self._now()[which] - self._begin[which] - self._paused[which]

    @property
    def wall(self) -> float:
        """Wall seconds without pauses."""
        return self._elapsed(0)

    @property
    def cpu(self) -> float:
        """CPU seconds without pauses."""
        return self._elapsed(1)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Do something that does not count."""
        begin = self._now()
        try:
            yield
        finally:
            now = self._now()
            self._paused = tuple(p + n - b for p, n, b in zip(self._paused, now, begin, strict=True))

    def stamp(self, out: Output) -> Output:
        """Write both times into an output: call when training has ended."""
        out.fit_seconds, out.fit_cpu_seconds = self.wall, self.cpu
        return out
