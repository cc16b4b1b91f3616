"""Which fine units make up which coarse ones: the one object behind every change of scale."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scvcell._labels import labels as as_labels

if TYPE_CHECKING:
    from scvcell._types import Array, Mask

logger = logging.getLogger("scvcell")

UNIT_ERROR = 1e-6
"""How far the weights of a fine unit may sum from 1 where its total is said to be kept."""


@dataclass(frozen=True, eq=False, repr=False)
class Membership:
    r"""Weights A of fine units (cells) in coarse ones (spots, niches, sections, donors), at least 0.

    .. math:: x_r = \sum_c A_{rc} x_c

    Projection, lift, map and neighbourhood are such matrices, and what follows from two of them is their product. The
    composition of the niches of lifted spots, for example, is ``neighbours @ composition``.

    Attributes
    ----------
    matrix
        Weights, csr, ``(coarse, fine)``.
    coarse, fine
        Names of both ends.
    unit
        What a coarse unit is, a word for messages: ``"spot"``.
    """

    matrix: sp.csr_array
    coarse: pd.Index
    fine: pd.Index
    unit: str = "unit"

    def __post_init__(self) -> None:
        # a copy in double precision: sums are exact whatever type holds the weights, and those given stay as they are
        matrix = sp.csr_array(self.matrix, dtype=float, copy=True)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        if matrix.shape != (len(self.coarse), len(self.fine)):
            raise ValueError(
                f"A membership of {len(self.coarse)} x {len(self.fine)} units needs a matrix of that shape, not of "
                f"{matrix.shape}."
            )
        if not np.isfinite(matrix.data).all() or (matrix.data < 0).any():
            raise ValueError("Weights of a membership must be finite and at least 0.")
        for what, names in (("coarse", self.coarse), ("fine", self.fine)):
            if not names.is_unique:
                raise ValueError(f"Names of {what} units must be unique; {names[names.duplicated()][0]!r} comes twice.")
        object.__setattr__(self, "matrix", matrix)

    def __repr__(self) -> str:
        n = int((np.diff(self.matrix.indptr) > 0).sum())
        return (
            f"Membership of {len(self.fine)} units in {len(self.coarse)} of kind {self.unit!r}, {n} of them not empty."
        )

    @classmethod
    def groups(cls, labels: pd.Series, unit: str = "group") -> Membership:
        """One coarse unit for each label, in the order of their text; units without a label are in none.

        Parameters
        ----------
        labels
            Label of every fine unit, by its name; missing where it has none.
        unit
            What a coarse unit is.
        """
        text = as_labels(labels)
        cells = np.flatnonzero(text.notna().to_numpy())
        code, names = pd.factorize(text.to_numpy()[cells], sort=True)
        matrix = sp.csr_array((np.ones(len(code)), (code, cells)), shape=(len(names), len(labels)), dtype=float)
        return cls(matrix, pd.Index(names, dtype=object), labels.index, unit)

    @property
    def empty(self) -> Mask:
        """Coarse units without a fine one, ``(coarse,)``."""
        return self.weight == 0

    @property
    def weight(self) -> Array:
        """Sum of the weights of each coarse unit, ``(coarse,)``."""
        return np.asarray(self.matrix.sum(1), dtype=float)

    @property
    def keeps_totals(self) -> bool:
        """Whether each fine unit counts once in all, so that sums over coarse units are those over fine ones."""
        return bool(np.allclose(np.asarray(self.matrix.sum(0)), 1, rtol=0, atol=UNIT_ERROR))

    @property
    def T(self) -> Membership:
        """The same from the other end."""
        return Membership(sp.csr_array(self.matrix.T), self.fine, self.coarse, "part")

    def __matmul__(self, other: Membership) -> Membership:
        """Of the finer units of `other`: ``(coarse of self, fine of other)``.

        Raises
        ------
        ValueError
            If the fine units of this one are not the coarse ones of the other.
        """
        if not self.fine.equals(other.coarse):
            raise ValueError(
                f"The {len(self.fine)} fine units of the first membership are not the {len(other.coarse)} coarse units "
                "of the second, in the same order."
            )
        return Membership(sp.csr_array(self.matrix @ other.matrix), self.coarse, other.fine, self.unit)

    def sum(self, x: Any) -> Any:
        """Weighted sums of values of fine units, ``(coarse, features)``: exact of counts, sparse of sparse values.

        Parameters
        ----------
        x
            Values ``(fine, features)``, dense or sparse.
        """
        found = self.matrix @ (sp.csr_array(x) if sp.issparse(x) else np.asarray(x))
        return sp.csr_matrix(found) if sp.issparse(found) else found

    def mean(self, x: Array) -> Array:
        """Weighted means, NaN for units without a part, of which one line tells, ``(coarse, features)``."""
        weight = self.weight
        if (weight == 0).any():
            logger.warning("%d of %d units of kind %r are empty.", (weight == 0).sum(), len(weight), self.unit)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.matrix @ np.asarray(x, dtype=float)) / np.where(weight > 0, weight, np.nan)[:, None]

    def shares(self) -> Membership:
        """The same with weights that sum to 1 in each coarse unit that is not empty."""
        weight = self.weight
        scale = sp.diags_array(np.divide(1, weight, out=np.zeros_like(weight), where=weight > 0))
        return Membership(sp.csr_array(scale @ self.matrix), self.coarse, self.fine, self.unit)
