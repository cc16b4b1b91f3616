"""tl.perturb and tl.effects: what an action would do to cells, and to the pseudobulks of their groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from scvcell import _keys
from scvcell._containers import expect
from scvcell.model import CSL, Bulk
from scvcell.perturb import as_action, read_design

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch
    from mudata import MuData
    from numpy.typing import NDArray

    from scvcell._containers import Container, View
    from scvcell.model import Response
    from scvcell.perturb import Action


SUPPORTED = 0.5
"""Support from which on effects are trusted."""


class Controls:
    """Untreated cells that an action starts from, with what the verbs need of them.

    Parameters
    ----------
    data, model, cells
        As `perturb`.

    Attributes
    ----------
    view
        The model's view of the data.
    response
        The perturbation operator.
    index
        Positions of the cells.
    latent
        State of each of them, ``(cells, latent)``.
    """

    def __init__(self, data: Container, model: CSL, cells: Any = None) -> None:
        expect("model", model, CSL, "The data come first, then the model.")
        if model.response is None:
            raise ValueError(
                "This model has learned no perturbation. Fit with perturbation=, for example "
                "scvcell.tl.fit(data, perturbation=PerturbationKeys('drug', control='DMSO'))."
            )
        self.model, self.response = model, model.response
        self.view = model.view(data)
        untreated = _untreated(self.view, self.response)
        self.index = _choose(self.view, cells, untreated, self.response)
        self.part = self.view.subset(self.index)
        self.latent: torch.Tensor = model.posterior(self.part).mean

    def groups(self, groupby: str | Sequence[str] | None) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """Name and positions (among the controls) of each group; by default the contexts of the fit."""
        names = [groupby] if isinstance(groupby, str) else groupby
        if names is None:
            known = set(self.view.source.obs).union(*(a.obs for a in self.view.modalities.values()))
            names = [name for name in self.response.keys.contexts if name in known]
        if not names:
            yield "all", np.arange(len(self.index))
            return
        columns = [self.view.column(name).astype(str).to_numpy()[self.index] for name in names]
        labels = np.array([" ".join(parts) for parts in zip(*columns, strict=True)])
        for label in np.unique(labels):
            yield str(label), np.flatnonzero(labels == label)

    def bulk(self, modality: str) -> Bulk:
        """Pseudobulks of a modality among the controls."""
        return Bulk(self.model, self.part, modality, self.response.per[modality])


def perturb(
    data: Container,
    model: CSL,
    action: str | Mapping[str, float | None] | Action,
    *,
    cells: Any = None,
    n_samples: int = 1,
    seed: int = 0,
) -> AnnData | MuData:
    r"""Cells as they would be after an action, starting from untreated ones.

    .. math:: z' = \Delta_a z, \qquad x' \sim p(\cdot \mid x, M(z), M(z'))

    States follow the operator; molecules of each cell are taken away or added as its expected values change, so that
    no action changes nothing, and what the model does not know of a cell stays with it.

    Parameters
    ----------
    data
        Fitted or new data with untreated cells.
    model
        Model fitted with ``perturbation=``.
    action
        :class:`scvcell.perturb.Action`, or ``"A+B"``, or a mapping from target to dose.
    cells
        Untreated cells to start from: boolean mask, names, or a query on obs; all untreated ones by default.
    n_samples
        Draws per cell.
    seed
        Drives the draws.

    Returns
    -------
    AnnData (of a model of one modality) or MuData. ``X``: drawn values, counts where counts were measured; layer
    ``expected``; obs of the cells with ``action``, ``source_cell`` and ``support`` (0 nothing like it in training, 1
    seen). ``obsm["X_csl"]``: states after the action.

    Raises
    ------
    ValueError
        If the model has learned no perturbation, a target is unknown and no side information tells of it, or one of
        `cells` was treated.

    References
    ----------
    Hu and Chen, Insights into Artificial Intelligence Virtual Cells (the perturbation operator).

    Examples
    --------
    >>> stimulated = scvcell.tl.perturb(adata, model, "IFN-beta", cells="cell_type == 'B cells'")
    """
    if not isinstance(n_samples, int) or n_samples < 1:
        raise ValueError(f"n_samples must be a whole number from 1 on, not {n_samples!r}.")
    action = as_action(action)
    start = Controls(data, model, cells)
    response, rng = start.response, np.random.default_rng(seed)
    after = response.states(start.latent, action)
    support = np.ones(len(start.index))
    values: dict[str, list[Any]] = {m: [] for m in response.anchors}
    bulks = {m: start.bulk(m) for m in values}
    expected = {m: np.empty((len(start.index), len(model.schema.modalities[m].features)), np.float32) for m in values}
    groups = list(start.groups(None))
    for _, group in groups:
        support[group] = response.support(action, start.latent[group].mean(0).numpy())
    for _ in range(n_samples):
        drawn = {m: np.empty_like(e) for m, e in expected.items()}
        for _, group in groups:
            for m, bulk in bulks.items():
                residual, _ = response.residual(m, action, start.latent[group].mean(0).numpy())
                drawn[m][group], expected[m][group] = bulk.counterfactual(
                    group, start.latent[group], after[group], residual, rng
                )
        for m, table in drawn.items():
            counts = model._trained_module().operators[m].count_data
            values[m].append(sp.csr_matrix(table) if counts else table)
    return _container(start, action, after.numpy(), support, values, expected, n_samples)


def effects(
    data: Container,
    model: CSL,
    action: str | Mapping[str, float | None] | Action,
    *,
    cells: Any = None,
    groupby: str | Sequence[str] | None = None,
    level: float = 0.9,
    n_cells: int | None = None,
) -> pd.DataFrame:
    r"""Effect of an action on each feature, per group of cells, with intervals.

    .. math:: \mathrm{lfc} = \log_2 \frac{1 + c\,\bar x'}{1 + c\,\bar x}

    with shares of the pseudobulk before and after, and c such that 1 stands for some 30 counts of a typical pseudobulk
    in training (means and c = 1 for other counts; a plain difference for continuous values).

    Parameters
    ----------
    data, model, action, cells
        As `perturb`.
    groupby
        Columns of the groups; the contexts of the fit by default.
    level
        Coverage of the interval, for the effect that a pseudobulk of treated cells would show against that of the
        untreated ones, over conditions like those that were left out in training.
    n_cells
        Treated cells of that pseudobulk; as many as there are untreated ones by default.

    Returns
    -------
    One row per group, modality and feature: ``group``, ``modality``, ``feature``, ``lfc``, ``lower``, ``upper``,
    ``level``, ``support`` (0 nothing like it in training, 1 seen), ``trusted`` (support of at least one half and a
    finite interval; below, the action or the group is unlike what was seen, and intervals may cover less than they
    say). Intervals are infinite where no condition could be left out for calibration. ``attrs["per"]``: c of each
    modality.

    Raises
    ------
    ValueError
        As `perturb`, or if `level` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, e.g. 0.9, not {level!r}.")
    if n_cells is not None and n_cells < 1:
        raise ValueError(f"n_cells must be at least 1, not {n_cells!r}.")
    action = as_action(action)
    start = Controls(data, model, cells)
    start.response.check(action)
    frames = [effect_frame(start, action, name, group, level, n_cells) for name, group in start.groups(groupby)]
    out = pd.concat(frames, ignore_index=True)
    out.attrs["per"] = dict(start.response.per)
    return out


def effect_frame(
    start: Controls, action: Action, name: str, group: NDArray[np.int64], level: float, n_cells: int | None = None
) -> pd.DataFrame:
    """Rows of `effects` for one group of controls."""
    latent, response = start.latent[group], start.response
    support = response.support(action, latent.mean(0).numpy())
    frames = []
    for m in response.anchors:
        features = start.model.schema.modalities[m].features
        bulk = start.bulk(m)
        effect = response.effect(bulk, m, action, group, latent, level, n_cells)
        unit = np.log(2) if bulk.operator.count_data else 1.0
        value, half = effect.value[: len(features)] / unit, effect.halfwidth[: len(features)] / unit
        frames.append(
            pd.DataFrame(
                {
                    "group": name,
                    "modality": m,
                    "feature": features,
                    "lfc": value,
                    "lower": value - half,
                    "upper": value + half,
                    "level": level,
                    "support": support,
                    _keys.TRUSTED: (support >= SUPPORTED) & np.isfinite(half),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _untreated(view: View, response: Response) -> NDArray[np.bool_]:
    """Controls of the data; every cell of data that do not say what was done."""
    known = set(view.source.obs).union(*(a.obs for a in view.modalities.values()))
    keys = response.keys
    if keys.target not in known:
        return np.ones(view.n_obs, bool)
    label = view.column(keys.target).astype(str)
    if label.isin(keys.controls).all():
        return np.ones(view.n_obs, bool)
    return read_design(keys, view.column).control


def _choose(view: View, cells: Any, untreated: NDArray[np.bool_], response: Response) -> NDArray[np.int64]:
    """Positions of the chosen cells, none of them treated."""
    index = np.flatnonzero(untreated) if cells is None else select(view, cells)
    if isinstance(cells, str):
        index = index[untreated[index]]
    treated = (~untreated[index]).sum()
    if treated:
        raise ValueError(
            f"{treated} of {len(index)} cells were treated already; an action starts from untreated cells, whose "
            f"obs[{response.keys.target!r}] is one of {list(response.keys.controls)}. Leave the others out."
        )
    if len(index) == 0:
        raise ValueError("No untreated cell is chosen. Give cells= so that some are.")
    return index


def select(view: View, cells: Any, argument: str = "cells") -> NDArray[np.int64]:
    """Positions of cells that are given by a query on obs, a boolean mask, or their names."""
    if isinstance(cells, str):
        obs = pd.DataFrame({c: view.column(c) for c in _columns(view)}, index=view.obs_names)
        return np.flatnonzero(obs.index.isin(obs.query(cells).index))
    given = np.asarray(cells)
    if given.dtype == bool:
        if len(given) != view.n_obs:
            raise ValueError(f"{argument} is a mask of {len(given)} entries for {view.n_obs} cells.")
        return np.flatnonzero(given)
    index = view.obs_names.get_indexer(pd.Index(given))
    if (index < 0).any():
        raise ValueError(f"{argument} has names that the data lack, e.g. {given[index < 0][0]!r}.")
    return index


def _columns(view: View) -> list[str]:
    return list(dict.fromkeys(c for part in (view.source, *view.modalities.values()) for c in part.obs))


def _container(
    start: Controls,
    action: Action,
    states: NDArray[np.float32],
    support: NDArray[np.float64],
    values: dict[str, list[Any]],
    expected: dict[str, NDArray[np.float32]],
    n_samples: int,
) -> AnnData | MuData:
    """Counterfactual cells as AnnData or MuData."""
    names = start.view.obs_names[start.index]
    obs = pd.DataFrame({c: start.view.column(c).to_numpy()[start.index] for c in _columns(start.view)}, index=names)
    obs["action"], obs["source_cell"], obs["support"] = str(action), names.to_numpy(), support
    obs = pd.concat([obs] * n_samples)
    obs.index = [f"{name}-{_slug(action)}-{i}" for i in range(n_samples) for name in names]
    tables = {}
    for m, draws in values.items():
        stack = sp.vstack(draws, format="csr") if sp.issparse(draws[0]) else np.concatenate(draws)
        table = AnnData(stack, obs=obs.copy(), var=pd.DataFrame(index=start.model.schema.modalities[m].features))
        table.layers["expected"] = np.concatenate([expected[m]] * n_samples)
        tables[m] = table
    latent = np.concatenate([states] * n_samples)
    if len(tables) == 1:
        (only,) = tables.values()
        only.obsm[_keys.LATENT] = latent
        return only
    from mudata import MuData

    mdata = MuData(tables)
    mdata.obs = obs.loc[mdata.obs_names]
    mdata.obsm[_keys.LATENT] = latent
    return mdata


def _slug(action: Action) -> str:
    return "+".join(action.targets) or "control"
