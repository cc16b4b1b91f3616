"""tl.velocity, tl.forecast and tl.fate: where cells are going, where they will be, and which groups they end in."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData
from scipy.stats import norm

from scvcell import _keys
from scvcell._choose import choose, unique_names
from scvcell._containers import expect
from scvcell._labels import labels, several
from scvcell._registry import near_miss
from scvcell._walk import neighbours, walk
from scvcell.model import CSL, Bulk, kinetics_of
from scvcell.tl._calibrate import check_level
from scvcell.tl._controls import Controls, asked, learned, show_action
from scvcell.tl._perturb import SUPPORTED, gather

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mudata import MuData
    from numpy.typing import NDArray

    from scvcell._containers import Container, View
    from scvcell._types import Array, Mask
    from scvcell.model import Drift
    from scvcell.perturb import Action


logger = logging.getLogger("scvcell")

BLOCK = 64
SOURCE = 0.05
"""Share of the steps between two groups, beyond those of a walk without direction, that tells a direction."""
FEW = 0.5
"""Share of trusted cells below which fates come with a warning."""
FEWEST, ALIKE = 10, 0.05
"""Trusted cells next to an end at least; standard deviation over cells below which fates are all the same."""


def velocity(
    data: Container, model: CSL, *, time_key: str | None = None, clone_key: str | None = None, seed: int = 0
) -> None:
    r"""Write where each cell is going to the data, as a velocity of its state.

    .. math:: \frac{dz}{dt} = f(z), \qquad \nabla_z \log \rho_g(z) \cdot f(z) = k_g(z) - \gamma_g

    The field is learned once, from the training cells, and kept on the model (``model.learn_drift`` learns it anew):
    from kinetics, so that the change of each gene agrees with what is made of it and what decays; or from cells of
    several times, as the flow that carries those of each time to those of the next, to cells of their clone where
    `clone_key` tells.

    Parameters
    ----------
    data
        Fitted or new data.
    model
        Fitted model. One of its modalities is of the ``kinetics`` operator (:func:`scvcell.pp.modality_from_layers`),
        unless `time_key` is given.
    time_key
        Obs column with the time of each cell, a number, to learn from times.
    clone_key
        Obs column with the clone of each cell (its lineage barcode), missing where it is not known; with `time_key`.
    seed
        Drives samples of genes or of cells.

    Notes
    -----
    Written to `data`:

    - ``.obsm["velocity_csl"]``: change of the state per unit of time, ``(cells, latent)``; NaN for a cell without any
      assay of the model. The unit is that of the
      labelling time or of `time_key`; without either, the lifetime of a typical mRNA.
    - ``.obs["velocity_confidence"]``: how far its direction can be relied on, 1 at best: the mean cosine between it and
      those from samples of the genes (or cells). By splicing also, if less, how well the direction by half of the genes
      predicts the other half (3 standard errors are .5), with nascent counts taken in proportion to mature ones and
      with the proportion that the data have, and the cosine between these two directions. 0 everywhere if nascent
      counts do not follow mature ones at all.
    - ``.obs["velocity_trusted"]``: confidence of at least .5. :func:`scvcell.tl.fate` and :func:`scvcell.pl.velocity`
      take cells below it as without direction.
    - ``.layers["velocity"]`` of the kinetics modality: change of its expected counts per unit of time, at the depth of
      the cell; NaN where a cell or a feature is unknown to the model. Its first half is that of mature counts.
    - ``.uns["csl_velocity"]``: unit, `time_key` and `clone_key`.

    Raises
    ------
    ValueError
        If neither kinetics nor times tell, there are too few genes, the times are no numbers or only one, or no clone
        has cells at two consecutive times.

    References
    ----------
    La Manno et al., RNA velocity of single cells, Nature 2018; Tong et al., Improving and generalizing flow-based
    generative models with minibatch optimal transport, TMLR 2024; Weinreb et al., Lineage tracing on transcriptional
    landscapes links state to fate during differentiation, Science 2020.

    Examples
    --------
    >>> mdata = mudata.MuData({"kinetics": scvcell.pp.modality_from_layers(adata)})
    >>> model = scvcell.tl.fit(mdata)
    >>> scvcell.tl.velocity(mdata, model)
    """
    expect("model", model, CSL, "The data come first, then the model.")
    seen = model.view(data)
    keys = {"time_key": time_key, "clone_key": clone_key}
    if model.drift is None or any(key not in (None, getattr(model.drift, name)) for name, key in keys.items()):
        model.learn_drift(seen, **keys, seed=seed)
    drift = _drift(model)
    latent = model.posterior(seen).mean.numpy()
    ahead = drift.velocity(latent)
    confidence, trusted = drift.confidence(latent), drift.trusted(latent)
    name, source = kinetics_of(model), seen.source
    if name in seen.modalities:
        table = source.mod[name] if hasattr(source, "mod") else source
        table.layers[_keys.VELOCITY] = _change_of_counts(model, seen, name, latent, ahead, table)
    known = np.logical_or.reduce([seen.present(m) for m in seen.only(model.assays).modalities])
    source.obsm[_keys.VELOCITY_LATENT] = np.where(known[:, None], ahead, np.nan).astype(np.float32)
    source.obs[_keys.VELOCITY_CONFIDENCE] = np.where(known, confidence, np.nan)
    source.obs[_keys.VELOCITY_TRUSTED] = known & trusted
    if not trusted[known].any():
        logger.warning("In no cell is it told reliably where it is going: obs['%s'].", _keys.VELOCITY_TRUSTED)
    source.uns[_keys.VELOCITY_UNS] = {name: getattr(drift, name) for name in ("unit", "time_key", "clone_key")}


def forecast(
    data: Container,
    model: CSL,
    *,
    time: float,
    cells: Any = None,
    action: str | Mapping[str, float | str | None] | Action | None = None,
    level: float = 0.9,
) -> AnnData | MuData:
    r"""Cells as they would be later.

    .. math:: z(t) = z(0) + \int_0^t f(z(\tau))\,d\tau

    A forecast of a forecast is the forecast over both times together, to the accuracy of the integrator (1e-4).

    Parameters
    ----------
    data
        Fitted or new data.
    model
        Model whose field :func:`scvcell.tl.velocity` has learned.
    time
        How much later, in units of the field (``.uns["csl_velocity"]["unit"]``).
    cells
        Cells to start from: boolean mask, names, or a query on obs; all by default.
    action
        What is done to the cells before, as in :func:`scvcell.tl.perturb`; `cells` are untreated then.
    level
        Level of the intervals, which are for the expected values, over samples of the genes (or cells) that the field
        was learned from. What such samples share is not in them: the steady-state and equal-lifetime assumptions, the
        model of the state, and `action`.

    Returns
    -------
    AnnData (of a model of one modality) or MuData. ``X``: expected values, of counts at the depth of the cell; layers
    ``lower``, ``upper``; obs of the cells with ``source_cell``, ``forecast_time``, ``action``, ``support`` (least on
    the way; 0 far from the data, 1 amid them; of a treated cell at most that of the action) and ``trusted`` (support of
    at least one half, and a direction that :func:`velocity` trusts); ``obsm["X_csl"]``: states.

    Raises
    ------
    ValueError
        If there is no field yet, `time` is below 0, `level` is not between 0 and 1, every cell leaves the support of
        the data, or `action` is given and the model has learned none.

    Examples
    --------
    >>> later = scvcell.tl.forecast(mdata, model, time=2.0, cells="clusters == 'Pre-endocrine'")
    """
    expect("model", model, CSL, "The data come first, then the model.")
    check_level(level)
    if not (np.isfinite(time) and time >= 0):
        raise ValueError(f"time must be 0 or later, not {time!r}; the field tells where cells go, not whence.")
    drift = _drift(model)
    if action is None:
        seen = model.view(data)
        index = np.arange(seen.n_obs) if cells is None else choose(seen, "cells", cells)
        part = seen.subset(index)
        start = model.posterior(part).mean.numpy()
    else:
        action = asked(learned(model), action)
        controls = Controls(data, model, cells, ())
        seen, index, part = controls.view, controls.index, controls.part
        start = controls.response.states(controls.latent, action).numpy()
    states, members, support = drift.flow(start.astype(float), float(time))
    if len(index) and not (support >= SUPPORTED).any():
        raise ValueError(
            f"Every cell leaves what the data support within {time:g} ({drift.unit}). Give a shorter time."
        )
    left = int((support < SUPPORTED).sum())
    if left:
        logger.warning("%d of %d cells leave what the data support; see obs['trusted'].", left, len(index))
    if action is not None:
        for _, group in controls.groups():
            done = controls.response.support(action, controls.latent[group].mean(0).numpy())
            support[group] = np.minimum(support[group], done)
    trusted = (support >= SUPPORTED) & drift.trusted(start) & model.trusts()
    obs = seen.obs(index, model.columns)
    obs[_keys.SOURCE_CELL], obs[_keys.TIME] = obs.index.to_numpy(), float(time)
    obs = show_action(obs, "none", model.response) if action is None else controls.label(obs, action)
    obs[_keys.SUPPORT], obs[_keys.TRUSTED] = support, trusted
    obs.index = unique_names(f"{name}-{time:g}" for name in obs.index)
    tables = {m: _expected(model, part, m, states, members, obs, level) for m in model.assays}
    return gather(tables, {_keys.LATENT: states.astype(np.float32)})


def fate(
    data: Container,
    model: CSL,
    *,
    groupby: str,
    terminal: Any = None,
    level: float = 0.9,
) -> AnnData:
    r"""Probability of each cell to end in each terminal group.

    .. math:: B = (I - Q)^{-1} R, \qquad p_{ij} \propto \exp(\cos(f(z_i), z_j - z_i) / \kappa)

    with Q and R the steps of a random walk among neighbouring states that lead to cells that go on, and to terminal
    ones. From cells whose velocity is not trusted all steps are as likely.

    Parameters
    ----------
    data
        Fitted or new data.
    model
        Model whose field :func:`scvcell.tl.velocity` has learned.
    groupby
        Obs column of the groups.
    terminal
        Groups in which cells end. By default those which trusted cells of other groups head for and that trusted cells
        of their own do not leave.
    level
        Level of the intervals, over samples of the genes (or cells) that the field was learned from.

    Returns
    -------
    AnnData of cells x terminal groups. ``X``: probabilities; layers ``lower``, ``upper``; obs with the `groupby`
    column and ``trusted``: whether the velocity of the cell is, and fates differ between cells on the way at all; NaN
    for cells from which no terminal group can be reached.

    Raises
    ------
    ValueError
        If there is no field yet, `level` is not between 0 and 1, a terminal group is unknown, or none is found because
        no trusted cells head for one.

    Warns
    -----
    (log) of a terminal group that its trusted cells leave, or that none head for, and of fates that hardly differ
    between cells.

    References
    ----------
    Lange et al., CellRank for directed single-cell fate mapping, Nat Methods 2022.

    Examples
    --------
    >>> fates = scvcell.tl.fate(mdata, model, groupby="clusters", terminal=["Alpha", "Beta"])
    """
    expect("model", model, CSL, "The data come first, then the model.")
    check_level(level)
    drift = _drift(model)
    seen = model.view(data)
    column = seen.column(groupby)
    label: Any = labels(column).fillna("").to_numpy(object)
    if no_group := int((label == "").sum()):
        logger.info("%d of %d cells have no label in obs[%r]: on the way, in no group.", no_group, len(label), groupby)
    groups = [str(g) for g in np.unique(label) if g]
    named = None if terminal is None else several(terminal)
    unknown = [g for g in named or () if g not in groups]
    if unknown:
        raise ValueError(
            f"obs[{groupby!r}] has no group {unknown[0]!r}.{near_miss(unknown[0], groups)} Groups: {', '.join(groups)}."
        )
    latent = model.posterior(seen).mean.numpy().astype(float)
    graph, trusted = neighbours(latent), drift.trusted(latent)
    sure = trusted[:, None].astype(float)
    steps = walk(latent, sure * drift.velocity(latent), graph)
    found, left = _ends(steps, label, groups, trusted)
    ends = list(named or found)
    if not ends:
        raise ValueError(
            f"No group of obs[{groupby!r}] takes cells of others and keeps its own, as far as velocities are trusted "
            f"({trusted.mean():.0%} of cells; obs[{_keys.VELOCITY_TRUSTED!r}]). Name the ends: terminal=[...]."
        )
    if not trusted.all():
        lacking = (
            f"{(~trusted).sum()} of {len(trusted)} cells have no trusted velocity; the walk has no direction there."
        )
        logger.log(logging.WARNING if trusted.mean() < FEW else logging.INFO, lacking)
    for end in sorted(set(ends) & left):
        logger.warning(
            "Cells of %r leave it as far as their velocity is trusted: it is a start rather than an end.", end
        )
    for end in sorted(set(ends) - left - set(found)):
        logger.warning("Cells whose velocity is trusted do not head for %r.", end)
    best = _absorbed(steps, label, ends)
    each = np.array([_absorbed(walk(latent, sure * ahead, graph), label, ends) for ahead in drift.members(latent)])
    half = norm.ppf(0.5 + level / 2) * each.std(0)
    obs = pd.DataFrame(
        {
            groupby: column,
            _keys.TRUSTED: trusted & (_differ(best[trusted], label[trusted], ends) | np.isin(label, ends)),
        },
        seen.obs_names,
    )
    out = AnnData(best, obs=obs, var=pd.DataFrame(index=ends))
    out.layers[_keys.LOWER], out.layers[_keys.UPPER] = np.clip(best - half, 0, 1), np.clip(best + half, 0, 1)
    lost = int(np.isnan(best).any(1).sum())
    if lost:
        logger.warning("From %d of %d cells no terminal group can be reached.", lost, len(best))
    return out


def _drift(model: CSL) -> Drift:
    if "drift" in model.outdated:
        raise ValueError(
            "The model was trained further since it learned velocities, and states have moved. Learn them again: "
            "scvcell.tl.velocity(data, model)."
        )
    if model.drift is None:
        raise ValueError("This model has no velocity yet. Run `scvcell.tl.velocity(data, model)` first.")
    return model.drift


def _change_of_counts(
    model: CSL, seen: View, name: str, latent: Array, ahead: Array, table: AnnData
) -> NDArray[np.float32]:
    """Change of the expected counts of every cell of a modality per unit of time, in the order of its own table."""
    bulk = Bulk(model, seen, name)
    cells = np.flatnonzero(seen.present(name))
    out = np.full(table.shape, np.nan, np.float32)
    columns = table.var_names.get_indexer(model.schema.modalities[name].features)
    for here in np.array_split(cells, max(len(cells) // BLOCK, 1)):
        ctx = bulk.at(here)
        z, f = (torch.tensor(x[here], dtype=torch.float32, device=bulk.device) for x in (latent, ahead))
        with torch.no_grad():
            _, change = torch.func.jvp(lambda z, ctx=ctx: bulk.operator.predictive(z, ctx).mean, (z,), (f,))
        out[np.ix_(seen.rows[name][here], columns)] = change.cpu().numpy()
    return out


def _expected(
    model: CSL, part: View, name: str, states: Array, members: Array, obs: pd.DataFrame, level: float
) -> AnnData:
    """Expected values of a modality in some states, with intervals over the members of the field."""
    bulk, features = Bulk(model, part, name), model.schema.modalities[name].features
    value, half = (np.empty((len(states), len(features)), np.float32) for _ in range(2))
    counts = bulk.operator.count_data
    for at in np.array_split(np.arange(len(states)), max(len(states) // BLOCK, 1)):
        ctx = bulk.at(at)
        with torch.inference_mode():
            each = [
                bulk.operator.predictive(torch.tensor(z[at], dtype=torch.float32, device=bulk.device), ctx).mean.cpu()
                for z in (states, *members)
            ]
        value[at] = each[0].numpy()
        spread = torch.stack(each[1:]).log1p() if counts else torch.stack(each[1:])
        half[at] = norm.ppf(0.5 + level / 2) * spread.std(0, correction=0).numpy()
    out = AnnData(value, obs=obs.copy(), var=pd.DataFrame(index=features))
    for key, sign in ((_keys.LOWER, -1), (_keys.UPPER, 1)):
        bound = np.expm1(np.log1p(value) + sign * half).clip(0) if counts else value + sign * half
        out.layers[key] = bound
    return out


def _ends(steps: sp.csr_array, label: NDArray[np.str_], groups: list[str], trusted: Mask) -> tuple[list[str], set[str]]:
    """Groups that trusted cells enter, net, and do not leave for another; and groups that they leave for one."""
    near = sp.csr_array((np.ones(steps.nnz), steps.indices, steps.indptr), steps.shape)
    plain = near.multiply(1 / np.maximum(near.sum(1), 1)[:, None])
    member = np.equal.outer(label, groups).astype(float)
    sure = member * trusted[:, None]
    beyond, flux = sure.T @ ((steps - plain) @ member), sure.T @ (steps @ member)
    bordering = sure.T @ (near @ member > 0)
    net, within = beyond - beyond.T, flux.diagonal().copy()
    for matrix in (flux, bordering):
        np.fill_diagonal(matrix, 0)
    between = (flux + flux.T).sum(1)
    goes_on = ((net > SOURCE * (within + between)[:, None]) & (bordering + bordering.T >= FEWEST)).any(1)
    entered = (net.sum(1) < -SOURCE * between) & (bordering.sum(0) >= FEWEST)
    ends = [g for g, into, on in zip(groups, entered, goes_on, strict=True) if into and not on]
    return ends, {g for g, on in zip(groups, goes_on, strict=True) if on}


def _differ(fates: Array, label: NDArray[np.str_], ends: list[str]) -> bool:
    """Whether fates of (trusted) cells on the way differ; says so where they do not."""
    on = fates[~np.isin(label, ends) & ~np.isnan(fates).any(1)]
    if not len(on) or on.std(0).max() >= ALIKE:
        return True
    logger.warning(
        "Fates hardly differ between the %d trusted cells on the way (ends: %s): they tell nothing of single cells.",
        len(on),
        ", ".join(ends),
    )
    return False


def _absorbed(steps: sp.csr_array, label: NDArray[np.str_], ends: list[str]) -> Array:
    """Probability of each cell to be absorbed in each end, ``(cells, ends)``; NaN where none can be reached."""
    out = np.equal.outer(label, ends).astype(float)
    final = out.any(1)
    _, part = sp.csgraph.connected_components(steps, directed=False)
    on = np.flatnonzero(~final & np.isin(part, part[final]))
    out[~final & ~np.isin(part, part[final])] = np.nan
    if len(on):
        left = sp.eye_array(len(on), format="csc") - steps[on][:, on].tocsc()
        out[on] = sp.linalg.splu(left).solve(steps[on][:, final] @ out[final])
    return out
