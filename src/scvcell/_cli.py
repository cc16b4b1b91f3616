"""Command line: ``scvcell demo``, ``scvcell fit IN OUT_DIR``, ``scvcell report MODEL DATA``, ``scvcell info``."""

from __future__ import annotations

import argparse
import logging
import shutil
import signal
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scvcell._cli_input import by_name, check_corpus, check_input, is_corpus, latent, layers_of, read, tables_of
from scvcell._folder import REPOSITORY, claim, writable
from scvcell._ranks import rank

if TYPE_CHECKING:
    from scvcell._containers import Container, Tables
    from scvcell.model import CSL


INTERRUPTED, TERMINATED = 130, 143
"""Exit status of a process that Ctrl-C or SIGTERM ended, as shells have it."""


def main(argv: list[str] | None = None) -> int:
    """Entry point of the ``scvcell`` command; returns the exit status."""
    args = _parser().parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("scvcell").setLevel(logging.INFO)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    ended: list[int] = []

    def end(number: int, frame: object) -> None:
        """SIGTERM is as Ctrl-C, once: what there is is saved."""
        ended.append(number)
        if len(ended) == 1:
            raise KeyboardInterrupt

    on_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    if on_main and before is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, end)
    try:
        status = int(args.run(args))
        return TERMINATED if ended else status
    except (ValueError, TypeError, KeyError, OSError, ImportError) as error:
        if args.debug:
            raise
        message = error.args[0] if isinstance(error, KeyError) else error
        sys.stderr.write(f"scvcell: {message}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("scvcell: interrupted before there was a model to save.\n")
        return TERMINATED if ended else INTERRUPTED
    finally:
        if on_main and before is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scvcell", description="AI virtual cells: one cell-state latent from any assays."
    )
    parser.add_argument("--version", action="version", version=f"scvcell {version('scvcell')}")
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="fit the embedded PBMC mosaic, score it on hidden pairing, draw figures")
    demo.add_argument("--out", type=Path, default=Path("scvcell-demo"), help="folder of the results")
    demo.add_argument("--seed", type=int, default=0)
    demo.set_defaults(run=_demo)
    fit = commands.add_parser("fit", help="fit a model to raw counts: a file, a SpatialData, or many files")
    fit.add_argument(
        "input",
        nargs="+",
        metavar="IN",
        help="an .h5mu or .h5ad file, the .zarr folder of a SpatialData, or a corpus: files, or a folder of them",
    )
    fit.add_argument(
        "output",
        type=Path,
        metavar="OUT_DIR",
        help="gets model/ and latent.csv (state and its uncertainty per cell), of a corpus latent.zarr",
    )
    fit.add_argument("--batch-key", help="obs column of the batch")
    for option, value, says in (
        ("--layers", "LAYER", "layer of the raw counts, of one modality or of all that have it; X by default"),
        (
            "--size-factor",
            "COLUMN",
            "obs column of the counts of a cell over all genes, where the file holds some of them",
        ),
        ("--table-key", "TABLE", "table of a SpatialData, or several of the same cells, each a modality"),
    ):
        fit.add_argument(option, action="append", default=[], metavar=f"[NAME=]{value}", help=says)
    fit.add_argument("--measure", action="append", default=[], metavar="NAME=OPERATOR", help="operator of a modality")
    fit.add_argument("--max-epochs", type=int)
    fit.add_argument("--devices", type=int, default=1, metavar="N", help="processes per machine, each with a device")
    fit.add_argument("--nodes", type=int, default=1, metavar="N", help="machines, under torchrun or srun")
    fit.add_argument("--precision", default="32", metavar="P", help="32, bf16-mixed or 16-mixed")
    fit.add_argument(
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="keeps how far the fit has come; the same command goes on from it",
    )
    fit.add_argument("--seed", type=int, default=0)
    fit.add_argument("--overwrite", action="store_true", help="replace a model that is there")
    fit.set_defaults(run=_fit)
    _report_options(commands.add_parser("report", help="write a page that says where a fitted model may be trusted"))
    info = commands.add_parser("info", help="versions and registered operators")
    info.set_defaults(run=_info)
    return parser


def _report_options(report: argparse.ArgumentParser) -> None:
    report.add_argument(
        "model", metavar="MODEL", help="folder of a fitted model, or one of the Hugging Face hub: owner/name[@revision]"
    )
    report.add_argument(
        "input", type=Path, metavar="DATA", help="file of all cells, also those that the fit did not see"
    )
    report.add_argument("-o", "--output", type=Path, default=Path("report.html"), help="file of the page")
    report.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON, too")
    report.add_argument("--split", type=Path, metavar="FILE", help="a saved split; by default the one of the model")
    report.add_argument("--axes", nargs="+", metavar="AXIS", help="what is asked; by default what the split hides")
    report.add_argument("--groups", nargs="+", default=[], metavar="COLUMN", help="obs columns of groups to compare")
    report.add_argument("--seed", type=int, default=0)
    report.add_argument("--overwrite", action="store_true", help="replace files that are there")
    report.set_defaults(run=_report, table_key=[])


def _demo(args: argparse.Namespace) -> int:
    _check_folder(args.out)
    from scvcell._demo import run

    sys.stdout.write(run(args.out, seed=args.seed) + "\n")
    return 0


