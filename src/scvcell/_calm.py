"""How long work runs: progress, threads, and warnings that are not the user's business."""

from __future__ import annotations

import inspect
import logging
import os
import sys
import time
import warnings
from contextlib import contextmanager
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


@contextmanager
def calm() -> Iterator[None]:
    """Work on one thread, and keep to itself what other libraries say to this package; also a decorator.

    Steps on a few hundred cells gain next to nothing by a second thread, and where other programs keep cores busy
    threads wait for each other. A number of threads that the user chose, by ``OMP_NUM_THREADS`` or
    ``torch.set_num_threads``, is kept.
    """
    torch: Any = sys.modules.get("torch")
    before = None if torch is None or any(map(os.environ.get, THREADS)) else torch.get_num_threads()
    lightning = logging.getLogger("lightning.pytorch")
    level = lightning.level
    if level < logging.WARNING:
        lightning.setLevel(logging.WARNING)
    chosen = before not in _usual()
    if not chosen:
        torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=LIBRARIES)
            for message in MESSAGES:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        lightning.setLevel(level)
        if not chosen:
            torch.set_num_threads(before)


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
