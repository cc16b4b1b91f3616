"""Torch's random numbers: the same from the same seed, whoever else draws, and left as they were found."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALONE = threading.RLock()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from `seed` on; afterwards torch's generators are as they were. Also a decorator.

    One thread at a time, as all threads share these generators: two fits of one seed beside each other would take
    each other's numbers.
    """
    with _ALONE, torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        torch.manual_seed(seed)
        yield
