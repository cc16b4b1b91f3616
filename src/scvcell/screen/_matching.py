"""Matches of treated cells among untreated ones, and how alike they make both sides."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from scipy.stats import mannwhitneyu
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors

from scvcell import _keys
from scvcell.screen._transport import potential

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scvcell._types import Array, Rows
    from scvcell.response import Bulk, Contrast
    from scvcell.screen._origin import Origin


logger = logging.getLogger("scvcell")

MAX_CELLS = 4000
"""Cells of either side of a context from which a matching is made, at most."""
CELLS_PER_BLOCK = 1024
ENTROPY, ODDS_COST = 0.3, 1.0
"""Entropy, and cost of straying from the odds of treatment, over the median squared distance to the nearest control."""
NEAR_SHARE = 0.99
"""Share of controls whose nearest other control is nearer than a match may be."""
N_DIRECTIONS = 5
"""Directions of the basal state whose balance is told."""


@dataclass(frozen=True)
class Match:
    """Matching of the treated cells of a context to its controls.

    Attributes
    ----------
    treated, controls
        Positions of the cells.
    basal, there
        Their states, those of treated cells before the action.
    worth, scale
        Potential of every control, and the squared distance over which a match fades by a factor of e.
    near
        Distance within which a match lies among the controls.
    """

    treated: Rows
    controls: Rows
    basal: torch.Tensor
    there: torch.Tensor
    worth: torch.Tensor
    scale: float
    near: float

    @classmethod
    def make(
        cls, unit: Contrast, basal: torch.Tensor, latent: torch.Tensor, origin: Origin, rng: np.random.Generator
    ) -> Match:
        """Match some of the treated cells by transport, which tells what each control is worth to all of them."""
        controls = np.sort(rng.permutation(unit.controls)[:MAX_CELLS])
        there, some = latent[controls], basal[rng.permutation(len(basal))[:MAX_CELLS]]
        cost = torch.cdist(some, there).square()
        nearest = float(cost.min(1).values.median())
        worth = potential(cost, origin.weight(there), ENTROPY * nearest, ODDS_COST * nearest)
        own = NearestNeighbors(n_neighbors=2).fit(there).kneighbors()[0]
        return cls(
            unit.treated, controls, basal, there, worth, ENTROPY * nearest, float(np.quantile(own[:, 0], NEAR_SHARE))
        )

    def rows(self) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
        """Some treated cells at a time: which, their distances to all controls, and the odds of each match."""
        for first in range(0, len(self.treated), CELLS_PER_BLOCK):
            at = slice(first, first + CELLS_PER_BLOCK)
            distance = torch.cdist(self.basal[at], self.there)
            yield at, distance, torch.softmax(self.worth - distance.square() / self.scale, 1)

    @cached_property
    def mass(self) -> Array:
        """How many treated cells each control stands for, ``(controls,)``."""
        return sum(odds.sum(0) for _, _, odds in self.rows()).double().numpy()

    def describe(self, names: pd.Index) -> pd.DataFrame:
        """Columns of obs of the treated cells."""
        parts = []
        for at, distance, odds in self.rows():
            columns = {
                _keys.OVERLAP: (distance.min(1).values <= self.near).numpy(),
                _keys.EFFECTIVE: (1 / odds.square().sum(1)).numpy(),
                _keys.MATCHED_CELL: names[self.controls[odds.argmax(1).numpy()]],
            }
            parts.append(pd.DataFrame(columns, index=names[self.treated[at]]))
        return pd.concat(parts)


def balance_of(
    matches: list[Match], latent: torch.Tensor, cells: Rows, basal: torch.Tensor, table: pd.DataFrame
) -> tuple[pd.DataFrame, float]:
    """How unlike both sides are before and after matching; how well the basal state predicts treatment."""
    controls = np.concatenate([m.controls for m in matches])
    weights = {
        "before": np.concatenate([np.full(len(m.controls), len(m.treated) / len(m.controls)) for m in matches]),
        "after": np.concatenate([m.mass for m in matches]),
    }
    pca = PCA(min(N_DIRECTIONS, latent.shape[1], len(controls)), random_state=0).fit(latent[controls])
    columns = {
        f"basal state {i + 1}": (pca.transform(basal)[:, i], pca.transform(latent[controls])[:, i])
        for i in range(pca.n_components_)
    }
    columns |= {str(name): (x.to_numpy()[cells], x.to_numpy()[controls]) for name, x in table.items()}
    rows = []
    for name, values in columns.items():
        had = [~np.isnan(side) for side in values]
        treated, untreated = (side[has] for side, has in zip(values, had, strict=True))
        if min(len(treated), len(untreated)) == 0:
            logger.warning("%s is missing for all treated cells or all controls; its balance is not told.", name)
            continue
        spread = max(np.sqrt((treated.var() + untreated.var()) / 2), 1e-12)
        difference = {
            f"smd_{when}": (treated.mean() - np.average(untreated, weights=w[had[1]])) / spread
            for when, w in weights.items()
        }
        rows.append({"variable": name, **difference, "p_value": float(mannwhitneyu(treated, untreated).pvalue)})
    states, label = np.concatenate([basal, latent[controls]]), np.repeat([1, 0], [len(cells), len(controls)])
    # Cells come by context: unshuffled folds would leave whole contexts out.
    cv = StratifiedKFold(5, shuffle=True, random_state=0)
    odds = cross_val_predict(LogisticRegression(max_iter=1000), states, label, cv=cv, method="decision_function")
    return pd.DataFrame(rows), float(roc_auc_score(label, odds))


def effects_on_cells(
    bulk: Bulk,
    cells: Rows,
    groups: list[Rows],
    after: torch.Tensor,
    before: torch.Tensor,
    draws: list[tuple[torch.Tensor, torch.Tensor, Array]],
) -> tuple[Array, ...]:
    """ITE, its spread and the counterfactual, ``(cells, features)``; mean of each group and its spread."""
    counterfactual = bulk.level(cells, before)
    value = bulk.level(cells, after) - counterfactual
    square, means = 0 * value, []
    for z, z0, times in draws:
        other = bulk.level(cells, z) - bulk.level(cells, z0)
        square += (other - value) ** 2 / len(draws)
        means.append([np.average(other[g], axis=0, weights=times[g]) for g in groups])
    mean = np.array([value[g].mean(0) for g in groups])
    return value, np.sqrt(square), counterfactual, mean, np.std(means, axis=0, ddof=1)


def matched_values(bulk: Bulk, matches: list[Match], cells: Rows) -> Array:
    """What was measured in the matched controls, on the effect scale; NaN where none has the assay."""
    out = np.full((len(cells), bulk.matrix.shape[1]), np.nan)
    for match in matches:
        rows = bulk.rows[match.controls]
        has = rows >= 0
        if not has.any():
            continue
        values = bulk.matrix.dense(rows[has]).astype(float)
        if bulk.shares:
            values = values / bulk.depths(rows[has], values)[:, None]
        for at, _, odds in match.rows():
            share = odds.numpy()[:, has]
            out[np.searchsorted(cells, match.treated[at])] = bulk.each(share @ values / share.sum(1, keepdims=True))
    return out
