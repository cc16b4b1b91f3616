"""Command line: ``scvcell demo``, ``scvcell fit IN.h5mu OUT_DIR``, ``scvcell info``."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path


def main(argv: list[str] | None = None) -> int:
    """Entry point of the ``scvcell`` command; returns the exit status."""
    args = _parser().parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("scvcell").setLevel(logging.INFO)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    try:
        return int(args.run(args))
    except (ValueError, TypeError, KeyError, OSError) as error:
        message = error.args[0] if isinstance(error, KeyError) else error
        sys.stderr.write(f"scvcell: {message}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("scvcell: interrupted before there was a model to save.\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scvcell", description="AI virtual cells: one cell-state latent from any assays."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="fit the embedded PBMC mosaic, score it on hidden pairing, draw figures")
    demo.add_argument("--out", type=Path, default=Path("scvcell-demo"), help="folder of the results")
    demo.add_argument("--seed", type=int, default=0)
    demo.set_defaults(run=_demo)
    fit = commands.add_parser("fit", help="fit a model to an .h5mu or .h5ad file")
    fit.add_argument("input", type=Path, metavar="IN.h5mu")
    fit.add_argument("output", type=Path, metavar="OUT_DIR", help="gets model/ and latent.csv")
    fit.add_argument("--batch-key", help="obs column of the batch")
    fit.add_argument("--measure", action="append", default=[], metavar="NAME=OPERATOR", help="operator of a modality")
    fit.add_argument("--max-epochs", type=int)
    fit.add_argument("--seed", type=int, default=0)
    fit.add_argument("--overwrite", action="store_true", help="replace a model that is there")
    fit.set_defaults(run=_fit)
    info = commands.add_parser("info", help="versions and registered operators")
    info.set_defaults(run=_info)
    return parser


def _demo(args: argparse.Namespace) -> int:
    from scvcell._demo import run

    sys.stdout.write(run(args.out, seed=args.seed) + "\n")
    return 0


def _fit(args: argparse.Namespace) -> int:
    import anndata
    import mudata
    import pandas as pd

    import scvcell
    from scvcell.model import Diverged

    if not args.input.is_file():
        raise FileNotFoundError(f"No file {args.input}.")
    target = args.output / "model"
    if target.exists() and not args.overwrite:
        raise FileExistsError(f"{target} exists already. Give another folder, or --overwrite.")
    unreadable = [m for m in args.measure if "=" not in m]
    if unreadable:
        raise ValueError(f"--measure takes NAME=OPERATOR, not {unreadable[0]!r}.")
    readers = {".h5ad": anndata.read_h5ad, ".h5mu": mudata.read_h5mu}
    if args.input.suffix not in readers:
        raise ValueError(f"{args.input.name} is neither .h5mu nor .h5ad.")
    try:
        data = readers[args.input.suffix](args.input, backed="r")
    except OSError as error:
        raise ValueError(f"{args.input} cannot be read: {error}.") from error
    try:
        model = scvcell.tl.fit(
            data,
            measure=dict(m.split("=", 1) for m in args.measure),
            batch_key=args.batch_key,
            train=scvcell.TrainConfig(max_epochs=args.max_epochs),
            seed=args.seed,
        )
    except Diverged as error:
        raise ValueError(str(error)) from error
    args.output.mkdir(parents=True, exist_ok=True)
    model.save(target, overwrite=args.overwrite)
    pd.DataFrame(data.obsm["X_csl"], index=data.obs_names).to_csv(args.output / "latent.csv")
    sys.stdout.write(f"{model}\nSaved in {args.output}: model/, latent.csv\n")
    return 130 if model.interrupted else 0


def _info(args: argparse.Namespace) -> int:
    from importlib.metadata import version

    import scvcell

    for package in ("scvcell", "scvi-tools", "torch", "lightning", "anndata", "mudata", "scanpy"):
        sys.stdout.write(f"{package:<11} {version(package)}\n")
    table = scvcell.measure.show()
    sys.stdout.write("\nmeasurement operators\n")
    for name, row in table.iterrows():
        sys.stdout.write(f"  {name:<10} {row['equation']}\n{'':13}recognised as {row['recognised as']}\n")
    return 0
