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

    def context(self, view: View) -> tuple[Design, Rows]:
        """Context design and batch codes of every cell.

        Raises
        ------
        KeyError, ValueError
            If a column is missing, has missing values, or has categories the model does not know.
        """
        batch = np.zeros(view.n_obs, np.int64)
        if self.batch_key is not None:
            batch = codes_of(view, self.batch_key, self.batches, hint=_NEW_BATCH)
        codes: list[NDArray[np.integer]] = [batch]
        widths = [len(self.batches)]
        for key, categories in self.categorical.items():
            own = codes_of(view, key, categories)
            codes.append(own.astype(np.min_scalar_type(len(categories))))
            widths.append(len(categories))
        scaled = []
        for key, (mean, sd) in self.continuous.items():
            values = numeric_column(view, key)
            one = np.zeros(len(values)) if is_constant(mean, sd) else (values - mean) / sd
            scaled.append(one.astype(np.float32))
        return Design(codes, widths, scaled), batch

    def unseen_batches(self, view: View) -> list[str]:
        """Batch categories of `view` that the model does not know."""
        if self.batch_key is None:
            return []
        return sorted(set(coded(view, self.batch_key)[0]) - set(self.batches))


@dataclass(frozen=True)
class Design:
    """Context of every cell as codes; rows of the design are made when they are asked for.

    Attributes
    ----------
    codes, widths
        Of the batch and of each categorical covariate, the category of every cell, and how many there are.
    continuous
        Each continuous covariate, standardised.
    """

    codes: Sequence[NDArray[np.integer]]
    widths: list[int]
    continuous: list[NDArray[np.float32]]

    def __getitem__(self, cells: Any) -> NDArray[np.float32]:
        """Rows of some cells, ``(cells, n_context)``."""
        parts = [np.eye(n, dtype=np.float32)[code[cells]] for code, n in zip(self.codes, self.widths, strict=True)]
        return np.concatenate([*parts, *(values[cells][:, None] for values in self.continuous)], 1)

    def of(self, cells: Rows) -> Design:
        """The context of some cells alone."""
        return Design([code[cells] for code in self.codes], self.widths, [values[cells] for values in self.continuous])


def coded(view: View, key: str) -> tuple[list[str], Rows]:
    """Labels of a column, sorted, and the number of each cell's label; refused where cells lack one."""
    column = view.column(key)
    if isinstance(column.dtype, pd.CategoricalDtype):
        # labels of categories, not of cells: a corpus has many cells of each
        kinds = column.cat.categories
        text, code = labels(pd.Series(pd.Categorical(kinds, kinds))).to_numpy(), column.cat.codes.to_numpy()
        known = np.append(pd.notna(text), False)
        missing = ~known[code]
    else:
        text = labels(column).to_numpy()
        code, missing = np.arange(len(text)), pd.isna(text)
    if missing.any():
        raise ValueError(f"obs[{key!r}] is missing for {missing.sum()} cells, e.g. {view.obs_names[missing][0]!r}.")
    names = sorted({text[each] for each in np.unique(code)})
    number = pd.Index(names).get_indexer(pd.Index(text))
    return names, number[code]


def codes_of(view: View, key: str, categories: list[str], hint: str = "") -> Rows:
    """Number of each cell's category, ``(cells,)``; others than `categories` are refused, with a `hint`."""
    names, number = coded(view, key)
    unknown = sorted(set(names).difference(categories))
    if unknown:
        raise ValueError(
            f"obs[{key!r}] has categories the model does not know: {unknown}; it knows {categories}.{hint}"
        )
    return np.array([categories.index(name) for name in names], np.int64)[number]


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
