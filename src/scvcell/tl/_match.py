"""tl.match_counterfactual: each treated cell beside what it would be untreated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.stats import norm

from scvcell import _keys
from scvcell._calm import progress
from scvcell._checks import seed_of
from scvcell._containers import whole_number
from scvcell._labels import is_numeric, labels, numbers, tell_missing
from scvcell.model import FEWEST, Bulk, Origin, Posterior, Unit, trace
from scvcell.tl._calibrate import check_level
from scvcell.tl._controls import Controls, asked, compared, learned, show_action
from scvcell.tl._matches import Match, balance_of
from scvcell.tl._perturb import gather

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mudata import MuData

    from scvcell._containers import Container, View
    from scvcell._types import Array, Rows
    from scvcell.model import CSL
    from scvcell.perturb import Action


REFIT = 200
"""Steps of a bootstrap fit."""
REHEARSALS = 3
"""Experiments made from the fit, in which it is seen how far off effects are found."""


def match_counterfactual(
    data: Container,
    model: CSL,
    action: str | Mapping[str, float | str | None] | Action,
    *,
    covariates: str | Sequence[str] = (),
    n_boot: int = 10,
    level: float = 0.9,
    seed: int = 0,
) -> AnnData | MuData:
    r"""Effect of an action on each treated cell, also where it was not random who was treated.

    .. math::
        p(z \mid a) = (\Delta_a)_\#\, \frac{e^{\langle b, z \rangle} p(z \mid 0)}{E_0\, e^{\langle b, z \rangle}},
        \qquad z_0 = \Delta_a^{-1} z, \qquad \mathrm{ITE} = M(z) - M(z_0)

    What the action did (:math:`\Delta_a`) and whom it was done to (the log odds b of treatment by the state) are fitted
    together, so that types that were treated more often do not pass for an effect; b is zero where equal odds explain
    the cells as well. The basal state :math:`z_0` is the state with the effect taken out. Untreated cells of the same
    context are matched to it by entropic optimal transport, weighted by the odds, which shows where there is nothing to
    compare with, and how well the sides agree. Intervals hold what bootstrap samples and the uncertainty of the state
    leave open, and the error of a rehearsal: controls, drawn by the odds, are moved by the action and measured anew,
    and the same fit is asked for their effects, which are known.

    **Sign: treated minus untreated.** Positive means that the action raises the feature in this cell.

    Parameters
    ----------
    data
        Data with cells treated with `action` and controls of their contexts.
    model
        Model fitted with ``perturbation=``.
    action
        As :func:`scvcell.tl.perturb`, among the treated cells.
    covariates
        Columns whose balance is told, among the cells that have a value; to compare only within a column,
        make it a context of the fit.
    n_boot
        Bootstrap samples of cells, each with a fit and draws of the states; at least 2.
    level
        Level of the intervals.
    seed
        Drives fits and samples.

    Returns
    -------
    AnnData (of a model of one modality) or MuData of the treated cells. ``X``: ITE, for counts with a depth log2 of 1 +
    expected counts per 10,000; layers ``lower``, ``upper`` (in simulations 90 % ones cover .6 to .7 of the true
    effects), ``counterfactual`` (expected untreated) and ``matched`` (measured in the matched controls), on the same
    scale. obs: those of the cells, ``action``, ``overlap``
    (whether a control is as near to the basal state as controls are to each other), ``effective_matches``
    :math:`1 / \sum_j p_j^2`, ``matched_cell`` (the most likely control), ``effect_size`` (root mean square of ITE over
    all features). obsm: ``X_csl``, ``X_csl_basal``. ``uns["csl_match"]``: ``effects``, mean ITE per context with
    intervals, which :func:`scvcell.pl.effects` draws; ``balance``, which :func:`scvcell.pl.match` draws: per covariate
    and basal component the standardised mean difference before and after matching and whether treatment depends on it
    (Mann-Whitney); ``params``, with ``confounded`` (whether unequal odds were needed), ``auc`` (how well the basal
    state predicts treatment; .5 not at all) and ``effective_controls``.

    Raises
    ------
    ValueError
        If no cell had the action, fewer than 10 treated cells or controls share a context, `n_boot` is below 2, or
        `level` is not between 0 and 1.
    KeyError
        If obs lacks a covariate.

    References
    ----------
    Dong et al., Causal identification of single-cell experimental perturbation effects with CINEMA-OT, Nat Methods
    2023 (the question, and matching by transport); Qin, Inferences for case-control and semiparametric two-sample
    density ratio models, Biometrika 1998 (the odds).

    Examples
    --------
    >>> treated = scvcell.tl.match_counterfactual(adata, model, "IFN-beta", covariates="donor")
    >>> scvcell.pl.match(treated)
    >>> scvcell.pl.effects(treated.uns["csl_match"]["effects"])
    """
    check_level(level)
    seed = seed_of(seed)
    n_boot = whole_number("n_boot", n_boot, 2)
    action = asked(learned(model), action)
    start = Controls(data, model, groupby=())
    names, units = _units(start, action)
    known = _columns(start.view, covariates)
    posterior = model.posterior(start.view)
    latent, cells = posterior.mean, np.sort(np.concatenate([u.treated for u in units]))
    groups = [np.searchsorted(cells, u.treated) for u in units]
    shown = model.progress
    explanations = progress((False, True), "Matching, explanations", shown=shown)
    fits = [trace(units, latent, seed, tilted=tilted) for tilted in explanations]
    origin = min(fits, key=lambda fit: fit.distance)
    basal = origin.before(latent[cells])
    rng = np.random.default_rng(seed)
    matches = [Match.make(u, basal[g], latent, origin, rng) for u, g in zip(units, groups, strict=True)]
    obs = pd.concat([match.describe(start.view.obs_names) for match in matches]).loc[start.view.obs_names[cells]]
    own = show_action(start.view.obs(cells, model.columns), str(action), start.response).drop(
        columns=obs.columns, errors="ignore"
    )
    obs = pd.concat([own, obs], axis=1)
    draws = list(
        _draws(units, cells, posterior, origin, progress(range(n_boot), "Matching, bootstrap", shown=shown), seed)
    )
    bulks = start.whole
    errors = _rehearse(start, units, bulks, latent, origin, seed)
    reach = norm.ppf(0.5 + level / 2)
    tables, effects = {}, []
    for m, bulk in bulks.items():
        features = list(model.schema.modalities[m].features)
        found = _effects(bulk, cells, groups, latent[cells], basal, draws)
        matched = _matched(bulk, matches, cells)
        value, spread, counterfactual, matched, mean, mean_spread = (
            x / bulk.unit for x in (*found[:3], matched, *found[3:])
        )
        error, mean_error = (x / bulk.unit**2 for x in errors[m])
        spread, mean_spread = np.sqrt(spread**2 + error), np.sqrt(mean_spread**2 + mean_error)
        size = np.sqrt(np.square(value).mean(1))
        table = AnnData(value, obs=obs.assign(**{_keys.EFFECT_SIZE: size}), var=pd.DataFrame(index=features))
        table.layers[_keys.LOWER], table.layers[_keys.UPPER] = value - reach * spread, value + reach * spread
        table.layers[_keys.COUNTERFACTUAL], table.layers[_keys.MATCHED] = counterfactual, matched
        tables[m] = table
        effects += [_frame(*row, m, features, level) for row in zip(names, mean, reach * mean_spread, strict=True)]
    out = gather(tables, {_keys.LATENT: latent[cells].numpy(), _keys.BASAL: basal.numpy()})
    balance, auc = balance_of(matches, latent, cells, basal, known)
    mass = np.concatenate([match.mass for match in matches])
    out.uns[_keys.MATCH] = {
        "effects": pd.concat(effects, ignore_index=True),
        "balance": balance,
        "params": {
            "action": str(action),
            "level": level,
            "n_boot": n_boot,
            "seed": seed,
            "confounded": origin is fits[1],
            "auc": auc,
            "effective_controls": float(mass.sum() ** 2 / np.square(mass).sum()),
        },
    }
    return out


def _units(start: Controls, action: Action) -> tuple[list[Any], list[Unit]]:
    """Contexts in which cells had the action, and these cells and their controls."""
    design = compared(start.design, start.response)
    if action not in design.actions:
        known = ", ".join(repr(str(a)) for a in design.actions[:8]) + (", ..." if len(design.actions) > 8 else "")
        raise ValueError(f"No cell had the action {str(action)!r}; treated cells had {known}. Give one of these.")
    names, units = [], []
    for k, name in enumerate(design.contexts):
        treated = np.flatnonzero((design.code == design.actions.index(action)) & (design.context == k))
        controls = np.flatnonzero(design.control & (design.context == k))
        where = f" in {name!r}" if len(design.contexts) > 1 else ""
        if len(treated) and min(len(treated), len(controls)) < FEWEST:
            raise ValueError(
                f"{len(treated)} cells with {str(action)!r} and {len(controls)} controls{where} "
                f"are too few to match; leave out contexts with fewer than {FEWEST} of either."
            )
        if len(treated):
            names.append(name)
            units.append(Unit(action, k, treated, controls))
    return names, units


def _columns(view: View, covariates: str | Sequence[str]) -> pd.DataFrame:
    """Covariates as numbers, one column per category; NaN where they are missing, of which a line tells."""
    found: dict[str, Any] = {}
    for name in [covariates] if isinstance(covariates, str) else covariates:
        column = view.column(name)
        if is_numeric(column):
            found[name] = numbers(column)
        else:
            text = labels(column)
            for each in sorted(set(text.dropna())):
                found[f"{name}={each}"] = (text == each).astype(float).where(text.notna()).to_numpy()
        tell_missing(labels(column).isna().to_numpy(), [name])
    return pd.DataFrame(found, index=view.obs_names)


def _draws(
    units: list[Unit], cells: Rows, posterior: Posterior, origin: Origin, samples: Iterable[int], seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, Array]]:
    """Per bootstrap sample: drawn states of the treated cells after and before; how often each cell is in it."""
    rng = np.random.default_rng(seed)
    for b in samples:
        sample = [Unit(u.action, u.context, *(rng.choice(x, len(x)) for x in (u.treated, u.controls))) for u in units]
        fit = trace(sample, posterior.mean, seed + 1 + b, tilted=bool(origin.tilt.any()), steps=REFIT)
        noise = torch.from_numpy(rng.standard_normal((len(cells), posterior.mean.shape[1])).astype(np.float32))
        z = posterior.mean[cells] + posterior.var[cells].sqrt() * noise
        drawn = np.searchsorted(cells, np.concatenate([u.treated for u in sample]))
        yield z, fit.before(z), np.bincount(drawn, minlength=len(cells)).astype(float)


def _rehearse(
    start: Controls,
    units: list[Unit],
    bulks: Mapping[str, Bulk],
    latent: torch.Tensor,
    origin: Origin,
    seed: int,
) -> dict[str, tuple[Array, Array]]:
    """Mean squared errors, by modality: of effects on cells, ``(features,)``, and on means, ``(groups, features)``.

    Each is halfway between that of the feature and that of all.
    """
    rng = np.random.default_rng(seed)
    squares: dict[str, list[tuple[Array, Array]]] = {m: [] for m in bulks}
    ends = np.cumsum([len(unit.treated) for unit in units])
    groups, tilted = np.split(np.arange(ends[-1]), ends[:-1]), bool(origin.tilt.any())
    for b in progress(range(REHEARSALS), "Matching, rehearsals", shown=start.model.progress):
        source = np.concatenate([_drawn(unit, latent, origin, rng) for unit in units])
        before = latent[source]
        after = origin.after(before)
        values = {m: bulk.moved(source, before, after, rng) for m, bulk in bulks.items()}
        measured = start.encode(source, values)
        again = [
            Unit(u.action, u.context, len(latent) + g, rng.choice(u.controls, len(u.controls)))
            for u, g in zip(units, groups, strict=True)
        ]
        fit = trace(again, torch.cat([latent, measured]), seed + 1 + b, tilted=tilted, steps=REFIT)
        found_before = fit.before(measured)
        for m, bulk in bulks.items():
            found = bulk.level(source, measured) - bulk.level(source, found_before)
            off = found - (bulk.level(source, after) - bulk.level(source, before))
            squares[m].append((np.square(off).mean(0), np.square([off[g].mean(0) for g in groups])))
    errors = {}
    for m, each in squares.items():
        of_cells, of_means = (np.mean(part, 0) for part in zip(*each, strict=True))
        errors[m] = (_halfway(of_cells), _halfway(of_means))
    return errors


def _drawn(unit: Unit, latent: torch.Tensor, origin: Origin, rng: np.random.Generator) -> Rows:
    """As many controls as there are treated cells, by their odds of treatment."""
    odds = origin.weight(latent[unit.controls]).double().numpy()
    return rng.choice(unit.controls, len(unit.treated), p=odds / odds.sum())


def _halfway(square: Array) -> Array:
    return (square + square.mean(-1, keepdims=True)) / 2  # type: ignore[no-any-return]


def _effects(
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


def _matched(bulk: Bulk, matches: list[Match], cells: Rows) -> Array:
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


def _frame(group: Any, mean: Array, half: Array, modality: str, features: list[str], level: float) -> pd.DataFrame:
    """Mean effects of a context, with the columns of `scvcell.tl.effects`."""
    columns = {"group": group, "modality": modality, "feature": features, "lfc": mean}
    return pd.DataFrame(columns | {_keys.LOWER: mean - half, _keys.UPPER: mean + half, "level": level})