def _fit(args: argparse.Namespace) -> int:
    target = args.output / "model"
    _check_fit(args, target)
    tables = tables_of(args.table_key)
    data, layers = (args.input, by_name(args.layers, "--layers")) if args.corpus else _viewed(args, tables)
    # PyTorch is imported from here on, when what can be wrong with the files and options is known to be right
    import scvcell
    from scvcell.model import Diverged

    train = scvcell.TrainConfig(
        max_epochs=args.max_epochs,
        devices=args.devices,
        nodes=args.nodes,
        precision=args.precision,
        checkpoint=args.checkpoint,
    )
    try:
        model = scvcell.tl.fit(
            data,
            table_key=tables,
            measure=dict(m.split("=", 1) for m in args.measure),
            batch_key=args.batch_key,
            layers=layers or None,
            size_factor=by_name(args.size_factor, "--size-factor"),
            train=train,
            seed=args.seed,
        )
    except Diverged as error:
        raise ValueError(str(error)) from error
    if rank():
        return INTERRUPTED if model.interrupted else 0  # of several processes the first writes
    args.output.mkdir(parents=True, exist_ok=True)
    model.save(target, overwrite=args.overwrite)
    states = _states(args, model, data, tables)
    sys.stdout.write(f"{model}\nSaved in {args.output}: model/{states and f', {states}'}\n")
    if model.interrupted:
        sys.stderr.write(f"scvcell: interrupted; the model as it was then is in {target}.\n")
    return INTERRUPTED if model.interrupted else 0


def _viewed(args: argparse.Namespace, tables: Tables) -> tuple[Container, Any]:
    """The data of one file, and the layers of the counts of its modalities."""
    from scvcell._containers import view

    data = read(args.input)
    try:
        seen = view(data, table_key=tables)
    except ValueError as error:
        raise ValueError(str(error).replace("`table_key=`", "--table-key")) from error
    layers = layers_of(args.layers, seen)
    if args.batch_key is not None:
        seen.column(args.batch_key)
    return data, layers


def _states(args: argparse.Namespace, model: CSL, data: Any, tables: Tables) -> str:
    """Write the states of all cells; the name of what is written, where there are any."""
    if args.corpus:
        import scvcell

        out = args.output / "latent.zarr"
        shutil.rmtree(out, ignore_errors=True)
        scvcell.tl.embed(data, model, out=out)
        return out.name
    from scvcell import _keys
    from scvcell._containers import view

    seen = view(data, table_key=tables)
    if seen.array(_keys.LATENT) is None:
        return ""
    latent(seen).to_csv(args.output / "latent.csv")
    return "latent.csv"


def _report(args: argparse.Namespace) -> int:
    files = [file for file in (args.output, args.json) if file is not None]
    _check_report(args, files)
    from scvcell._containers import view

    if not Path(args.model).is_dir():  # of the hub: that it cannot be fetched is known before the data are read
        from scvcell.model import CSL

        CSL.load(args.model)
    data = read(args.input, backed=False)
    for column in args.groups:
        view(data).column(column)
    # PyTorch is imported from here on, when what can be wrong with the files and options is known to be right
    import scvcell

    split = None if args.split is None else scvcell.pp.Split.load(args.split, data)
    report = scvcell.risk.evaluate(
        scvcell.CSL.load(args.model, data),
        data,
        split=split,
        axes=args.axes or "auto",
        groups=args.groups,
        config=scvcell.risk.RiskConfig(seed=args.seed),
    )
    report.to_html(args.output)
    if args.json is not None:
        args.json.write_text(report.to_json(), encoding="utf-8")
    sys.stdout.write(f"{report}\nSaved {' and '.join(map(str, files))}\n")
    return 0


def _check_report(args: argparse.Namespace, files: list[Path]) -> None:
    """Everything that can be told without reading the data."""
    if not Path(args.model).is_dir() and not REPOSITORY.fullmatch(args.model):
        raise FileNotFoundError(
            f"No folder {args.model}. Give one that `scvcell fit` or `CSL.save` wrote, or OWNER/NAME of the Hugging "
            "Face hub."
        )
    check_input(args)
    if args.split is not None and not args.split.is_file():
        raise FileNotFoundError(f"No file {args.split}. `scvcell.pp.split(...).save(path)` writes one.")
    for file in files:
        if file.is_dir():
            raise IsADirectoryError(f"{file} is a folder. Give a file.")
        if file.exists() and not args.overwrite:
            raise FileExistsError(f"{file} exists already. Give another file, or --overwrite.")
        writable(file.parent)


def _check_folder(folder: Path) -> None:
    """Refuse what no results can be written to."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file. Give a folder for the results.")
    writable(folder)


def _check_fit(args: argparse.Namespace, target: Path) -> None:
    """Everything that can be told without reading the data."""
    args.corpus = is_corpus(args.input)
    if args.corpus:
        check_corpus(args)
    else:
        args.input = Path(args.input[0])
        check_input(args)
    _check_folder(args.output)
    try:
        claim(target, overwrite=args.overwrite)
    except FileExistsError as error:
        raise FileExistsError(str(error).replace("path, or overwrite=True", "folder, or --overwrite")) from error
    for measure in args.measure:
        if "=" not in measure:
            raise ValueError(f"--measure takes NAME=OPERATOR, not {measure!r}.")
    if args.max_epochs is not None and args.max_epochs < 1:
        raise ValueError(f"max_epochs must be > 0, not {args.max_epochs}.")


def _info(args: argparse.Namespace) -> int:
    import scvcell

    for package in ("scvcell", "scvi-tools", "torch", "lightning", "anndata", "mudata", "scanpy"):
        sys.stdout.write(f"{package:<11} {version(package)}\n")
    table = scvcell.measure.show()
    sys.stdout.write("\nmeasurement operators\n")
    for name, row in table.iterrows():
        sys.stdout.write(f"  {name:<10} {row['equation']}\n{'':13}recognised as {row['recognised as']}\n")
    return 0
