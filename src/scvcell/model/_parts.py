"""What is learned on a fitted state travels with it: a part keeps, restores, extends and cites itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from scvcell._registry import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from numpy.typing import NDArray

    from scvcell._compat import ModelLifecycle


class Part(ABC):
    """Something that is learned on the states of a fitted model, and is kept with it in ``model.parts``.

    Register it under its name, which is that of its files, in the entry-point group ``scvcell.parts``; then
    ``model.learn(name, ...)``, saving, loading, queries and citing know it.

    Attributes
    ----------
    what
        What a model has learned that has it, for messages: ``"what actions do"``.
    relearn
        What users run to learn it anew, for messages.
    absent
        What users are told where a model lacks it.
    """

    what: ClassVar[str] = ""
    relearn: ClassVar[str] = ""
    absent: ClassVar[str] = ""

    @classmethod
    @abstractmethod
    def learn(cls, model: ModelLifecycle, *args: Any, **options: Any) -> Self:
        """Learn the part on a trained model, as ``model.learn(name, *args, **options)`` asks."""

    @abstractmethod
    def dump(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Plain values, which go to ``NAME.json`` (empty: no such file), and arrays, which go to ``NAME.npz``."""

    @classmethod
    @abstractmethod
    def restore(cls, plain: dict[str, Any], arrays: dict[str, NDArray[Any]], n_latent: int) -> Self:
        """Inverse of `dump`; `n_latent` is the dimension of the state."""

    def extend(self) -> Self:
        """The part of a model that was extended to new batches (``load_query_data``); by default the same one."""
        return self

    @property
    def columns(self) -> Sequence[str]:
        """Columns of obs that it reads."""
        return ()

    @property
    def references(self) -> Sequence[str]:
        """Sources to cite."""
        return ()


PARTS: Registry[type[Part]] = Registry("part", "scvcell.parts")
"""Every kind of part by name; the package's own come by the same entry points as those of others."""
