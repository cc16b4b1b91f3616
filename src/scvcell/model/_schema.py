"""What a model knows of its data: modalities, operators, features, context; plain values only."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell._labels import labels, numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scvcell._containers import View
    from scvcell._types import Rows


logger = logging.getLogger("scvcell")

MAX_CONSTANT_SPREAD = 1e-6
"""Standard deviation, over the mean, up to which a covariate is constant."""
_NEW_BATCH = " Run `model.load_query_data(data)` to extend the model to new batches."


@dataclass(frozen=True)
class ModalitySchema:
    """One modality: its operator, its options, its features, and where raw values and depths of cells are."""

    operator: str
    features: list[str]
    options: dict[str, Any] = field(default_factory=dict)
    layer: str | None = None
    size_factor: str | None = None


@dataclass(frozen=True)
class Schema:
    """The registry of a model, as plain values.

    Attributes
    ----------
    modalities
        One `ModalitySchema` per modality, in the user's order.
    batch_key, batches
        Column of the batch and its categories; None and one category without.
    categorical, continuous
        Covariates: categories of each categorical one, mean and standard deviation of each continuous one.
    """

    modalities: dict[str, ModalitySchema]
    batch_key: str | None
    batches: list[str]
    categorical: dict[str, list[str]] = field(default_factory=dict)
    continuous: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def n_context(self) -> int:
        """Width of the context design."""
        return len(self.batches) + sum(map(len, self.categorical.values())) + len(self.continuous)

    @property
    def keys(self) -> list[str]:
        """Columns of the context."""
        return [key for key in (self.batch_key, *self.categorical, *self.continuous) if key is not None]

    def as_dict(self) -> dict[str, Any]:
        """Plain nested dictionaries and lists."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Schema:
        """Inverse of `as_dict`."""
        values = dict(plain)
        values["modalities"] = {m: ModalitySchema(**s) for m, s in plain["modalities"].items()}
        values["continuous"] = {k: tuple(v) for k, v in plain["continuous"].items()}
        return cls(**values)

    def with_batches(self, names: Sequence[str]) -> Schema:
        """The same schema with further batch categories at the end."""
        return replace(self, batches=[*self.batches, *names])

    def context(self, view: View) -> tuple[NDArray[np.float32], Rows]:
        """Context design, shape ``(cells, n_context)``, and batch codes of every cell.

        Raises
        ------
        KeyError, ValueError
            If a column is missing, has missing values, or has categories the model does not know.
        """
        batch = np.zeros(view.n_obs, np.int64)
        if self.batch_key is not None:
            batch = codes_of(view, self.batch_key, self.batches, hint=_NEW_BATCH)
        parts = [np.eye(len(self.batches), dtype=np.float32)[batch]]
        for key, categories in self.categorical.items():
            parts.append(np.eye(len(categories), dtype=np.float32)[codes_of(view, key, categories)])
        for key, (mean, sd) in self.continuous.items():
            values = numeric_column(view, key)
            scaled = np.zeros(len(values)) if is_constant(mean, sd) else (values - mean) / sd
            parts.append(scaled.astype(np.float32)[:, None])
        return np.concatenate(parts, 1), batch

    def unseen_batches(self, view: View) -> list[str]:
        """Batch categories of `view` that the model does not know."""
        if self.batch_key is None:
            return []
        return sorted(set(text_column(view, self.batch_key).tolist()) - set(self.batches))


def text_column(view: View, key: str) -> NDArray[np.str_]:
    """A column as text, refused where cells lack a label, ``(cells,)``."""
    text = labels(view.column(key))
    missing = text.isna().to_numpy()
    if missing.any():
        raise ValueError(f"obs[{key!r}] is missing for {missing.sum()} cells, e.g. {view.obs_names[missing][0]!r}.")
    return text.to_numpy().astype(str)


def codes_of(view: View, key: str, categories: list[str], hint: str = "") -> Rows:
    """Number of each cell's category, ``(cells,)``; others than `categories` are refused, with a `hint`."""
    codes = pd.Index(categories).get_indexer(pd.Index(text_column(view, key)))
    if (codes < 0).any():
        unknown = sorted(set(text_column(view, key)[codes < 0].tolist()))
        raise ValueError(
            f"obs[{key!r}] has categories the model does not know: {unknown}; it knows {categories}.{hint}"
        )
    return codes.astype(np.int64)


def numeric_column(view: View, key: str) -> NDArray[np.float64]:
    """A column as finite numbers, refused where cells lack one, ``(cells,)``."""
    values = numbers(view.column(key))
    if not np.isfinite(values).all():
        raise ValueError(
            f"obs[{key!r}] must be numeric without missing values; {(~np.isfinite(values)).sum()} are not."
        )
    return values


def is_constant(mean: float, sd: float) -> bool:
    """Whether a covariate did not vary but for rounding."""
    return sd <= MAX_CONSTANT_SPREAD * abs(mean)
