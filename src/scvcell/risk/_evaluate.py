"""Eq. 5 as a report: R of any predictor, along any axis, anchored between a simple baseline and a replicate."""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pandas as pd

from scvcell._checks import expect, listed
from scvcell._containers import view
from scvcell._labels import labels
from scvcell.risk._anchor import REPLICATE, Bootstrap, curves, summarise
from scvcell.risk._calibration import calibration
from scvcell.risk._cards import cards
from scvcell.risk._cells import held_cells
from scvcell.risk._columns import COLUMNS
from scvcell.risk._counts import counted
from scvcell.risk._groups import gaps
from scvcell.risk._leaks import leaks
from scvcell.risk._plan import (
    AUTO,
    RiskConfig,
    axes_of,
    check_baselines,
    chosen,
    digest_of,
    identity,
    models_of,
    predictors_of,
    refitted,
    splits_of,
)
from scvcell.risk._report import RiskReport
from scvcell.risk._run import Records, run_tasks
from scvcell.risk._task import Ask, Shared, World, rows_of
from scvcell.risk._total import check_alpha, refused, total
from scvcell.risk.readouts import readouts_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scvcell._containers import Container
    from scvcell.model import CSL
    from scvcell.risk._predictor import Predictor
    from scvcell.risk._split import Split
    from scvcell.risk.axes import Axis
    from scvcell.risk.readouts import Readout

logger = logging.getLogger("scvcell")

FEWEST = 2
"""Exchangeable units without which there is no interval."""


def evaluate(
    predictors: CSL | Predictor | Mapping[str, CSL | Predictor] | Sequence[CSL | Predictor],
    data: Container,
    *,
    split: Split | Sequence[Split] | None = None,
    axes: str | Axis | Sequence[str | Axis] | Mapping[str, str | Axis] = "auto",
    readouts: str | Readout | Sequence[str | Readout] | None = None,
    baselines: str | Sequence[str] = "all",
    alpha: Mapping[str, float] | None = None,
    groups: Sequence[str] = (),
    config: RiskConfig | None = None,
) -> RiskReport:
    r"""Where predictors may be trusted, and which simple baselines they beat (eq. 5).

    .. math:: R = \sum_k \alpha_k (1 - s_k), \qquad s = \frac{\sum_i u_i - \sum_i b_i}{\sum_i r_i - \sum_i b_i}

    Every predictor is fitted on what a split lets it see, and asked what the split hides. Its scores `u` are set
    between those of a simple baseline `b` (0) and of a replicate `r` (1), pooled over exchangeable units and never
    clipped: a model may pass 1, since it has less noise than a replicate of few cells.

    Parameters
    ----------
    predictors
        A fitted model, or whatever has the two methods of `Predictor`; several of them; or a mapping from names to
        them. A fitted model is not fitted anew.
    data
        All data, with the truth: AnnData, MuData, or SpatialData, whose cells get the places of their elements. They do
        not change.
    split
        Which cells may be learned from and which are asked about; or several of them, as folds. By default the split
        that a fitted model carries.
    axes
        Along which it is asked: names in `scvcell.risk.AXES`, axes with settings of your own, or a mapping from names
        to them. ``"auto"``: what the splits hide and the models have learned.
    readouts
        What is looked at: names in `scvcell.risk.READOUTS`, or readouts such as ``Activity(network)``. Effects and
        distributions by default.
    baselines
        Names of simple predictors to beat; ``"all"`` that the axes have. The anchor of an axis is always asked.
    alpha
        Axis -> weight, from 0 on; they are made to add up to 1. All alike by default.
    groups
        Columns of obs (donor, sex, site) between whose values gaps are told.
    config
        Intervals, records, executor, seed, refits.

    Returns
    -------
    Tables, without a model or data in them.

    Raises
    ------
    TypeError, KeyError, ValueError
        If anything that was given cannot be used, before any fit; the message says what is allowed. A predictor that
        raises on a question is a row ``"failed: ..."`` of the report.

    References
    ----------
    Hu and Chen, Insights into Artificial Intelligence Virtual Cells (eq. 5).

    Examples
    --------
    >>> split = scvcell.risk.hold_out(adata, "cell_type", "B cells")
    >>> model = scvcell.tl.fit(adata, perturbation=keys, split=split)
    >>> report = scvcell.risk.evaluate(model, adata)
    >>> report.total
    """
    config = RiskConfig() if config is None else config
    expect("config", config, RiskConfig, "For example RiskConfig(n_boot=500).")
    asked = predictors_of(predictors)
    data = counted(held_cells(data, models_of(asked).values()), asked.values())
    seen_as = readouts_of(readouts)
    splits = splits_of(split, asked, data, config.refit)
    found = axes_of(axes, asked, splits, data, config)
    check_baselines(baselines, found.values())
    columns = check_groups(groups, data)
    check_levels(found, config.level)
    world = World(data, splits, found, seen_as)
    where = tests_of(world, automatic=isinstance(axes, str) and axes == AUTO)
    weights = check_alpha(alpha, list(world.axes))
    tell_few(world)
    if config.refit:
        asked = {name: refitted(name, each) for name, each in asked.items()}
    group_of = {name: group_of_units(world, name) for name in columns}
    who = everyone(asked, world, baselines)
    tasks, names = tasks_of(who, world, where, config)
    if config.cache is not None:
        Records(config.cache)  # refuses a folder of something else, or one that cannot be written to
    found_by = leaks(world, asked, config.seed)
    records = run_tasks(tasks, cache=config.cache, executor=config.executor)
    rows = pd.DataFrame(rows_of(world, tasks, names, records), columns=COLUMNS["rows"])
    return _report(rows, world, asked, group_of, weights, config, found_by)


