"""Scores of risk (eq. 5) beside those of the tables, where both ask the same: `results/agreement.csv`.

The methods of a table answer its own questions, and an axis of risk scores what they say: against all treated cells
instead of halves of them, and all cells of a pairing as one block. The score (``risk``) stands beside that of the table
for the same answers (``same_answer``), and beside its record of the same method and seed (``table``), which was made
when that answer was another one if the model has changed since. ``--models`` fits this package's model too, which takes
minutes.

    python benchmarks/agreement.py --data DIR [--cases cell_types half ...] [--models]

What the reports ask in another way has a row as well, which says why its numbers are not those of the table.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mudata
import numpy as np
import pandas as pd

import scvcell
from benchmarks import tables
from scvcell import risk
from scvcell.risk.axes import Context, Modality, Perturbation
from scvcell.score import log_cp10k

if TYPE_CHECKING:
    from collections.abc import Iterator

RESULTS = Path(__file__).parent / "results"
EFFECTS, PAIRS = ("cell_types", "donors", "combinations"), ("half", "mosaic")
SAME = {"pearson": "pearson_effect", "nmae": "nmae", "coverage": "coverage"}
"""Score of table *perturbation* -> metric of risk."""
TOLERANCE = 1e-4
"""Relative difference up to which numbers are equal: tables hold log counts in single precision, risk in double."""
SIMPLE = {"half": ("mean", "pca_knn", "pca_ridge"), "mosaic": ("cca", "pca_knn", "pca_ridge")}
"""Methods of the tables of pairs that take seconds."""
REFIT = "the model has changed since the record; the table scores its answer of today as risk does"
WHY = {
    (
        "scvcell",
        "coverage",
    ): "risk counts features in 1 % of treated cells or of controls, the table of both together",
    ("effect_baselines", "pearson"): "no effect is predicted: a correlation of rounding errors",
}
"""(Method, score) -> why its two numbers differ."""
OTHER = {
    ("cell_types", "pearson, nmae, coverage"): "reports score against halves of treated cells, to have a replicate",
    (
        "cell_types",
        "energy, r2_mean, r2_variance, mse",
    ): "reports draw other cells for distances, and have no R2, MSE",
    (
        "cell_types",
        "pearson, nmae of scvcell",
    ): "reports ask tl.effects, the table takes the mean of drawn cells",
    (
        "donors",
        "pearson, nmae, coverage",
    ): "reports score against halves of treated cells, to have a replicate",
    ("half", "pearson, rmse, coverage"): "the report hides pairings and keeps the proteins, the table hides proteins",
    ("mosaic", "pearson, rmse"): "the report compares log1p of counts, the table centred log ratios",
    ("mosaic", "foscttm, top1"): "the same cells and the same score; the report's mean is over blocks of cells",
}
"""(Case, scores) -> why reports, as they are committed, have other numbers than the table."""


class Told:
    """Effects that a method of a table has told, as a predictor."""

    name = "told"

    def __init__(self, answers: dict[str, risk.Effects]):
        self.answers = answers

    def fit(self, data: Any, split: risk.Split, seed: int) -> None:
        """Nothing is left to learn."""

    def predict(self, question: risk.Question) -> risk.Effects | None:
        """The effect on the cells that are asked about."""
        return self.answers[f"{question.action} {len(question.cells)} {question.cells[0]}"]


def record(table: str, case: str, method: str, seed: int) -> dict[str, Any]:
    """Scores of a committed record; none if there is no such record."""
    name = "-".join(filter(None, [table, case, method, str(seed)]))
    path = RESULTS / "raw" / f"{name}.json"
    return json.loads(path.read_text()).get("scores", {}) if path.is_file() else {}


def effects(data: Path, case: str, method: str, seed: int) -> Iterator[dict[str, Any]]:
    """Scores of every answer of a method of table *perturbation*, the mean over what was left out."""
    table = tables.load("perturbation")
    task, _ = table.task(data, case, None)
    adata, run = task.mdata["rna"], importlib.import_module(f"benchmarks.methods.{method}").run
    keys = replace(task.perturbation, context=table.CONTEXT.get(case, ()))
    axis = (Context if case in table.CONTEXT else Perturbation)(keys, n_partitions=0)
    values = pd.DataFrame(log_cp10k(adata.X), adata.obs_names, adata.var_names)
    found: list[pd.DataFrame] = []
    again: dict[str, list[dict[str, float]]] = {}
    for left, controls, out in table.answers(run, task, case, seed):
        if not left:
            continue  # no double of this fold has parts that were seen
        hidden = adata.obs_names[np.logical_or.reduce(list(left.values()))]
        split = risk.Split(adata.obs_names.difference(hidden), hidden[:0], hidden, "held out as by the table")
        said: dict[str, dict[str, risk.Effects]] = {}
        for who, frames in {"": out.counterfactual, **out.alternatives}.items():
            for name, frame in frames.items():
                cells, action = adata.obs_names[controls[name]], adata.obs["perturbation"][left[name]].iloc[0]
                change = frame.mean() - values.loc[cells].mean()
                told = pd.DataFrame({"effect": change})
                y, base = (values.to_numpy()[at[name]] for at in (left, controls))
                again.setdefault(who, []).append(table.score(y, base, frame.to_numpy()))
                if who == "" and name in out.effects:
                    ends = out.effects[name].set_index("feature")[["lower", "upper"]] * np.log(2)
                    told = told.join(ends)
                    again[who][-1] |= table.coverage(out.effects[name], y, base)
                said.setdefault(who, {})[f"{scvcell.Action(action)} {len(cells)} {cells[0]}"] = risk.Effects(told)
        found += [risk.ask(Told(each), axis, adata, split).assign(who=who) for who, each in said.items()]
    mean = pd.concat(found).groupby(["who", "metric"])["value"].mean()
    committed = record("perturbation", case, method, seed)
    for who, each in again.items():
        now = pd.DataFrame(each).mean()
        mine = committed if who == "" else committed.get("alternatives", {}).get(who, {})
        for score, metric in SAME.items():
            if score in mine and (who, metric) in mean.index:
                about = (case, f"{method} ({who})" if who else method, seed, score)
                yield row(*about, mine[score], now[score], mean[who, metric])


def pairs(data: Path, case: str, method: str, seed: int) -> Iterator[dict[str, Any]]:
    """Scores of a method of tables *protein* (``half``) or *mosaic*: of values, or of matches."""
    name, inner = ("protein", "half") if case == "half" else ("mosaic", "")
    table = tables.load(name)
    task, truth = table.task(data, inner, None)
    out = importlib.import_module(f"benchmarks.methods.{method}").run(task, seed)
    committed, now = record(name, inner, method, seed), table.score(task, truth, out)
    mdata, to = mudata.read_h5mu(data / table.FILES[inner]), task.target
    torn = mdata["rna"].obs_names[(mdata["rna"].obs["batch"] == "p4_0").to_numpy()]
    hidden = task.query if case == "half" else torn
    shown = mdata.obs_names.difference(hidden)
    split = risk.Split(shown, shown[:0], hidden, "hidden as by the table")
    axis = Modality("rna", to, n_blocks=1)
    for test in axis.stress_tests(mdata, split):
        true, found = test.truth(), {}
        if case == "mosaic" and isinstance(true, dict) and out.embedding:
            at = torn.get_indexer(split.test)
            states = {m: out.embedding[m].loc[truth[m][at]].set_axis(true[m]) for m in true}
            found = axis.score(test, risk.States(states))
            same = {"foscttm": "foscttm", "top1": "match_recall"}
        elif case == "half" and getattr(test.question, "to", "") == to:
            frames = [out.prediction, *([np.log1p(out.lower), np.log1p(out.upper)] if out.lower is not None else [])]
            asked = [np.expm1(frame.loc[split.test]).set_axis(true.index) for frame in frames]
            found = axis.score(test, risk.Values(*asked))
            same = {"pearson": "pearson", "rmse": "rmse", "coverage": "coverage", "relative_width": "relative_width"}
        for score, metric in same.items() if found else ():
            if score in committed and metric in found:
                yield row(case, method, seed, score, committed[score], now[score], found[metric])


def row(case: str, method: str, seed: int, score: str, table: float, now: float, mine: float) -> dict[str, Any]:
    """One line of the result."""
    equal, same = (bool(np.isclose(mine, other, rtol=TOLERANCE, atol=TOLERANCE / 10)) for other in (table, now))
    about = {"case": case, "method": method, "seed": seed, "score": score}
    values = {"table": table, "same_answer": float(now), "risk": float(mine), "equal": equal}
    why = REFIT if same else WHY.get((method, score), "")
    return about | values | {"why": "" if equal else why}


def main() -> None:
    """Compare, write what was found, and fail where a difference has no reason."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SCVCELL_DATA_DIR"))
    parser.add_argument("--cases", nargs="+", default=[*EFFECTS, *PAIRS], choices=[*EFFECTS, *PAIRS])
    parser.add_argument("--models", action="store_true", help="fit this package's model too")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for case in args.cases:
        methods = ("effect_baselines",) if case in EFFECTS else SIMPLE[case]
        for method in (*methods, *(("scvcell",) if args.models else ())):
            lines = list((effects if case in EFFECTS else pairs)(Path(args.data), case, method, args.seed))
            print(pd.DataFrame(lines).to_string(), flush=True)
            found = write(lines)
    if len(silent := found[~found["equal"] & (found["why"] == "")]):
        raise SystemExit(f"{len(silent)} numbers differ from those of the tables, and nothing says why.")


def write(lines: list[dict[str, Any]]) -> pd.DataFrame:
    """All that was compared; what is in the file and was not compared again stays."""
    path, found = RESULTS / "agreement.csv", pd.DataFrame(lines)
    if path.is_file():
        old = pd.read_csv(
            path, keep_default_na=False, na_values=dict.fromkeys(("table", "same_answer", "risk"), "")
        ).dropna(subset=["table"])
        old = old.assign(equal=old["equal"].astype(str) == "True", seed=old["seed"].astype(float).astype(int))
        found = pd.concat([old, found]).drop_duplicates(["case", "method", "seed", "score"], keep="last")
    found = found.sort_values(["case", "method", "seed", "score"])
    told = [{"case": case, "score": score, "why": why} for (case, score), why in OTHER.items()]
    columns = ["case", "method", "seed", "score", "table", "same_answer", "risk", "equal", "why"]
    pd.concat([found, pd.DataFrame(told)])[columns].to_csv(path, index=False, float_format="%.6g")
    return found


if __name__ == "__main__":
    main()
