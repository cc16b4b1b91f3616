"""Likeness of perturbation targets, from interactions, gene sets, fingerprints or embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class TargetKernel:
    r"""How alike targets are, so that those never perturbed act like those that were.

    .. math::
        w = k_*^\top (K + \lambda I)^{-1}, \qquad K_{pq} = \cos(e_p, e_q), \qquad
        G_* = \sum_p \big( w_p + (1 - \textstyle\sum_q w_q) / n \big)\, G_p

    with :math:`e` the rows of a table. An unseen target acts as the mean of the n known ones plus the weighted
    deviations of those it is like (kriging around the mean), and :math:`w^\top k_*` says how much of it they explain.

    Parameters
    ----------
    table
        One row per target, by name: gene-set membership, interaction profile, chemical fingerprint, or an embedding.
    ridge
        :math:`\lambda`, how little one known target alone is relied on.

    Raises
    ------
    ValueError
        If a name occurs twice, or a value is not a finite number.

    References
    ----------
    Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006.

    Examples
    --------
    >>> prior = scvcell.prior.TargetKernel(go_membership)  # genes x terms, 0 or 1
    >>> model = scvcell.tl.fit(adata, perturbation=keys, priors=[prior])
    """

    def __init__(self, table: pd.DataFrame, *, ridge: float = 0.5) -> None:
        if not isinstance(table, pd.DataFrame):
            raise TypeError(f"table must be a DataFrame with one row per target, not {type(table).__name__}.")
        if not table.index.is_unique:
            raise ValueError(
                f"table has two rows for {table.index[table.index.duplicated()][0]!r}; keep one per target."
            )
        values = table.apply(pd.to_numeric, errors="coerce").to_numpy(float)
        if values.shape[1] == 0 or not np.isfinite(values).all():
            raise ValueError("table must hold finite numbers only; drop or fill columns with text or missing values.")
        self.table = table
        self.ridge = ridge
        self.values = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
        self.names = {str(name): i for i, name in enumerate(table.index)}

    def weights(self, target: str, known: Sequence[str]) -> NDArray[np.float64] | None:
        """Weights of known targets for an unseen one, ``(known,)``; None if the table lacks it or all known ones."""
        weights, _ = self._explain(target, known)
        return weights

    def likeness(self, target: str, known: Sequence[str]) -> float:
        """How much of an unseen target the known ones explain, from 0 to 1."""
        return self._explain(target, known)[1]

    def _explain(self, target: str, known: Sequence[str]) -> tuple[NDArray[np.float64] | None, float]:
        here = [k for k, name in enumerate(known) if name in self.names]
        if target not in self.names or not here:
            return None, 0.0
        e = self.values[[self.names[known[k]] for k in here]]
        like = e @ self.values[self.names[target]]
        out = np.zeros(len(known))
        weights = np.linalg.solve(e @ e.T + self.ridge * np.eye(len(here)), like)
        out[here] = weights + (1 - weights.sum()) / len(here)
        return out, float(np.clip(weights @ like, 0, 1))
