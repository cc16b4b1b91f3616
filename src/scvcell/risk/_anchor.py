r"""Eq. 5 anchored: where a score lies between a simple baseline (0) and a replicate (1), pooled over units.

.. math:: s = \frac{\sum_i u_i - \sum_i b_i}{\sum_i r_i - \sum_i b_i}, \qquad R = \sum_k \alpha_k (1 - s_k)
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell._stats import FEWEST_UNITS, boot_weights, draws_of_ratio, interval
from scvcell.risk._columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scvcell._types import Array

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
    """One score of one predictor with its anchors, on every unit that it answered.

    Parameters
    ----------
    table
        Per unit: sums over its tests of the score (``u``) and their number (``n``); of those tests where both anchors
        are known too, the sums of the score above the baseline (``above``), of the replicate above the baseline
        (``range``), of the baseline (``b``) and of the replicate (``r``) and their number (``m``); ``severity``.
    weights
        Draws of weights of these units, ``(draws, units)``.
    """

    table: pd.DataFrame
    weights: Array

    @property
    def n(self) -> int:
        """Units."""
        return len(self.table)

    @property
    def anchored(self) -> int:
        """Units with both anchors."""
        return int((self.table["m"] > 0).sum())

    def mean(self, above: str, below: str) -> float:
        """Ratio of the sums of two columns."""
        total = self.table[below].sum()
        return float(self.table[above].sum() / total) if total != 0 else float("nan")

    def draws(self, above: str, below: str) -> Array:
        """Draws of the same."""
        there = (self.table["n" if below == "n" else "m"] > 0).to_numpy()
        part = self.table[there]
        return draws_of_ratio(part[above].to_numpy(float), part[below].to_numpy(float), self.weights[:, there])

    def at(self, mask: Array) -> Scaled:
        """The same on some of the units."""
        return Scaled(self.table[mask], self.weights[:, mask])


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
        for (readout, metric), part in here.groupby(["readout", "metric"], sort=True):
            wide = part.pivot_table(index=["test", "unit"], columns="predictor", values="value", sort=True)
            severity = part.groupby(["test", "unit"])["severity"].mean()
            about = {"axis": axis, "readout": readout, "metric": metric, "better": part["better"].iloc[0]}
            none = pd.Series(np.nan, wide.index)
            b, r = (wide.get(name, none) for name in (baseline.get(str(axis), ""), REPLICATE))
            for predictor in wide:
                table = _units(wide[predictor], b, r, severity)
                yield about | {"predictor": predictor}, Scaled(table, weights.loc[table.index].to_numpy().T)


def _units(u: pd.Series, b: pd.Series, r: pd.Series, severity: pd.Series) -> pd.DataFrame:
    """Sums over the tests of each unit."""
    frame = pd.DataFrame({"u": u, "b": b, "r": r, "severity": severity}).dropna(subset="u")
    both = frame["b"].notna() & frame["r"].notna()
    frame = frame.assign(n=1.0, m=both.astype(float), above=frame["u"] - frame["b"], range=frame["r"] - frame["b"])
    frame.loc[~both, ["above", "range", "b", "r"]] = 0.0
    out = frame.groupby(level="unit").sum()
    return out.assign(severity=out["severity"] / out["n"])


def summarise(
    rows: pd.DataFrame, baseline: Mapping[str, str], boot: Bootstrap
) -> tuple[pd.DataFrame, dict[tuple[str, str], tuple[float, Array, int]]]:
    """Table ``summary`` of a report, and of each axis and predictor what R is made of.

    Parameters
    ----------
    rows, baseline, boot
        As `scaled`.

    Returns
    -------
    The table; and (axis, predictor) -> its risk ``1 - s``, the mean over informative scores, draws of it, and the
    fewest units of them.
    """
    lines: list[dict[str, Any]] = []
    parts: dict[tuple[str, str], list[tuple[float, Array, int]]] = {}
    for about, each in scaled(rows, baseline, boot):
        draws = each.draws("above", "range")
        tells, why = _tells(about, each, boot.level)
        value = each.draws("u", "n")
        low, high = interval(value, boot.level, each.n)
        s_low, s_high = interval(draws, boot.level, each.anchored)
        few = each.n < FEWEST_UNITS
        line = about | {"value": each.mean("u", "n"), "lower": low, "upper": high}
        line |= {"baseline": each.mean("b", "m"), "replicate": each.mean("r", "m")}
        line |= {"scaled": each.mean("above", "range"), "scaled_lower": s_low, "scaled_upper": s_high}
        notes = [why, _fewer(each), f"t over {each.n} units" if few else ""]
        lines.append(line | {"informative": tells, "n": each.n, "note": "; ".join(filter(None, notes))})
        if tells:
            key = (str(about["axis"]), str(about["predictor"]))
            parts.setdefault(key, []).append((1 - line["scaled"], 1 - draws, each.anchored))
    made = {
        key: (float(np.mean([p[0] for p in every])), np.mean([p[1] for p in every], 0), min(p[2] for p in every))
        for key, every in parts.items()
    }
    return pd.DataFrame(lines, columns=COLUMNS["summary"]), made


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
    """Which units lack an anchor, in words."""
    lost = each.n - each.anchored
    return f"{lost} of {each.n} units without a replicate" if lost and each.anchored else ""


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
        lines += points
        if about["better"] != "nominal" and about["predictor"] not in (REPLICATE, baseline.get(about["axis"])):
            at, note = _breaks([(p["severity"], p["scaled"]) for p in points])
            ends.append(about | {"severity": at, "measure": measures[about["axis"]], "note": note})
    return pd.DataFrame(lines, columns=COLUMNS["curves"]), pd.DataFrame(ends, columns=COLUMNS["breakdown"])


def _bins(each: Scaled) -> Iterator[Scaled]:
    """Units by severity: each of its values if there are few, else as many units each."""
    severity = each.table["severity"].to_numpy().round(9)
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
    value = {"severity": float(part.table["severity"].mean()), "value": part.mean("u", "n"), "lower": low}
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
