"""One way in which contract tests fail."""

from __future__ import annotations


def require(condition: bool, message: str) -> None:
    """Fail with a message.

    Raises
    ------
    AssertionError
        If the condition does not hold.
    """
    if not condition:
        raise AssertionError(message)
