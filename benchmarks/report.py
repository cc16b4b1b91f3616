"""Raw records -> ``TABLE.csv`` and ``TABLE.md`` (mean and standard deviation over seeds)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks import tables

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import ModuleType

COST = {"fit_seconds": "fit s", "fit_cpu_seconds": "fit CPU s", "total_seconds": "total s", "peak_mb": "peak MB"}


def load_records(table: str, out: Path) -> list[dict[str, Any]]:
    """All raw records of a table."""
    records = [json.loads(p.read_text(encoding="utf-8")) for p in sorted((out / "raw").glob(f"{table}-*.json"))]
    return [r for r in records if r["table"] == table]


def flat(records: Iterable[dict[str, Any]], columns: dict[str, str]) -> pd.DataFrame:
    """One row per successful run and variant of its prediction."""
    rows = []
    for r in records:
        if r["status"] != "ok":
            continue
        key = {"case": r["case"], "method": r["method"], "seed": r["seed"], "epochs": r["epochs"]}
        cost = {name: r.get(name, np.nan) for name in (*COST, "cpu_seconds")}
        rows.append(key | cost | {c: r["scores"].get(c, np.nan) for c in columns})
        for name, scores in r["scores"].get("alternatives", {}).items():
            variant = {c: scores.get(c, np.nan) for c in columns}
            rows.append(key | {"method": f"{r['method']} ({name})"} | variant)
    return pd.DataFrame(rows)


def summarise(frame: pd.DataFrame, columns: dict[str, str], table: ModuleType) -> pd.DataFrame:
    """Mean, standard deviation, number of seeds and ratio of CPU seconds to the reference, per case and method."""
    values = [*columns, *COST, "cpu_seconds", "epochs"]
    frame = frame.astype(dict.fromkeys(values, float))
    groups = frame.groupby(["case", "method"], sort=False)
    mean, sd = groups[values].mean(), groups[values].std(ddof=1)
    mean["peak_mb"] = groups["peak_mb"].max()
    out = pd.concat([mean, sd.add_suffix("_sd")], axis=1)
    out.insert(0, "n", groups.size())
    timed = getattr(table, "RATIO", "fit_cpu_seconds")
    reference = mean[timed].xs(table.REFERENCE, level="method") if table.REFERENCE in mean.index.levels[1] else None
    cases = out.index.get_level_values("case")
    out["cpu_ratio"] = np.nan if reference is None else mean[timed] / reference.reindex(cases).to_numpy()
    order = {m: i for i, m in enumerate(table.METHODS)}
    rank = [(table.CASES.index(c), order.get(m.split(" (")[0], len(order)), m) for c, m in out.index]
    return out.iloc[sorted(range(len(rank)), key=rank.__getitem__)]


def cell(mean: float, sd: float, digits: int = 3) -> str:
    """Show ``mean ± sd``; nothing where there is no number."""
    if not np.isfinite(mean):
        return ""
    text = f"{mean:.{digits}f}"
    return f"{text} ± {sd:.{digits}f}" if np.isfinite(sd) else text


def markdown(table: ModuleType, summary: pd.DataFrame, failed: list[dict[str, Any]]) -> list[str]:
    """One Markdown table per case; columns that no method of the case fills are left out."""
    lines: list[str] = []
    skipped = {} if not hasattr(table, "SKIP") else table.SKIP
    for case in table.CASES:
        rows = summary[summary.index.get_level_values("case") == case]
        broken = [r for r in failed if r["case"] == case]
        if rows.empty and not broken:
            continue
        lines += [f"## {case}", ""] if case else []
        shown = {c: t for c, t in table.COLUMNS.items() if rows[c].notna().any()} if len(rows) else {}
        ratio = f"CPU s / {table.REFERENCE}"
        head = ["method", *shown.values(), "n", "epochs", *COST.values(), ratio]
        lines += ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
        for (_, method), row in rows.iterrows():
            digits = getattr(table, "DIGITS", {})
            parts = [method, *[cell(row[c], row[f"{c}_sd"], digits.get(c, 3)) for c in shown], str(int(row["n"]))]
            parts += [cell(row["epochs"], np.nan, 0), cell(row["fit_seconds"], row["fit_seconds_sd"], 1)]
            parts.append(cell(row["fit_cpu_seconds"], row["fit_cpu_seconds_sd"], 1))
            parts += [cell(row["total_seconds"], np.nan, 1), cell(row["peak_mb"], np.nan, 0)]
            lines.append("| " + " | ".join([*parts, cell(row["cpu_ratio"], np.nan, 4)]) + " |")
        for r in broken:
            message = " ".join(r["message"].split())[:160].replace("|", "/")
            lines.append(f"| {r['method']} | seed {r['seed']} failed: {message} |" + " |" * (len(head) - 2))
        lines.append("")
        lines += [f"- {method} not run: {why}." for (method, c), why in skipped.items() if c == case]
        lines.append("")
    return lines


def preamble(name: str, records: list[dict[str, Any]], command: str, table: ModuleType) -> list[str]:
    """Say what ran where, with which versions."""
    machines = {json.dumps(r["machine"], sort_keys=True): r["machine"] for r in records}
    versions: dict[str, set[str]] = {}
    for r in records:
        for package, number in r["versions"].items():
            versions.setdefault(package, set()).add(number)
    dates = sorted(r["date"][:10] for r in records)
    lines = [f"# Benchmark table *{name}*", "", (table.__doc__ or "").strip(), ""]
    for m in machines.values():
        lines.append(f"- Machine: {m['cpu']}, {m['cores']} cores, {m['memory_gb']} GB, {m['system']}")
    if len(machines) > 1:
        lines.append("- **Records of several machines: seconds are comparable within one machine only.**")
    limited = sorted({f"{r['method']} {r['epochs_override']}" for r in records if r["epochs_override"]})
    if limited:
        lines.append(
            f"- **Epochs were limited (`--epochs`) for: {', '.join(limited)}.** All other runs chose their own."
        )
    seeds = sorted({r["seed"] for r in records})
    threads = sorted({r["threads"] for r in records})
    return [
        *lines,
        f"- Threads: {', '.join(map(str, threads))}; seeds: {', '.join(map(str, seeds))}; {dates[0]} to {dates[-1]}",
        f"- Versions: {', '.join(f'{k} {"/".join(sorted(v))}' for k, v in versions.items())}",
        f"- Last command: `{command}`",
        "- Mean ± standard deviation over seeds; every run in its own process, one after the other. *fit s*: set-up "
        "and training; *fit CPU s*: the same in CPU seconds, which other programs on the machine hardly disturb; "
        "*total s*: with prediction, scoring and monitoring; *peak MB*: resident memory of the whole process.",
        "",
    ]


def write_table(name: str, out: Path, command: str) -> str:
    """Aggregate every raw record of a table, write CSV and Markdown, return the Markdown."""
    table = tables.load(name)
    records = load_records(name, out)
    if not records:
        return f"no records of table {name}"
    done, failed = ([r for r in records if (r["status"] == "ok") is ok] for ok in (True, False))
    frame = flat(done, table.COLUMNS)
    empty = pd.DataFrame(index=pd.MultiIndex.from_tuples([], names=["case", "method"]))
    summary = summarise(frame, table.COLUMNS, table) if len(frame) else empty
    lines = preamble(name, records, command, table) + markdown(table, summary, failed)
    lines += [f"- {line}" for line in table.notes(done, out)] if hasattr(table, "notes") else []
    text = "\n".join(lines).strip() + "\n"
    csv = summary.reset_index()
    broken = pd.DataFrame([{k: r[k] for k in ("case", "method", "seed", "message")} for r in failed])
    csv = pd.concat([csv.assign(status="ok"), broken.assign(status="failed")], ignore_index=True)
    csv.to_csv(out / f"{name}.csv", index=False, float_format="%.6g")
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    return text
