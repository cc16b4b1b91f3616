r"""Eq. 5 anchored: where a score lies between a simple baseline (0) and a replicate (1), pooled over units.

.. math:: s = \frac{\sum_i u_i - \sum_i b_i}{\sum_i r_i - \sum_i b_i}, \qquad R = \sum_k \alpha_k (1 - s_k)
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import pandas as pd

from scvcell._stats import FEWEST_UNITS, boot_weights, draws_of_ratio, interval
from scvcell.risk._columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from scvcell._types import Array, Mask, Rows

REPLICATE = "replicate"
"""Name of the predictor that is another sample of the truth."""
ANSWERED = "answered"
"""Name of the share of cells that a predictor answered; it is no score."""
BINS = 5
"""Points of a curve against severity, at most."""
ITEM = ["axis", "readout", "metric"]


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made.

    Parameters
    ----------
    n
        Draws.
    level
        Level of intervals, in (0, 1).
    seed
        Seed of the draws.
    """

    n: int = 200
    level: float = 0.9
    seed: int = 0

    def weights(self, axis: str, units: pd.Index) -> pd.DataFrame:
        """Weights of the units of an axis, units x draws: they depend on names, not on the order of rows."""
        rng = np.random.default_rng([self.seed, zlib.crc32(axis.encode())])
        names = units.unique().sort_values()
        return pd.DataFrame(boot_weights(len(names), self.n, rng).T, index=names)


@dataclass(frozen=True, eq=False)
class Scaled:
    """One score of one predictor with its anchors, on every unit that it answered, or could have answered.

    Parameters
    ----------
    sums
        Of each unit, over the tests that were answered: the score (``"u"``) and their number (``"n"``). Over the tests
        where both anchors are known: how far the score (``"above"``) and the replicate (``"range"``) are from the
        baseline, the baseline (``"b"``), the replicate (``"r"``), and the number of these tests (``"m"``). Over all of
        either kind: their ``"severity"``, and their number (``"tests"``). A test that was not answered has the score of
        the baseline.
    weights
        Draws of weights of these units, ``(draws, units)``.
    """

    sums: Mapping[str, Array]
    weights: Array

    @property
    def n(self) -> int:
        """Units that were answered."""
        return int((self.sums["n"] > 0).sum())

    @property
    def silent(self) -> int:
        """Units with both anchors of which nothing was answered."""
        return int(((self.sums["m"] > 0) & (self.sums["n"] == 0)).sum())

    @property
    def anchored(self) -> int:
        """Units with both anchors."""
        return int((self.sums["m"] > 0).sum())

    @property
    def severity(self) -> Array:
        """Mean severity of each unit, ``(units,)``."""
        return self.sums["severity"] / self.sums["tests"]  # type: ignore[no-any-return]

    def mean(self, above: str, below: str) -> float:
        """Ratio of the totals of two sums."""
        total = self.sums[below].sum()
        return float(self.sums[above].sum() / total) if total != 0 else float("nan")

    def draws(self, above: str, below: str) -> Array:
        """Draws of the same."""
        there = self.sums["n" if below == "n" else "m"] > 0
        return draws_of_ratio(self.sums[above][there], self.sums[below][there], self.weights[:, there])

    def at(self, mask: Mask) -> Scaled:
        """The same on some of the units."""
        return Scaled({name: values[mask] for name, values in self.sums.items()}, self.weights[:, mask])


