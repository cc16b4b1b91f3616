"""Run a benchmark table: ``python benchmarks/run.py TABLE [--methods ...] [--seeds ...] [--data DIR] [--out DIR]``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks import methods, report, tables  # noqa: E402
from benchmarks.environment import thread_environment  # noqa: E402
from benchmarks.worker import header, record_name, write  # noqa: E402

logger = logging.getLogger("benchmarks")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("table", choices=tables.NAMES)
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help=f"of {', '.join(methods.available())}")
    parser.add_argument("--cases", nargs="+", metavar="CASE", help="parts of the table; all by default")
    parser.add_argument("--seeds", nargs="+", type=int, help="the table's own by default")
    parser.add_argument("--data", type=Path, help="folder of the data sets; SCVCELL_DATA_DIR by default")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the results")
    parser.add_argument("--threads", type=int, default=1, help="threads of every method")
    parser.add_argument("--epochs", type=int, help="override every method's epochs: smoke tests only")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the children (peers' environment)")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--keep", dest="fresh", action="store_false", help="reuse raw records that exist (default)")
    again.add_argument("--fresh", dest="fresh", action="store_true", help="run again what was asked for")
    again.add_argument("--report-only", action="store_true", help="run nothing, write the tables from raw records")
    parser.set_defaults(fresh=False)
    args = parser.parse_args(argv)
    folder = args.data or os.environ.get("SCVCELL_DATA_DIR")
    if folder is None:
        parser.error("say where the data sets are: --data DIR, or set SCVCELL_DATA_DIR")
    args.data = Path(folder).resolve()
    return args


def jobs(args: argparse.Namespace) -> list[tuple[str, str, int]]:
    """List (case, method, seed) to run, in the order of the table."""
    table = tables.load(args.table)
    unknown = set(args.methods or ()) - set(methods.available()) | set(args.cases or ()) - set(table.CASES)
    if unknown:
        raise SystemExit(
            f"unknown: {', '.join(sorted(unknown))}; methods {', '.join(methods.available())}; "
            f"cases {', '.join(table.CASES)}"
        )
    skip = getattr(table, "SKIP", {})
    return [
        (case, method, seed)
        for case in args.cases or table.CASES
        for method in args.methods or table.METHODS
        for seed in args.seeds or table.SEEDS
        if (method, case) not in skip
    ]


def check_data(args: argparse.Namespace, todo: list[tuple[str, str, int]]) -> None:
    """Stop before any work if a data set is not where it should be."""
    files = tables.load(args.table).FILES
    wanted = {files[case] for case, _, _ in todo if case in files}
    missing = sorted(name for name in wanted if not (args.data / name).is_file())
    if missing:
        raise SystemExit(f"not found in {args.data}: {', '.join(missing)}; give --data DIR or set SCVCELL_DATA_DIR")


def usable(path: Path, epochs: int | None) -> bool:
    """Whether a raw record stands for this run already: it succeeded, with the same number of epochs asked for."""
    if not path.is_file():
        return False
    record = json.loads(path.read_text(encoding="utf-8"))
    return record["status"] == "ok" and record.get("epochs_override") == epochs


def run_one(args: argparse.Namespace, case: str, method: str, seed: int) -> None:
    """Run one job in its own interpreter; a child that dies without a record gets one."""
    path = args.out / "raw" / record_name(args.table, case, method, seed)
    path.unlink(missing_ok=True)
    command = [
        args.python,
        "-W",
        "ignore",
        "-m",
        "benchmarks.worker",
        args.table,
        case,
        method,
        str(seed),
        "--data",
        str(args.data),
        "--out",
        str(args.out.resolve()),
        "--threads",
        str(args.threads),
    ]
    command += ["--epochs", str(args.epochs)] if args.epochs else []
    done = subprocess.run(command, cwd=ROOT, env=thread_environment(args.threads), check=False)
    if not path.is_file():
        child = argparse.Namespace(**{**vars(args), "case": case, "method": method, "seed": seed})
        message = f"process ended with code {done.returncode} (a negative code is a signal; -9: out of memory?)"
        write(path, {**header(child), "status": "failed", "message": message})


def command_line(args: argparse.Namespace) -> str:
    """Build the command as one would type it, without this machine's paths."""
    parts = ["python benchmarks/run.py", args.table]
    for name in ("methods", "cases", "seeds"):
        value = getattr(args, name)
        parts += [f"--{name}", *map(str, value)] if value else []
    parts += [f"--threads {args.threads}"] + ([f"--epochs {args.epochs}"] if args.epochs else [])
    return " ".join(parts)


def main(argv: list[str] | None = None) -> int:
    """Run the jobs one after the other, then write the table and show it."""
    args = parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    table = tables.load(args.table)
    todo = [] if args.report_only else jobs(args)
    check_data(args, todo)
    for number, (case, method, seed) in enumerate(todo, 1):
        name = record_name(args.table, case, method, seed)
        if not args.fresh and usable(args.out / "raw" / name, args.epochs):
            logger.info("%d of %d: %s kept", number, len(todo), name)
            continue
        if hasattr(table, "prepare"):
            table.prepare(case, args)
        logger.info("%d of %d: %s", number, len(todo), name)
        run_one(args, case, method, seed)
    text = report.write_table(args.table, args.out, command_line(args))
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
