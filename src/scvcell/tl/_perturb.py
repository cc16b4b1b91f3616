"""tl.perturb and tl.effects: what an action would do to cells, and to the pseudobulks of their groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from scvcell import _keys
from scvcell._checks import check_level, seed_of, whole_number
from scvcell._containers import COORDINATES, Space, Spool, check_store, gather, row_blocks, unique_names, write_arrays
from scvcell.response import Controls, asked, counterfactuals, learned, move

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from mudata import MuData
    from numpy.typing import NDArray

    from scvcell._containers import Container
    from scvcell._types import Rows
    from scvcell.model import CSL
    from scvcell.perturb import Action


TRUSTED_SUPPORT = 0.5
"""Support from which on effects are trusted."""


def perturb(
    data: Container,
    model: CSL,
    action: str | Mapping[str, float | str | None] | Action,
    *,
    cells: Any = None,
    n_samples: int = 1,
    seed: int = 0,
    out: str | Path | None = None,
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
        :class:`scvcell.Action`, or text as in the target column of the data (``"A+B"``; a control label does nothing),
        or a mapping from target to dose. A dose is a number in the unit of the fit, or text with a unit
        (``{"A": "10 nM"}``); without one it is the largest of the target in training, as the time is the longest.
    cells
        Cells to start from: boolean mask, names (in their order), or a query on obs; all untreated ones by default.
        Treated cells among them, and those whose label is missing, are left out. Of data without the target column they
        must be given.
    n_samples
        Draws per cell.
    seed
        Drives the draws.
    out
        A zarr store to be made, such as ``"stimulated.zarr"``, for what would not fit: the same values are written to
        it, and memory holds blocks of cells. While it is made, dense values lie beside it in a file of their own.

    Returns
    -------
    AnnData (of a model of one modality) or MuData. ``X``: drawn values, counts where counts were measured; layer
    ``expected``; obs of the cells, where the columns of target, dose, time and schedule that the fit read say what was
    done, with ``action`` (the same as text; where obs has no column of this name), ``source_cell`` and ``support`` (0
    nothing like it in training, 1 seen). ``obsm["X_csl"]``: states after the action; ``obsm["spatial"]``: where the
    cells are, if that is known. Of a SpatialData a table that can be put into it, where `n_samples` is 1. With `out`,
    ``X`` and ``expected`` lie on disk; rows are read when they are asked for, also later (``anndata.read_zarr``,
    ``mudata.read_zarr``).

    Raises
    ------
    TypeError
        If `action` is none of these.
    ValueError
        If the model has learned no perturbation, a target is unknown and no side information tells of it, a unit cannot
        be converted, all of `cells` were treated, nothing says which cells are untreated, or `out` is no zarr store.
    FileExistsError
        If there is something at `out`.

    References
    ----------
    Hu and Chen, Insights into Artificial Intelligence Virtual Cells (the perturbation operator).

    Examples
    --------
    >>> stimulated = scvcell.tl.perturb(adata, model, "IFN-beta", cells="cell_type == 'B cells'")
    """
    n_samples = whole_number("n_samples", n_samples, 1)
    path = None if out is None else check_store(out)
    action = asked(learned(model), action)
    start = Controls(data, model, cells)
    response, rng = start.response, np.random.default_rng(seed_of(seed))
    after = response.states(start.latent, action)
    support = np.ones(len(start.index))
    values: dict[str, list[Any]] = {m: [] for m in response.anchors}
    expected = {m: _room(len(start.index), model, m, path) for m in values}
    groups = [group for _, group in start.groups()]
    moves, depth = [], {m: np.ones(len(start.index)) for m in values}
    for group in groups:
        place = start.latent[group].mean(0).numpy()
        support[group] = response.support(action, place)
        for m, bulk in start.bulks.items():
            residual = response.residual(m, action, place)[0]
            states = start.latent[group], after[group]
            depth[m][group] = bulk.after(group, residual)
            moves.append((group, m, bulk, states, residual, move(bulk, group, *states, residual)))
    for _ in range(n_samples):
        drawn = {m: _room(len(start.index), model, m, path) for m in values}
        for group, m, bulk, states, residual, shift in moves:
            for at, value, mean in counterfactuals(bulk, group, *states, residual, rng, shift):
                drawn[m][group[at]], expected[m][group[at]] = value, mean
        for m, table in drawn.items():
            counts = path is None and model.network.operators[m].count_data
            values[m].append(sp.csr_matrix(table) if counts else table)
    made = _container(start, action, after.numpy(), support, values, expected, depth, n_samples)
    return made if path is None else write_arrays(path, made, _parts(model, values, expected))


