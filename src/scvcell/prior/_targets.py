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

    .. math:: w_* = k_*^\top (K + \lambda I)^{-1}, \qquad K_{pq} = \exp\big(-\|e_p - e_q\|^2 / 2 \ell^2\big)

    with :math:`\ell` the median distance between targets after each column is standardised. An unseen target acts as
    the sum of the known ones with weights :math:`w_*`.

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
        spread = values.std(0)
        self.values = (values[:, spread > 0] - values[:, spread > 0].mean(0)) / spread[spread > 0]
        self.names = {str(name): i for i, name in enumerate(table.index)}

    def weights(self, target: str, known: Sequence[str]) -> NDArray[np.float64] | None:
        """Weights of known targets for an unseen one, ``(known,)``; None if the table lacks it or all known ones."""
        here = [k for k, name in enumerate(known) if name in self.names]
        if target not in self.names or not here:
            return None
        e = self.values[[self.names[known[k]] for k in here]]
        among, to = ((a[:, None] - e[None]) for a in (e, self.values[[self.names[target]]]))
        among, to = (among**2).sum(-1), (to**2).sum(-1)
        length = np.median(among[among > 0]) if (among > 0).any() else 1.0
        out = np.zeros(len(known))
        k = np.exp(-0.5 * among / length) + self.ridge * np.eye(len(here))
        out[here] = np.linalg.solve(k, np.exp(-0.5 * to[0] / length))
        return out
