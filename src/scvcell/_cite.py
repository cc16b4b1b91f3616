"""References of everything a fitted model used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scvcell.model import CSL


def cite(model: CSL) -> list[str]:
    """References to cite for a model: the framework, and the source of every operator and term it used.

    Parameters
    ----------
    model
        A model, fitted or not.
    """
    from scvcell.model import references

    return references(model)