def effects(
    data: Container,
    model: CSL,
    action: str | Mapping[str, float | str | None] | Action,
    *,
    cells: Any = None,
    groupby: str | Sequence[str] | None = None,
    level: float = 0.9,
    n_cells: int | None = None,
) -> pd.DataFrame:
    r"""Effect of an action on each feature, per group of cells, with intervals.

    .. math:: \mathrm{lfc} = \overline{\log_2(1 + x')} - \overline{\log_2(1 + x)}

    with counts per 10,000 before and after and the mean over cells (for counts without a depth, log2 of 1 + the mean
    instead; a plain difference of means for continuous values).

    Parameters
    ----------
    data, model, action, cells
        As `perturb`.
    groupby
        Columns of the groups; the contexts of the fit by default. Cells without a label there are left out.
    level
        Coverage of the interval, for the effect that a pseudobulk of treated cells would show against that of the
        untreated ones, over conditions like those that were left out in training.
    n_cells
        Treated cells of that pseudobulk; as many as there are untreated ones by default.

    Returns
    -------
    One row per group, modality and feature: ``action``, ``group``, ``modality``, ``feature``, ``lfc``, ``lower``,
    ``upper``, ``level``, ``held`` and ``held_strongest`` (how often such intervals held the effects of conditions that
    were left out and new in the same way: of all features, and of the ten that changed most), ``support`` (0 nothing
    like it in training, 1 seen), ``trusted`` (support of at least one half and a finite interval; below, the action or
    the group is unlike what was seen, and intervals may cover less than they say). Intervals are widened, by a third at
    most, until they hold the strongest effects as well. Of effects that are hard to predict that is not enough:
    which are strongest is known only afterwards, and those are the largest errors, so read ``held_strongest``. Where no
    condition could be left out for calibration, intervals of a measured action in its context hold sampling error
    only, others are infinite, and ``held`` is NaN.

    Raises
    ------
    ValueError
        As `perturb`, or if `level` is not between 0 and 1.
    """
    check_level(level)
    n_cells = None if n_cells is None else whole_number("n_cells", n_cells, 1)
    action = asked(learned(model), action)
    start = Controls(data, model, cells, groupby)
    start.response.check(action)
    frames = [effect_frame(start, action, name, group, level, n_cells) for name, group in start.groups()]
    return pd.concat(frames, ignore_index=True)


def effect_frame(
    start: Controls, action: Action, name: Any, group: Rows, level: float, n_cells: int | None = None
) -> pd.DataFrame:
    """Rows of `effects` for one group of controls."""
    latent, response = start.latent[group], start.response
    support = response.support(action, latent.mean(0).numpy())
    frames = []
    for m, bulk in start.bulks.items():
        features = start.model.schema.modalities[m].features
        effect = response.effect(bulk, m, action, group, latent, level, n_cells)
        value, half = effect.value[: len(features)] / bulk.per_log2, effect.halfwidth[: len(features)] / bulk.per_log2
        frames.append(
            pd.DataFrame(
                {
                    _keys.ACTION: str(action),
                    "group": name,
                    "modality": m,
                    "feature": features,
                    "lfc": value,
                    _keys.LOWER: value - half,
                    _keys.UPPER: value + half,
                    "level": level,
                    _keys.HELD: effect.held,
                    _keys.HELD_STRONGEST: effect.held_strongest,
                    _keys.SUPPORT: support,
                    _keys.TRUSTED: (support >= TRUSTED_SUPPORT) & np.isfinite(half) & start.model.trusts(m),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _container(
    start: Controls,
    action: Action,
    states: NDArray[np.float32],
    support: NDArray[np.float64],
    values: dict[str, list[Any]],
    expected: dict[str, Any],
    depth: dict[str, NDArray[np.float64]],
    n_samples: int,
) -> AnnData | MuData:
    """Counterfactual cells as AnnData or MuData."""
    names = start.view.obs_names[start.index]
    obs = start.view.obs(start.index, start.model.columns)
    obs[_keys.SOURCE_CELL], obs[_keys.SUPPORT] = names.to_numpy(), support
    obs = start.label(obs, action)
    obs = pd.concat([obs] * n_samples)
    obs.index = unique_names(f"{name}-{_slug(action)}-{i}" for i in range(n_samples) for name in names)
    tables = {}
    for m, draws in values.items():
        table = AnnData(obs=obs.copy(), var=pd.DataFrame(index=start.model.schema.modalities[m].features))
        if not isinstance(draws[0], Spool):
            table.X = sp.vstack(draws, format="csr") if sp.issparse(draws[0]) else np.concatenate(draws)
            mean = expected[m]
            table.layers[_keys.EXPECTED] = mean if n_samples == 1 else np.concatenate([mean] * n_samples)
        key = start.model.schema.modalities[m].size_factor
        if key is not None:
            total = [np.asarray(rows.sum(1)).ravel() for draw in draws for rows in row_blocks(draw)]
            table.obs[key] = np.maximum(np.tile(depth[m], n_samples), np.concatenate(total))
        tables[m] = table
    obsm = {_keys.LATENT: states} | _places(start)
    out = gather(tables, {key: np.concatenate([value] * n_samples) for key, value in obsm.items()})
    return start.view.subset(np.tile(start.index, n_samples)).as_table(out)


def _room(n_cells: int, model: CSL, modality: str, path: Path | None) -> Any:
    """An array for values of cells that come in any order: in memory, or in a file beside `path`."""
    shape = n_cells, len(model.schema.modalities[modality].features)
    return np.empty(shape, np.float32) if path is None else Spool(shape, path.parent)


def _parts(model: CSL, values: Mapping[str, list[Any]], expected: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Places of the arrays of all modalities, and their rows in order."""
    for m, draws in values.items():
        where = f"mod/{m}/" if len(values) > 1 else ""
        counts = model.network.operators[m].count_data
        for draw in draws:
            for rows in row_blocks(draw):
                yield f"{where}X", sp.csr_matrix(rows) if counts else rows
        for _ in draws:
            for rows in row_blocks(expected[m]):
                yield f"{where}layers/{_keys.EXPECTED}", rows


def _places(start: Controls) -> dict[str, NDArray[np.floating]]:
    """Coordinates of the cells, where they have any."""
    try:
        return {COORDINATES: Space.of(start.part).xy}
    except ValueError:  # no coordinates, or none that can be read
        return {}


def _slug(action: Action) -> str:
    return str(action).replace(" + ", "+").replace(", ", "_").replace(" ", "_")