def mean_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Scores, one per test, unit, predictor, readout and metric: the mean over seeds, in an order of their own."""
    known = rows[rows["value"].notna()]
    by = ["axis", "readout", "metric", "better", "test", "unit", "predictor"]
    out = known.groupby(by, sort=True, observed=True)[["value", "severity"]].mean().reset_index()
    return out.astype({"value": float, "severity": float})


def scaled(rows: pd.DataFrame, baseline: Mapping[str, str], boot: Bootstrap) -> Iterator[tuple[dict[str, Any], Scaled]]:
    """Every readout, metric and predictor with its anchors.

    Parameters
    ----------
    rows
        As ``rows`` of a report.
    baseline
        Axis -> predictor that is its anchor 0.
    boot
        How intervals are made.

    Yields
    ------
    Axis, readout, metric, better and predictor, and the scores.
    """
    every = mean_rows(rows)
    for axis, here in every.groupby("axis", sort=True):
        weights = boot.weights(str(axis), pd.Index(here["unit"]))
        unit = weights.index.get_indexer(pd.Index(here["unit"]))
        item = pd.factorize(pd.MultiIndex.from_frame(here[["test", "unit"]]))[0]
        who, names = pd.factorize(here["predictor"].to_numpy(object), sort=True)
        value, severity = here["value"].to_numpy(), here["severity"].to_numpy()
        place = {str(name): k for k, name in enumerate(names)}
        zero, one = (place.get(name, len(names)) for name in (baseline.get(str(axis), ""), REPLICATE))
        unit_of, tau = np.zeros(item.max() + 1, np.int64), np.zeros(item.max() + 1)
        unit_of[item], tau[item] = unit, severity
        kinds = here.reset_index(drop=True).groupby(["readout", "metric", "better"], sort=True)
        for kind, at in kinds.indices.items():
            wide = np.full((len(unit_of), len(names) + 1), np.nan)  # nobody is in the last column
            wide[item[at], who[at]] = value[at]
            about = {"axis": axis} | dict(
                zip(("readout", "metric", "better"), cast("tuple[str, ...]", kind), strict=True)
            )
            for k, predictor in enumerate(names):
                if np.isfinite(wide[:, k]).any():
                    fills = k not in (zero, one) and about["metric"] != ANSWERED
                    sums, used = _sums(wide[:, k], wide[:, zero], wide[:, one], tau, unit_of, len(weights), fills=fills)
                    yield about | {"predictor": str(predictor)}, Scaled(sums, weights.to_numpy()[used].T)


def _sums(
    u: Array, b: Array, r: Array, severity: Array, unit: Rows, n_units: int, *, fills: bool
) -> tuple[dict[str, Array], Mask]:
    """Sums over the tests of each unit, and which units have any; where it `fills`, silence is the baseline."""
    there, known, one = np.isfinite(u), np.isfinite(b) & np.isfinite(r), np.ones(len(u))
    both = known if fills else known & there
    entries = {"u": (there, u), "n": (there, one), "severity": (there | both, severity), "tests": (there | both, one)}
    anchored = {"above": np.where(there, u, b) - b, "range": r - b, "b": b, "r": r, "m": one}
    entries |= {k: (both, v) for k, v in anchored.items()}
    sums = {k: np.bincount(unit[at], v[at], n_units) for k, (at, v) in entries.items()}
    used = sums["tests"] > 0
    return {name: values[used] for name, values in sums.items()}, used


class Part(NamedTuple):
    """What R is made of: the risk of a predictor along an axis.

    Attributes
    ----------
    risk, draws
        ``1 - s``, the mean over informative scores, and draws of it.
    n
        The fewest units of a score.
    silent
        Informative scores that the predictor lacks. They count as those of the baseline.
    lost
        The most units of a score that it has of which it answered nothing. They count as the baseline too.
    """

    risk: float
    draws: Array
    n: int
    silent: int = 0
    lost: int = 0


def summarise(
    rows: pd.DataFrame, baseline: Mapping[str, str], boot: Bootstrap
) -> tuple[pd.DataFrame, dict[tuple[str, str], Part]]:
    """Table ``summary`` of a report, and of each axis and predictor what R is made of.

    Parameters
    ----------
    rows, baseline, boot
        As `scaled`.

    Returns
    -------
    The table; and (axis, predictor) -> its part of R.
    """
    lines: list[dict[str, Any]] = []
    parts: dict[tuple[str, str], list[tuple[float, Array, int, int]]] = {}
    asked: dict[str, set[tuple[str, str]]] = {}
    for about, each in scaled(rows, baseline, boot):
        draws = each.draws("above", "range")
        tells, why = _tells(about, each, boot.level)
        value = each.draws("u", "n")
        low, high = interval(value, boot.level, each.n)
        s_low, s_high = interval(draws, boot.level, each.anchored)
        few = each.n < FEWEST_UNITS
        line = about | {"value": each.mean("u", "n"), "lower": low, "upper": high}
        line |= {"baseline": each.mean("b", "m"), "replicate": each.mean("r", "m")}
        if about["better"] == "nominal":
            line |= dict.fromkeys(("scaled", "scaled_lower", "scaled_upper"), np.nan)
        else:
            line |= {"scaled": each.mean("above", "range"), "scaled_lower": s_low, "scaled_upper": s_high}
        notes = [why, _fewer(each), f"t over {each.n} units" if few else ""]
        lines.append(line | {"informative": tells, "n": each.n, "note": "; ".join(filter(None, notes))})
        if tells:
            key = (str(about["axis"]), str(about["predictor"]))
            parts.setdefault(key, []).append((1 - line["scaled"], 1 - draws, each.anchored, each.silent))
            asked.setdefault(key[0], set()).add((str(about["readout"]), str(about["metric"])))
    made = {key: _part(every, len(asked[key[0]]) - len(every)) for key, every in parts.items()}
    return pd.DataFrame(lines, columns=COLUMNS["summary"]), made


def _part(scores: Sequence[tuple[float, Array, int, int]], silent: int) -> Part:
    """Mean over informative scores; those that a predictor lacks have the risk of the baseline, 1."""
    share = len(scores) / (len(scores) + silent)
    risk, draws = float(np.mean([s[0] for s in scores])), np.mean([s[1] for s in scores], 0)
    n, lost = min(s[2] for s in scores), max(s[3] for s in scores)
    return Part(share * risk + 1 - share, share * draws + 1 - share, n, silent, lost)


def _tells(about: Mapping[str, Any], each: Scaled, level: float) -> tuple[bool, str]:
    """Whether a score goes into R, and why it does not."""
    if about["metric"] == ANSWERED or about["better"] == "nominal":
        return False, ""
    if not each.anchored:
        return False, "no anchors"
    low, high = interval(each.draws("range", "m"), level, each.anchored)
    better = low > 0 if about["better"] == "higher" else high < 0
    return bool(better), "" if better else "the replicate is not better than the baseline"


def _fewer(each: Scaled) -> str:
    """Which units lack an anchor or an answer, in words."""
    lost, every = each.n + each.silent - each.anchored, each.n + each.silent
    notes = [f"{lost} of {every} units without a replicate"] if lost and each.anchored else []
    notes += [f"{each.silent} of {every} units not answered, and counted as the baseline"] if each.silent else []
    return "; ".join(notes)


def curves(rows: pd.DataFrame, baseline: Mapping[str, str], boot: Bootstrap) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables ``curves`` and ``breakdown`` of a report.

    Parameters
    ----------
    rows, baseline, boot
        As `scaled`.
    """
    lines, ends = [], []
    measures = rows.groupby("axis")["measure"].agg(lambda found: ", ".join(sorted(set(map(str, found)))))
    for about, each in scaled(rows, baseline, boot):
        if about["metric"] == ANSWERED:
            continue
        about = {key: about[key] for key in ("axis", "readout", "metric", "predictor", "better")}
        points = [about | _point(part, boot.level) for part in _bins(each)]
        if about["better"] == "nominal":
            points = [point | {"scaled": np.nan} for point in points]
        lines += points
        if about["better"] != "nominal" and about["predictor"] not in (REPLICATE, baseline.get(about["axis"])):
            at, note = _breaks([(p["severity"], p["scaled"]) for p in points])
            ends.append(about | {"severity": at, "measure": measures[about["axis"]], "note": note})
    return pd.DataFrame(lines, columns=COLUMNS["curves"]), pd.DataFrame(ends, columns=COLUMNS["breakdown"])


