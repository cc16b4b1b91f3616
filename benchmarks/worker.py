"""Child process: one table, case, method and seed; writes one raw record. Started by ``run.py``, not by hand."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import methods, tables
from benchmarks.environment import machine, peak_mb, versions

logger = logging.getLogger("benchmarks")


def record_name(table: str, case: str, method: str, seed: int) -> str:
    """File name of a raw record."""
    return "-".join([part for part in (table, case, method) if part] + [str(seed)]) + ".json"


def clean(text: str, args: argparse.Namespace) -> str:
    """Take this machine's paths out of a message."""
    places = {
        str(args.data): "DATA",
        str(args.out.resolve()): "OUT",
        str(Path.cwd()): ".",
        str(Path.home()): "~",
        sys.prefix: "ENV",
    }
    for path in sorted(places, key=len, reverse=True):
        text = text.replace(path, places[path])
    return text


def pin_torch(threads: int) -> None:
    """Pin torch's own pool where the method has loaded torch (OMP_NUM_THREADS has done the rest)."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Load data, run the method, score it; seconds cover the method only, imports and data loading excluded."""
    table, module = tables.load(args.table), methods.load(args.method)
    pin_torch(args.threads)
    task, truth = table.task(args.data, args.case, args.epochs)
    before = peak_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    out, scores = tables.evaluate(table, module.run, task, truth, args.seed)
    return {
        "status": "ok",
        "scores": scores,
        "fit_seconds": round(out.fit_seconds, 3),
        "fit_cpu_seconds": round(out.fit_cpu_seconds, 3),
        "total_seconds": round(time.perf_counter() - wall, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "peak_mb": peak_mb(),
        "peak_mb_before": before,
        "epochs": out.epochs,
        "notes": out.notes,
    }


def plain(value: Any) -> Any:
    """JSON for numpy scalars and the like."""
    return value.item() if hasattr(value, "item") else str(value)


def header(args: argparse.Namespace) -> dict[str, Any]:
    """Everything that is known before the method starts."""
    return {
        "table": args.table,
        "case": args.case,
        "method": args.method,
        "seed": args.seed,
        "epochs_override": args.epochs,
        "threads": args.threads,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_at_start": round(os.getloadavg()[0], 2),
        "machine": machine(),
        "versions": versions(),
    }


def write(path: Path, record: dict[str, Any]) -> None:
    """Write a record so that a broken run leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(record, indent=1, default=plain) + "\n", encoding="utf-8")
    draft.replace(path)


def main() -> int:
    """Run one case; an error is a record too."""
    parser = argparse.ArgumentParser()
    for name in ("table", "case", "method"):
        parser.add_argument(name)
    parser.add_argument("seed", type=int)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    record = header(args)
    try:
        record |= measure(args)
    except Exception as error:
        logger.exception("%s failed", args.method)
        message = clean(f"{type(error).__name__}: {error}", args)
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        record |= {"status": "failed", "message": message[:2000], "where": place}
    write(args.out / "raw" / record_name(args.table, args.case, args.method, args.seed), record)
    return 0 if record["status"] == "ok" else 1


if __name__ == "__main__":
    raise SystemExit(main())