def check_groups(groups: str | Sequence[str], data: Container) -> list[str]:
    """Names of columns of obs.

    Raises
    ------
    ValueError
        Naming the one that the data lack.
    """
    names = listed("groups", groups, "names of obs columns")
    known = list(view(data).columns)
    for name in names:
        if name not in known:
            raise ValueError(f"obs has no column {name!r} of groups. It has {', '.join(map(str, known))}.")
    return names


def check_levels(axes: Mapping[str, Axis], level: float) -> None:
    """Refuse axes that ask for intervals at another level than the report's.

    Raises
    ------
    ValueError
        Naming the axis.
    """
    for name, axis in axes.items():
        own = getattr(axis, "level", level)
        if own != level:
            raise ValueError(
                f"The axis {name!r} asks for intervals at level {own}, the report is at {level}. Give both the same: "
                f"config=RiskConfig(level={own})."
            )


def tests_of(world: World, *, automatic: bool) -> dict[int, list[str]]:
    """Fold -> axes that have tests there. Axes that suggested themselves and have none are left out.

    Raises
    ------
    ValueError
        If an axis that was asked for has no test in any fold, or no axis has.
    """
    where: dict[int, list[str]] = {k: [] for k in range(len(world.splits))}
    for name in list(world.axes):
        why = ValueError(f"The axis {name!r} has no test.")
        for k in where:
            try:
                if world.tests(name, k):
                    where[k].append(name)
            except ValueError as error:
                why = error
        if not any(name in here for here in where.values()):
            if not automatic or len(world.axes) == 1:
                raise why
            del world.axes[name]
    for (_, _), tests in world.made.items():
        for test in tests:
            _check_readouts(world, test)
    return where


def tell_few(world: World) -> None:
    """Say before any fit where one unit is all that there is, so that nothing will be sure of it."""
    for name in world.axes:
        tests = [test for (axis, _), every in world.made.items() if axis == name for test in every]
        units = {unit for test in tests for unit in (list(test.units) or [test.name])}
        if len(units) < FEWEST:
            logger.warning(
                "Along the axis %r there is one unit, %r: there will be no interval, and nobody can tell whether "
                "a predictor is better than a baseline. Several folds, split=[...], have more.",
                *(name, next(iter(units))),
            )


def _check_readouts(world: World, test: Any) -> None:
    """Refuse readouts that the features of an assay do not go with."""
    modality = getattr(test.question, "modality", getattr(test.question, "to", None))
    tables = view(world.data).modalities
    if modality in tables:
        for readout in world.readouts:
            readout.check(pd.Index(tables[modality].var_names))


