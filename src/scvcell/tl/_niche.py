"""tl.niche: what surrounds each unit, as a state at several radii, as niches, and as kinds of neighbours."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from scvcell import _keys
from scvcell._checks import expect, seed_of, whole_number
from scvcell._containers import Membership, Space
from scvcell._labels import labels
from scvcell.model import CSL
from scvcell.tissue import (
    apart,
    cluster,
    expected_niche,
    neighbours,
    niche_states,
    standardised,
    surroundings,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell._containers import Container, View
    from scvcell._types import Array, Mask, Rows

logger = logging.getLogger("scvcell")

K = (6, 18, 36)
"""Neighbours of the three niches of a unit: one, two and three rings of a grid of hexagons."""


def niche(
    data: Container,
    model: CSL,
    *,
    k: int | Sequence[int] = K,
    graph: str | None = None,
    section_key: str | None = None,
    n_niches: int | None = None,
    composition: Any = None,
    reference: Container | None = None,
    key_added: str = _keys.NICHE,
    seed: int = 0,
) -> None:
    r"""Write the state of what surrounds each unit, at several radii.

    .. math:: \Big[\, z_r,\ \bar s_r^{(k)},\ z \sim q\Big(z \,\Big|\, \sum_c A^{(k)}_{rc} x_c\Big) \,\Big]_{k}

    The unit's own state, and for each radius the mean front-end scores and the posterior of the pool of its niche.
    Every part is centred and scaled within section.

    Parameters
    ----------
    data
        Cells or spots with ``.obsm["spatial"]``, or a SpatialData; or dissociated cells, with `reference`.
    model
        Model fitted on such units.
    k
        Numbers of nearest neighbours, one for each radius.
    graph
        A graph that the data have, instead of `k`: ``"spatial"`` reads ``obsp["spatial_connectivities"]``.
    section_key
        Column of the section: sections share no neighbours.
    n_niches
        Number of niches, by k-means on the middle radius; none without it.
    composition
        Column of the kind of each unit, or what :func:`scvcell.tl.lift` gave of these units: then it is told which
        kinds are neighbours.
    reference
        Tissue of the same model, for `data` that are dissociated cells: each gets the niche that its state lets expect.
    key_added
        ``.obsm`` key.
    seed
        Drives k-means and permutations.

    Notes
    -----
    Writes ``obsm["X_niche"]``, NaN of units without a place or measurement; with `n_niches` ``obs["niche"]``, the
    largest niche first; and ``uns["csl_niche"]``: ``params`` and ``columns`` (start and stop of each part).

    With `composition`, ``obsm["X_niche_composition"]`` holds the share of each kind around each unit, and
    ``uns["csl_niche"]["neighbours"]`` the ``kinds``, pairs of neighbours ``observed`` and ``expected`` (mean of 100
    permutations of the places within section) and their difference in standard deviations, ``z``. The pairs are
    :math:`C^\top A C` with the cells C of each unit and the smallest radius A; cells of one unit are neighbours, too.

    With `reference`, ``obs["niche_trusted"]`` is whether a cell's state is as near to the tissue's as these are to
    each other, and ``uns["csl_niche"]["r2"]`` holds for each part what share of its variance a state tells in blocks of
    the tissue that were left out. Nothing is trusted where that is 0 or less for the niche as a whole.

    Raises
    ------
    ValueError
        If there are no coordinates, there are fewer units than niches, or a kind cannot be read.
    KeyError
        If obs lacks a column, or obsp the graph.

    References
    ----------
    Haviv et al., The covariance environment defines cellular niches for spatial inference, Nat Biotechnol 2025, for the
    question; Hu and Chen, Insights into Artificial Intelligence Virtual Cells (the operator P).

    Examples
    --------
    >>> scvcell.tl.niche(visium, model, section_key="slide", n_niches=8)
    """
    expect("model", model, CSL, "The data come first, then the model.")
    radii, seed = _radii(k), seed_of(seed)
    n = None if n_niches is None else whole_number("n_niches", n_niches, 2)
    seen = model.view(data)
    keys = _keys.niche_keys(key_added)
    columns = ([] if n is None else [keys["label"]]) + ([] if reference is None else [keys["trusted"]])
    if not all(_keys.NICHE_UNS in holder.uns for holder in seen.holders):  # a second time with other columns is fine
        seen.check_key_added(key_added, columns, obsm=True)
    tissue = seen if reference is None else model.view(reference)
    kinds = None if composition is None else _composition(tissue, composition)
    space = Space.of(tissue, section_key)
    around = surroundings(tissue, space, radii, graph)
    states = niche_states(model, tissue, around)
    section = np.where(space.placed, space.section, -1)
    values, where = standardised(states, section)
    known, order = np.isfinite(values).all(1), np.argsort(tissue.obs_names.to_numpy(str), kind="stable")
    _check_known(known, n)
    params = {"k": list(radii), "graph": graph or "", "section_key": section_key or "", "seed": seed}
    found: dict[str, Any] = {
        "params": params,
        "columns": {name: [at.start, at.stop] for name, at in where.items()},
    }
    middle = list(around)[len(around) // 2]
    some = np.r_[where[f"scores {middle}"], where[f"pool {middle}"]]
    code = None if n is None else cluster(values[:, some], order, n, seed)
    obs: dict[str, Any] = {}
    obsm: dict[str, Any] = {}
    if kinds is not None:
        told = neighbours(next(iter(around.values())), kinds, section, order, seed)
        found["neighbours"] = {
            "kinds": np.array(kinds.fine, dtype=str),
            "observed": told.observed,
            "expected": told.expected,
            "z": told.z,
        }
        if reference is None:
            obsm[keys["composition"]] = told.around.astype(np.float32)
    if reference is not None:
        levels = [section, apart(space), np.arange(len(values))]
        asked = model.posterior(seen.only(model.assays)).mean.numpy()
        told_by_state = expected_niche(asked, states["own"], values, where, levels, np.flatnonzero(known))
        code = None if code is None else _nearest(told_by_state.value[:, some], values[:, some], code)
        lost = ~seen.only(model.assays).measured()
        values = np.where(lost[:, None], np.nan, told_by_state.value).astype(np.float32)
        code = None if code is None else np.where(lost, -1, code)
        found["r2"] = told_by_state.r2
        obs[keys["trusted"]] = ~lost & told_by_state.near & (_tells(told_by_state.r2) > 0) & model.trusts()
    if code is not None:
        obs[keys["label"]] = pd.Categorical.from_codes(code, pd.Index([str(i) for i in range(n or 0)]))
    seen.write(obs=obs, obsm={key_added: values, **obsm}, uns={_keys.NICHE_UNS: found})


def _radii(k: Any) -> list[int]:
    """Numbers of neighbours, from few to many."""
    given = list(k) if np.iterable(k) and not isinstance(k, str) else [k]
    found = sorted({whole_number("k", each, 1) for each in given})
    if not found:
        raise ValueError("k= is empty; give numbers of neighbours, e.g. k=(6, 18, 36).")
    return found


def _check_known(known: Mask, n: int | None) -> None:
    """Refuse tissue of which nothing is known, or too little for the niches; tell how many units are left out."""
    there = int(known.sum())
    if there < max(n or 1, 2):
        raise ValueError(f"{there} units have a place and a measurement; {max(n or 1, 2)} are needed.")
    if there < len(known):
        logger.warning(
            "%d of %d units have no place or no measurement; they get no niche.", len(known) - there, len(known)
        )


def _tells(r2: dict[str, float]) -> float:
    """Mean share of variance that states tell of what surrounds cells."""
    return float(np.mean([value for name, value in r2.items() if name != "own"]))


def _nearest(asked: Array, values: Array, code: Rows) -> Rows:
    """Niche whose centre is nearest, ``(cells,)``."""
    centres = np.stack([values[code == i].mean(0) for i in range(code.max() + 1)])
    return ((asked[:, None] - centres[None]) ** 2).sum(2).argmin(1)


def _composition(tissue: View, given: Any) -> Membership:
    """Cells of each kind in each unit: one of its label, or as many as the lift says."""
    if isinstance(given, str):
        text = labels(tissue.column(given))
        if text.isna().all():
            raise ValueError(f"No unit has a kind in obs[{given!r}].")
        one = Membership.groups(text.rename(given), given)
        return Membership(sp.csr_array(one.matrix.T), one.fine, one.coarse, "unit")
    if not isinstance(given, AnnData):
        raise TypeError(
            "composition= takes a column of obs, or the table that scvcell.tl.lift gave of these units, not "
            f"{type(given).__name__}."
        )
    at = given.obs_names.get_indexer(tissue.obs_names)
    if (at < 0).all():
        raise ValueError(
            f"composition= is of other units: it has names like {str(given.obs_names[0])!r}, the data like "
            f"{str(tissue.obs_names[0])!r}."
        )
    cells = given.layers.get(_keys.ABUNDANCE, given.X)
    cells = np.asarray(cells.toarray() if sp.issparse(cells) else cells, dtype=float)
    cells = np.where((at >= 0)[:, None], np.nan_to_num(cells)[np.maximum(at, 0)], 0)
    return Membership(sp.csr_array(cells), tissue.obs_names, given.var_names, "unit")
