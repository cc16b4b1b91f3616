"""Errors that users may want to catch. Each is also one of Python's own, so that ``except ValueError`` still works.

Examples
--------
>>> try:
...     model = scvcell.CSL.load("my_model", mdata)
... except scvcell.errors.Damaged:
...     model = scvcell.tl.fit(mdata)
"""

from __future__ import annotations

from typing import Any

__all__ = ["Damaged", "Diverged", "NotLearned", "NotTrained", "OutOfSupport", "Terminated"]


class NotTrained(RuntimeError):
    """A model was asked before it was trained."""


class NotLearned(ValueError):
    """A model was asked for a part that it has not learned, such as what actions do, or must learn again."""


class OutOfSupport(ValueError):
    """Nothing can be said about what was asked: an unknown target, or a dose or time where training had none."""


class Damaged(ValueError):
    """A file of a saved model is not what was written; the message names it."""


class Diverged(RuntimeError):
    """Training met a loss that is not finite; the model is as it was before."""


class Terminated(SystemExit):
    """SIGTERM ended a training. Where nobody catches it, the process ends with status 143, as a shell expects.

    Attributes
    ----------
    model
        The model as it was then, to be saved; None where there was none.
    """

    def __init__(self) -> None:
        super().__init__(143)
        self.model: Any = None