def everyone(
    asked: Mapping[str, Predictor], world: World, baselines: str | Sequence[str]
) -> list[tuple[str, Predictor | None, list[str]]]:
    """Name, predictor and axes of all who are asked; the replicate is None.

    Raises
    ------
    ValueError
        If a predictor has the name of a baseline.
    """
    every = list(world.axes)
    out: list[tuple[str, Predictor | None, list[str]]] = [(name, each, every) for name, each in asked.items()]
    simple: dict[tuple[str, str], tuple[Predictor, list[str]]] = {}
    for name, axis in world.axes.items():
        for each in chosen(baselines, axis):
            simple.setdefault((each.name, repr(each)), (each, []))[1].append(name)
    for (name, _), (each, along) in simple.items():
        if name in asked:
            raise ValueError(f"A predictor is called {name!r}, as a baseline is; give it another name.")
        out.append((name, each, along))
    return [*out, (REPLICATE, None, every)]


def tasks_of(
    who: Sequence[tuple[str, Predictor | None, list[str]]],
    world: World,
    where: Mapping[int, list[str]],
    config: RiskConfig,
) -> tuple[list[Ask], list[str]]:
    """One task for each predictor and fold, and the name of the predictor of each."""
    shared, digest, tasks, names = Shared(world), digest_of(world.data), [], []
    readouts = [readout.identity for readout in world.readouts]
    for name, predictor, along in who:
        held = None if predictor is None else Shared(predictor)
        about = "" if predictor is None else identity(predictor)
        for k, split in enumerate(world.splits):
            mine = tuple(axis for axis in where[k] if axis in along)
            if mine:
                asked = {axis: repr(world.axes[axis]) for axis in mine}
                key: dict[str, Any] = {
                    "predictor": name,
                    "identity": about,
                    "data": digest,
                    "axes": asked,
                    "readouts": readouts,
                }
                key |= {"split": split.digest, "seed": config.seed, "version": version("scvcell")}
                tasks.append(Ask(shared, held, k, mine, config.seed, key))
                names.append(name)
    return tasks, names


def _report(
    rows: pd.DataFrame,
    world: World,
    asked: Mapping[str, Predictor],
    groups: Mapping[str, pd.Series],
    alpha: Mapping[str, float],
    config: RiskConfig,
    leakage: tuple[pd.DataFrame, dict[str, str]],
) -> RiskReport:
    """All tables of rows of scores, beside what the audit of leakage found."""
    boot = Bootstrap(config.n_boot, config.level, config.seed)
    anchors = {name: axis.baseline for name, axis in world.axes.items()}
    summary, parts = summarise(rows, anchors, boot)
    curve, breakdown = curves(rows, anchors, boot)
    names = list(dict.fromkeys(rows["predictor"]))
    found, words = leakage
    risk = total(parts, names, alpha, boot, refused(found, names))
    failed = rows[rows["note"].str.startswith("failed")].groupby("predictor").size()
    risk["note"] = [_joined(note, failed.get(p, 0)) for note, p in zip(risk["note"], risk["predictor"], strict=True)]
    return RiskReport(
        rows=rows,
        summary=summary,
        total=risk,
        curves=curve,
        breakdown=breakdown,
        calibration=calibration(rows, config.level, config.n_boot, config.seed),
        groups=gaps(rows, groups, config.n_boot, config.seed),
        leakage=found,
        alpha=dict(alpha),
        words=words,
        cards=cards(world, asked, anchors, config),
    )


def _joined(note: str, failed: int) -> str:
    return "; ".join(filter(None, [note, f"{failed} questions failed" if failed else ""]))


def group_of_units(world: World, column: str) -> pd.Series:
    """Unit -> value of a column that all of its cells share; units of several values are left out.

    Raises
    ------
    ValueError
        If no unit lies within one value.
    """
    seen = view(world.data)
    values = pd.Series(labels(seen.column(column)).to_numpy(), index=seen.obs_names)
    found = {}
    for tests in world.made.values():
        for test in tests:
            for unit, cells in test.units.items():
                here = values.reindex(cells).dropna().unique()
                if len(here) == 1:
                    found[unit] = here[0]
    if not found:
        raise ValueError(
            f"No unit of these axes lies within one value of obs[{column!r}], so there are no groups to compare. "
            "Choose axes whose units do: contexts by that column, or unit_key= of scvcell.risk.axes.Modality."
        )
    return pd.Series(found, dtype=object)
