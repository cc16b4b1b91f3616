"""How networks grow with new batches: these get columns or rows of their own, and all that is known stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

type Grown = dict[str, tuple[int, Tensor]]
"""What grew: name of the parameter or buffer -> the axis along which it grew, and the new positions on it."""


class Columns(NamedTuple):
    """Which columns of the context are known, and which are new.

    Columns of the context (`Context.design`) are the known batches, then the new batches, then all other covariates.

    Attributes
    ----------
    known, new
        Number of batches that are known, and that are new.
    kept
        Position in the new context of each column of the old one.
    """

    known: int
    new: int
    kept: list[int]

    @classmethod
    def of(cls, known: int, new: int, n_context: int) -> Columns:
        """Columns of a new context, of which there are `n_context` with the new batches."""
        return cls(known, new, [*range(known), *range(known + new, n_context)])


def widen(new: nn.Module, old: nn.Module, columns: Columns, prefix: str = "") -> Grown:
    """Copy the weights of a module into the same module for more batches; new batches start at the mean of known ones.

    What has the same shape is copied. A module in which something grew says how, in one of two ways:

    - ``per_batch`` names its own parameters and buffers that have one row per batch;
    - a method ``widen(old, columns, prefix)`` copies all weights of `old` into the module, those of modules inside it
      as well, and returns what grew. `Decoder` has one.

    Modules inside a module are widened in turn.

    Parameters
    ----------
    new, old
        The module for more batches, whose weights are set, and the one that has them.
    columns
        Which columns of the context are known, and which are new.
    prefix
        Put before the names of what grew: ``"decoder."``.

    Returns
    -------
    What grew: name -> axis and new positions.

    Raises
    ------
    ValueError
        If something grew and nothing says how.
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
        Old position of the first batch along the axis.
    columns
        Which columns of the context are known, and which are new.
    name
        Name of the parameter.

    Returns
    -------
    What is new; empty where no batch is.

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
