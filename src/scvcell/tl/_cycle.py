"""tl.cycle_scores: whether lifting spots to cells and projecting back returns what was measured."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from scvcell import _keys
from scvcell._checks import expect, seed_of, whole_number
from scvcell.model import CSL
from scvcell.tissue import L_OF_P, Scene, summary
from scvcell.tissue import cycle_scores as scores_of
from scvcell.tl._lift import N_BLOCKS, counts_of, places, spots_of

if TYPE_CHECKING:
    from scvcell._containers import Container

logger = logging.getLogger("scvcell")


def cycle_scores(
    spots: Container,
    model: CSL,
    *,
    lifted: AnnData,
    n_blocks: int = N_BLOCKS,
    section_key: str | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Whether lift and projection agree: P o L returns genes that it has not seen, L o P compositions.

    .. math:: \mathrm{gain} = 1 - \frac{E\; D_{NB}\big(x_{rg},\ m_g\, (W \rho)_{rg}\big)}{D_{null}}

    *P o L*: a fifth of the genes at a time is held out. The others say how many cells of each kind a spot holds, these
    what the held-out genes are, up to a factor m of each gene, which spots of other blocks say. Nulls are compositions
    of other spots (``"permuted"``), the mean profile, and the mean of the four nearest spots, at each spot's depth.
    *L o P*: mixtures of cells, left out of the reference when spots were lifted, are lifted; their null is the mean
    composition.

    Parameters
    ----------
    spots
        Data of the spots.
    model
        Model by which they were lifted.
    lifted
        What `lift` gave; its ``uns["csl_cycle"]`` is written: ``skill`` with ``lower`` and ``upper`` (of the section
        where it is least) and these ``scores``.
    n_blocks
        Blocks of a section.
    section_key
        Column of the section; each is scored apart.
    seed
        Drives folds of genes and draws.

    Returns
    -------
    One row per ``section``, ``cycle``, ``score`` and ``null``. Scores are ``"deviance"``, ``"pearson"`` (mean over
    genes, of logarithms) and ``"rmse"`` (of shares). Columns: ``value``, ``null_value``, ``gain`` (share of the null's
    deviance or error that is gone; difference of correlations), ``lower`` and ``upper`` (90 %, tiles of the section
    drawn anew), ``trusted`` (whether the section beats every null in deviance).

    Raises
    ------
    ValueError
        If `lifted` is not what `lift` gave of these spots.

    Warns
    -----
    (log) of sections that do not beat all nulls.

    References
    ----------
    Hu and Chen, Insights into Artificial Intelligence Virtual Cells (eq. 3, the cycle of P and L).

    Examples
    --------
    >>> scores = scvcell.tl.cycle_scores(visium, model, lifted=lifted)
    """
    expect("model", model, CSL, "The spots come first, then the model.")
    n_blocks, seed = whole_number("n_blocks", n_blocks, 2), seed_of(seed)
    if not isinstance(lifted, AnnData) or _keys.LIFT not in lifted.uns or _keys.RATES not in lifted.varm:
        raise ValueError("lifted= must be what scvcell.tl.lift(spots, model, ...) returned.")
    rates: pd.DataFrame = lifted.varm[_keys.RATES]
    name = counts_of(model)
    x, features, seen = spots_of(spots, model, name)
    missing = rates.columns.difference(features)
    if not seen.obs_names.equals(lifted.obs_names) or len(missing):
        what = f"features such as {missing[0]!r}" if len(missing) else "other spots, or in another order"
        raise ValueError(f"lifted= is not of these spots: it has {what}. Run scvcell.tl.lift(spots, model, ...) again.")
    at = np.flatnonzero(seen.present(name))
    space = places(seen.subset(at), section_key)
    if section_key is not None and space is None:
        raise ValueError("section_key= needs places of the spots, obsm['spatial']; the spots have none.")
    held = lifted.uns[_keys.LIFT]
    found = scores_of(
        x[:, features.get_indexer(rates.columns)],
        rates.to_numpy(dtype=float),
        np.asarray(held["theta"], dtype=float),
        Scene.of(space, len(at), n_blocks),
        smooth=float(held["smooth"]),
        names=["all"] if space is None else space.sections,
        seed=seed,
    )
    for section in found.loc[~found["trusted"], "section"].unique() if len(found) else ():
        logger.warning("Section %r: what spots were lifted to is no better than every null.", section)
    told = summary(found)
    if held["left_out"]:
        found = pd.concat([found, _round_trip(held["left_out"])], ignore_index=True)
    lifted.uns[_keys.CYCLE] = told | {"scores": found}
    return found


def _round_trip(left_out: dict[str, float]) -> pd.DataFrame:
    """L o P: mixtures of cells that were left out."""
    error, null = float(left_out["rmse"]), float(left_out["mean_composition"])
    row = {"section": "reference", "cycle": L_OF_P, "score": "rmse", "null": "mean composition", "value": error}
    gain = {"null_value": null, "gain": 1 - error / null, "lower": np.nan, "upper": np.nan, "trusted": error < null}
    return pd.DataFrame([row | gain])