def _bins(each: Scaled) -> Iterator[Scaled]:
    """Units by severity: each of its values if there are few, else as many units each."""
    severity = each.severity.round(9)
    values = np.unique(severity)
    if len(values) <= BINS:
        number = np.searchsorted(values, severity)
    else:
        inner = np.unique(np.quantile(severity, np.arange(1, BINS) / BINS))
        number = np.searchsorted(inner, severity, side="right")
    for k in np.unique(number):
        yield each.at(number == k)


def _point(part: Scaled, level: float) -> dict[str, Any]:
    """One point of a curve."""
    low, high = interval(part.draws("u", "n"), level, part.n)
    value = {"severity": float(part.severity.mean()), "value": part.mean("u", "n"), "lower": low}
    return value | {"upper": high, "scaled": part.mean("above", "range"), "n": part.n}


def _breaks(points: list[tuple[float, float]]) -> tuple[float, str]:
    """Least severity from which on scores are not better than the baseline, and what to say of it."""
    known = sorted((severity, s) for severity, s in points if np.isfinite(s))
    if not known:
        return float("nan"), "no anchors"
    worse = [s <= 0 for _, s in known]
    if not worse[-1]:
        return float("nan"), ""
    first = len(worse) - next((i for i, w in enumerate(reversed(worse)) if not w), len(worse))
    return known[first][0], ""
