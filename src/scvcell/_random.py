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
    each other's numbers. A GPU that nobody has used yet is not started for it.
    """
    with _ALONE:
        host = torch.get_rng_state()
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
        mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_rng_state(host)
            if cuda is not None:
                torch.cuda.set_rng_state_all(cuda)
            else:  # as the user's own torch.manual_seed has left them
                torch.cuda.manual_seed_all(torch.initial_seed())
            if mps is not None:
                torch.mps.set_rng_state(mps)
