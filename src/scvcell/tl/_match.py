"""tl.match_counterfactual: each treated cell beside what it would be untreated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import norm

from scvcell import _keys
from scvcell._calm import progress
from scvcell._checks import check_level, seed_of, whole_number
from scvcell._containers import gather
from scvcell._labels import is_numeric, labels, numbers, tell_missing
from scvcell.response import FEWEST_CELLS, Contrast, Controls, asked, compared, learned, show_action
from scvcell.screen import Match, balance_of, draws_of, effects_on_cells, fit_origin, matched_values, rehearse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mudata import MuData

    from scvcell._containers import Container, View
    from scvcell._types import Array
    from scvcell.model import CSL
    from scvcell.perturb import Action


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
    fits = [fit_origin(units, latent, seed, tilted=tilted) for tilted in explanations]
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
        draws_of(units, cells, posterior, origin, progress(range(n_boot), "Matching, bootstrap", shown=shown), seed)
    )
    bulks = start.whole
    errors = rehearse(start, units, bulks, latent, origin, seed)
    reach = norm.ppf(0.5 + level / 2)
    tables, effects = {}, []
    for m, bulk in bulks.items():
        features = list(model.schema.modalities[m].features)
        found = effects_on_cells(bulk, cells, groups, latent[cells], basal, draws)
        matched = matched_values(bulk, matches, cells)
        value, spread, counterfactual, matched, mean, mean_spread = (
            x / bulk.per_log2 for x in (*found[:3], matched, *found[3:])
        )
        error, mean_error = (x / bulk.per_log2**2 for x in errors[m])
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
    return start.view.subset(cells).as_table(out)


def _units(start: Controls, action: Action) -> tuple[list[Any], list[Contrast]]:
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
        if len(treated) and min(len(treated), len(controls)) < FEWEST_CELLS:
            raise ValueError(
                f"{len(treated)} cells with {str(action)!r} and {len(controls)} controls{where} "
                f"are too few to match; leave out contexts with fewer than {FEWEST_CELLS} of either."
            )
        if len(treated):
            names.append(name)
            units.append(Contrast(action, k, treated, controls))
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


def _frame(group: Any, mean: Array, half: Array, modality: str, features: list[str], level: float) -> pd.DataFrame:
    """Mean effects of a context, with the columns of `scvcell.tl.effects`."""
    columns = {"group": group, "modality": modality, "feature": features, "lfc": mean}
    return pd.DataFrame(columns | {_keys.LOWER: mean - half, _keys.UPPER: mean + half, "level": level})
