"""Signals that arrive in training wait for the end of a step, so that what is kept of it is whole."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

from lightning.pytorch.utilities.exceptions import SIGTERMException

if TYPE_CHECKING:
    from types import FrameType

NOTHING, SAVE, INTERRUPT, TERMINATE = range(4)
"""What signals ask for, the strongest last."""


class Stops:
    """Handlers of SIGINT, SIGTERM and SIGUSR1, from `take` to `give_back`.

    The first signal of a kind is remembered, and acted upon by `act`; a second one acts at once. A handler of the
    user's own is called, only a little later; that of SIGUSR1 is not touched.
    """

    def __init__(self) -> None:
        self.before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        self.asked = NOTHING
        self.taken: dict[int, Any] = {}

    def take(self) -> None:
        """Begin to wait; nothing happens outside the main thread, where no handler can be set."""
        if threading.current_thread() is not threading.main_thread():
            return
        wanted = [number for number, handler in self.before.items() if handler not in (None, signal.SIG_IGN)]
        if signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:
            wanted.append(signal.SIGUSR1)
        for number in wanted:
            self.taken[number] = signal.signal(number, self._came)

    def give_back(self) -> None:
        """Put back the handlers that were found."""
        for number, handler in self.taken.items():
            if signal.getsignal(number) == self._came:
                signal.signal(number, handler)
        self.taken = {}

    def _came(self, number: int, frame: FrameType | None) -> None:
        kind = {signal.SIGTERM: TERMINATE, signal.SIGINT: INTERRUPT}.get(signal.Signals(number), SAVE)
        again = kind != SAVE and self.asked == kind
        self.asked = max(self.asked, kind)
        if again:
            self.act(kind)

    def act(self, kind: int) -> None:
        """Do what a signal does: call the user's handler, or end the training.

        Raises
        ------
        KeyboardInterrupt, SIGTERMException
            For Ctrl-C and SIGTERM, where no handler of the user's does something else.
        """
        self.asked = NOTHING
        if kind in (NOTHING, SAVE):
            return
        number = signal.SIGTERM if kind == TERMINATE else signal.SIGINT
        handler = self.before[number]
        if callable(handler):
            handler(number, None)
        elif kind == TERMINATE:
            raise SIGTERMException
        else:
            raise KeyboardInterrupt
