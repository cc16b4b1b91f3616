"""How networks grow with the context: new batches get columns of their own, all that is known stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

type Grown = dict[str, tuple[int, Tensor]]
"""By the name of what grew: the axis along which it did, and the positions that are new."""


class Columns(NamedTuple):
    """Which columns of the context stay, and which are new.

    Attributes
    ----------
    known, new
        Number of batches that are known and that are new; the columns of batches come first, known ones before new.
    kept
        Position in the new context of each column of the old one.
    """

    known: int
    new: int
    kept: list[int]

    @classmethod
    def of(cls, known: int, new: int, n_context: int) -> Columns:
        """Of a new context of `n_context` columns."""
        return cls(known, new, [*range(known), *range(known + new, n_context)])


def widen(new: nn.Module, old: nn.Module, columns: Columns, prefix: str = "") -> Grown:
    """Copy `old` into `new`, the same module for more batches; new ones start at the mean of those that are known.

    A module that grows says how: by a method ``widen(old, columns, prefix)`` as this function has it, or by
    ``per_batch``, names of its own parameters and buffers of which the first axis is the batch.

    Parameters
    ----------
    new, old
        The modules.
    columns
        Which columns of the context stay.
    prefix
        Before names.

    Returns
    -------
    What grew.

    Raises
    ------
    ValueError
        If something grew that does not say how.
    """
    grows = getattr(new, "widen", None)
    if grows is not None:
        found: Grown = grows(old, columns, prefix)
        return found
    grew: Grown = {}
    per_batch = getattr(new, "per_batch", ())
    kept = dict(_own(old))
    with torch.no_grad():
        for name, value in _own(new):
            before = kept[name].to(value.device)
            if name in per_batch:
                grew |= grow(value, before, 0, list(range(columns.known)), 0, columns, prefix + name)
            elif value.shape == before.shape:
                value.copy_(before)
            else:
                raise ValueError(
                    f"{type(new).__name__} cannot take new batches: its {name!r} of shape {tuple(before.shape)} "
                    f"becomes {tuple(value.shape)} with them, and nothing says where known batches stay. Use "
                    "scvcell.measure.Decoder for what reads the context, name it in `per_batch`, or define `widen`."
                )
    children = dict(old.named_children())
    for name, child in new.named_children():
        grew |= widen(child, children[name], columns, f"{prefix}{name}.")
    return grew


def grow(value: Tensor, before: Tensor, axis: int, kept: list[int], first: int, columns: Columns, name: str) -> Grown:
    """Copy `before` into `value`, which is longer along an axis.

    Parameters
    ----------
    value, before
        New and old parameter.
    axis
        The axis that grew.
    kept
        Where the old positions are now.
    first
        Position of the first known batch in the old one.
    columns
        Which columns of the context stay.
    name
        Name of the parameter.

    Returns
    -------
    What is new, nothing where nothing is.

    Raises
    ------
    ValueError
        If the sizes are not those of the context.
    """
    if len(kept) != before.shape[axis] or before.shape[axis] + columns.new != value.shape[axis]:
        raise ValueError(
            f"{name!r} does not grow as the context does: {tuple(before.shape)} becomes {tuple(value.shape)}, with "
            f"{columns.known} known and {columns.new} new batches."
        )
    added = torch.tensor(sorted(set(range(value.shape[axis])) - set(kept)), dtype=torch.int64, device=value.device)
    value.index_copy_(axis, torch.tensor(kept, device=value.device), before)
    if not len(added):
        return {}
    batches = before.narrow(axis, first, columns.known)
    mean = batches.float().mean(axis, keepdim=True).to(value.dtype)
    value.index_copy_(axis, added, mean.expand(*[len(added) if i == axis else -1 for i in range(value.dim())]))
    return {name: (axis, added)}


def _own(module: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and saved buffers of a module itself, without those of its parts."""
    saved = module.state_dict()
    named = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    return [(name, tensor) for name, tensor in named if name in saved]
