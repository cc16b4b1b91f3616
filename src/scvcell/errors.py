"""Exceptions that users may want to catch; each is also one of Python's own, as they always were."""

from __future__ import annotations

from typing import Any

__all__ = ["Damaged", "Diverged", "NotLearned", "NotTrained", "OutOfSupport", "Terminated"]


class NotTrained(RuntimeError):
    """A model was asked before it was trained."""


class NotLearned(ValueError):
    """A model was asked for what it has not learned: what actions do, where cells go; or states moved since."""


class OutOfSupport(ValueError):
    """Nothing can be said of what was asked: an unknown target, a dose or a time where training had none."""


class Damaged(ValueError):
    """A file of a saved model is not what was written."""


class Diverged(RuntimeError):
    """Training met a loss that is not finite; the model is as it was."""


class Terminated(SystemExit):
    """SIGTERM ended a training; ends the process with status 143, as a shell expects, where nobody catches it.

    Attributes
    ----------
    model
        The model as it was then, to be saved; None where there was none.
    """

    def __init__(self) -> None:
        super().__init__(143)
        self.model: Any = None
