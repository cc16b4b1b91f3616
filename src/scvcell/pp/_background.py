"""pp.background_prior: what a protein measures where there is no protein."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell._containers import Matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData


def background_prior(
    cells: AnnData, *, empty_droplets: AnnData | None = None, isotypes: Sequence[str] | None = None
) -> dict[str, list[float]]:
    r"""Prior of log background counts, for the ``protein`` operator's mixture.

    .. math:: \log\beta_t \sim \mathcal N(c_t, d_t^2)

    Parameters
    ----------
    cells
        Protein counts of cells; gives the proteins and their order.
    empty_droplets
        Counts of droplets without a cell, with the same proteins: ``c`` and ``d`` are mean and standard deviation of
        their log1p counts.
    isotypes
        Names of isotype controls among the proteins, whose counts on cells are background by construction; used where
        no droplets are given, with one location for all proteins.

    Returns
    -------
    Options of the operator: ``measure={"adt": ("protein", scvcell.pp.background_prior(...))}``.

    References
    ----------
    Mule et al., Normalizing and denoising protein expression data from droplet-based single cell profiling,
    Nat Commun 2022.
    """
    if empty_droplets is not None:
        missing = sorted(set(cells.var_names) - set(empty_droplets.var_names))
        if missing:
            raise ValueError(f"empty_droplets lack {len(missing)} proteins of the cells, e.g. {missing[:3]}.")
        aligned = empty_droplets[:, cells.var_names]
        log = np.log1p(Matrix(aligned.X).dense(np.arange(aligned.n_obs)))
        return {
            "background": log.mean(0).tolist(),
            "background_sd": np.maximum(log.std(0), 0.3).tolist(),
        }
    if not isotypes:
        raise ValueError("Give empty_droplets= or isotypes=; without either leave the prior out, it is then learned.")
    unknown = sorted(set(isotypes) - set(cells.var_names))
    if unknown:
        raise ValueError(f"No protein is called {unknown[0]!r}; the proteins are {cells.var_names[:5].tolist()} ...")
    columns = cells.var_names.get_indexer(list(isotypes))
    log = np.log1p(Matrix(cells.X).dense(np.arange(cells.n_obs))[:, columns])
    location, spread = float(log.mean()), float(max(log.std(), 0.5))
    return {"background": [location] * cells.n_vars, "background_sd": [spread] * cells.n_vars}
