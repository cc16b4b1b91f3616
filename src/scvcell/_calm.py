"""How long work runs: progress, threads, and warnings that are not the user's business."""

from __future__ import annotations

import inspect
import logging
import os
import sys
import threading
import time
import warnings
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

with warnings.catch_warnings():
    # Without ipywidgets tqdm complains at its first import, whoever asks for it; later ones find it imported.
    warnings.simplefilter("ignore")
    from tqdm.auto import tqdm

DELAY = 3.0
"""Seconds before a verb shows that it is at work."""
LINES = 10
"""Lines of progress in a file, at most."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which users choose the number of threads."""
LIBRARIES = (
    r"(anndata|h5py|lightning|lightning_utilities|mudata|numba|pandas|scanpy|scvi|sklearn|torch|tqdm|umap)(\..*)?$"
)
"""Whose warnings about their own lines are for those who write code, not for those who use it."""
MESSAGES = (
    # the same, but blamed on the lines that called them
    r".*LeafSpec.*",
    r".*does not have many workers.*",
    r".*have no `val_dataloader`.*",
    r"Sparse invariant checks.*",
    r"Sparse CSR tensor support is in beta.*",
)


def silent() -> bool:
    """Whether the user wants no progress: ``scvi.settings.verbosity``, scanpy's or the logger's is below "info"."""
    scanpy = sys.modules.get("scanpy")
    quiet = scanpy is not None and int(scanpy.settings.verbosity) <= 0
    return quiet or any(logging.getLogger(name).level > logging.INFO for name in ("scvcell", "scvi"))


class Bar:
    """Progress of `total` steps on standard error: a bar on a terminal or in a notebook, a few lines in a file.

    Parameters
    ----------
    total
        Number of steps.
    what
        What is done.
    shown
        Whether anything is written.
    delay
        Seconds before anything is written.
    """

    def __init__(self, total: int, what: str, *, shown: bool = True, delay: float = DELAY) -> None:
        self.total, self.what, self.delay = total, what, delay
        self.shown = shown and not silent()
        self.done, self.started, self.written = 0, time.monotonic(), 0
        live = self.shown and (sys.stderr.isatty() or "ipykernel" in sys.modules)
        self.bar = tqdm(total=total, desc=what, delay=delay, dynamic_ncols=True) if live else None

    def step(self, **numbers: float) -> None:
        """One more step is done; `numbers` are shown beside it."""
        self.done += 1
        if self.bar is not None:
            self.bar.set_postfix({k: f"{v:.4g}" for k, v in numbers.items()}, refresh=False)
            self.bar.update()
            return
        seconds = time.monotonic() - self.started
        tenth = self.done * LINES // max(self.total, 1)
        if self.shown and tenth > self.written and seconds >= self.delay:
            self.written = tenth
            values = "".join(f", {k} {v:.4g}" for k, v in numbers.items())
            sys.stderr.write(f"{self.what}: {self.done} of {self.total}, {seconds:.0f} s{values}\n")

    def close(self) -> None:
        """No more steps."""
        if self.bar is not None:
            self.bar.close()


def progress[T](
    items: Sequence[T] | Iterable[T], what: str, *, shown: bool = True, delay: float = DELAY
) -> Iterator[T]:
    """Go through `items`; after `delay` seconds, say how many are done."""
    items = list(items)
    bar = Bar(len(items), what, shown=shown, delay=delay)
    try:
        for item in items:
            yield item
            bar.step()
    finally:
        bar.close()


class _Calm:
    """Settings of the process: changed by the first of those who work, put back by the last."""

    def __init__(self) -> None:
        self.lock, self.at_work, self.undo = threading.Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self.lock:
            self.at_work += 1
            if self.at_work == 1:
                self._begin()

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.at_work -= 1
            if self.at_work == 0:
                self.undo.close()

    def _begin(self) -> None:
        self.undo.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", module=LIBRARIES)
        for message in MESSAGES:
            warnings.filterwarnings("ignore", message=message)
        torch = sys.modules.get("torch")
        for lightning in map(logging.getLogger, ("lightning.pytorch", "lightning.fabric")):
            if lightning.level < logging.WARNING:
                self.undo.callback(lightning.setLevel, lightning.level)
                lightning.setLevel(logging.WARNING)
        if torch is None:
            return
        threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
        if not any(map(os.environ.get, THREADS)) and threads in _usual():
            self.undo.callback(torch.set_num_threads, threads)
            torch.set_num_threads(1)
        if dtype != torch.float32:
            self.undo.callback(torch.set_default_dtype, dtype)
            torch.set_default_dtype(torch.float32)


_CALM, _VERB = _Calm(), threading.local()


@contextmanager
def calm() -> Iterator[None]:
    """Work on one thread, and keep to itself what other libraries say to this package; also a decorator.

    Steps on a few hundred cells gain next to nothing by a second thread, and where other programs keep cores busy
    threads wait for each other. A number of threads that the user chose, by ``OMP_NUM_THREADS`` or
    ``torch.set_num_threads``, is kept. New tensors are single precision and on the CPU, whatever torch's defaults are.
    """
    torch: Any = sys.modules.get("torch")
    elsewhere = torch is not None and torch.get_default_device().type != "cpu"
    told = getattr(_VERB, "told", None)
    _VERB.told = set() if told is None else told
    try:
        with _CALM, torch.device("cpu") if elsewhere else nullcontext():
            yield
    finally:
        _VERB.told = told


def first(what: object) -> bool:
    """Whether the verb that runs has not said `what` yet."""
    told: set[object] | None = getattr(_VERB, "told", None)
    if told is None:
        return True
    new = what not in told
    told.add(what)
    return new


def calm_down(module: dict[str, Any]) -> None:
    """Make every public function of a module `calm`; they then are the module's own, so that they can be pickled."""
    for name in module["__all__"]:
        if inspect.isfunction(module[name]):
            module[name] = calm()(module[name])
            module[name].__module__ = module["__name__"]


def _usual() -> set[int]:
    """Numbers of threads that torch takes when nobody says otherwise: of cores, or of their halves."""
    here = os.cpu_count() or 1
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else here
    return {n for cores in (here, free) for n in (cores, -(-cores // 2)) if n > 1}
