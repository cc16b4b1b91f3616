"""Parts: what is learned on a fitted state and travels with it. Each keeps, restores, extends and cites itself."""

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

    Register it under a name, with ``PARTS.register(name)`` or in the entry-point group ``scvcell.parts``. Then
    ``model.learn(name, ...)`` learns it. Saving, loading, ``load_query_data`` and ``scvcell.cite`` find it by that
    name, and its files are called so.

    Attributes
    ----------
    what
        What the model learned, as messages name it: ``"what actions do"``; its name by default.
    relearn
        What users run to learn it again, for messages; ``model.learn(name)`` by default.
    absent
        The whole message where it was never learned; one that names ``model.learn(name)`` by default.
    """

    what: ClassVar[str] = ""
    relearn: ClassVar[str] = ""
    absent: ClassVar[str] = ""

    @classmethod
    @abstractmethod
    def learn(cls, model: ModelLifecycle, *args: Any, **options: Any) -> Self:
        """Learn the part.

        Parameters
        ----------
        model
            Trained model, a :class:`scvcell.model.Fitted`.
        args, options
            What was given to ``model.learn(name, *args, **options)``.
        """

    @abstractmethod
    def dump(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """All that is to be saved: plain values and arrays.

        Returns
        -------
        Values that JSON can hold, which go to ``NAME.json`` (no such file where they are empty), and arrays, which go
        to ``NAME.npz``.
        """

    @classmethod
    @abstractmethod
    def restore(cls, plain: dict[str, Any], arrays: dict[str, NDArray[Any]], n_latent: int) -> Self:
        """The part from what `dump` gave.

        Parameters
        ----------
        plain, arrays
            What was saved.
        n_latent
            Dimension of z.
        """

    def extend(self) -> Self:
        """The part for the same model with new batches (``load_query_data``); by default this very one."""
        return self

    @property
    def columns(self) -> Sequence[str]:
        """Columns of obs that it reads from data."""
        return ()

    @property
    def references(self) -> Sequence[str]:
        """Sources to cite."""
        return ()


PARTS: Registry[type[Part]] = Registry("part", "scvcell.parts")
"""Every kind of part by name. The package's own come by entry points, as those of others do."""
