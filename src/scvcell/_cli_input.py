"""What the command line is given: files, tables and layers; checked before anything slow is imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from pandas import DataFrame

    from scvcell._containers import Container, Tables, View

SUFFIXES, FOLDER, SIGNATURE = (".h5ad", ".h5mu"), ".zarr", b"\x89HDF\r\n\x1a\n"


def is_corpus(given: list[str]) -> bool:
    """Whether the input is more than one file: several, a pattern, a folder, or a zarr folder of one table."""
    path = Path(given[0])
    pattern = any(sign in given[0] for sign in "*?[") and not path.exists()
    return len(given) > 1 or pattern or (path.is_dir() and not (path / "tables").is_dir())


def check_corpus(args: argparse.Namespace) -> None:
    """Refuse files that are not there, and options that are not for a corpus."""
    from scvcell._containers import find

    find(args.input)
    if args.table_key:
        raise ValueError("--table-key is for the .zarr folder of a SpatialData, not for a corpus of files.")
    if (args.output / "latent.zarr").exists() and not args.overwrite:
        raise FileExistsError(f"{args.output / 'latent.zarr'} exists already. Give another folder, or --overwrite.")


def check_input(args: argparse.Namespace) -> None:
    """Refuse what is no file, or no folder, that can be read."""
    folder = args.input.suffix == FOLDER
    if not (args.input.is_dir() if folder else args.input.is_file()):
        raise FileNotFoundError(f"No {'folder' if folder else 'file'} {args.input}.")
    if not folder:
        _check_file(args)


def _check_file(args: argparse.Namespace) -> None:
    if args.input.suffix not in SUFFIXES:
        raise ValueError(f"{args.input.name} is neither .h5mu nor .h5ad, nor the .zarr folder of a SpatialData.")
    if args.table_key:
        raise ValueError(
            f"--table-key is for the .zarr folder of a SpatialData; {args.input.name} is one table or more."
        )
    with args.input.open("rb") as file:
        # at the start or, in an .h5mu file, after a block of the user's
        if SIGNATURE not in file.read(4096):
            raise ValueError(f"{args.input} cannot be read: it is not an HDF5 file.")


def read(file: Path, *, backed: bool = True) -> Container:
    """Open a file; what it lacks is told by `fit`."""
    import anndata
    import mudata

    from scvcell._calm import calm

    if file.suffix == FOLDER:
        from scvcell._containers import read_spatial

        with calm():
            return read_spatial(str(file))
    read = {".h5ad": anndata.read_h5ad, ".h5mu": mudata.read_h5mu}[file.suffix]
    try:
        with calm():
            return read(file, backed="r") if backed else read(file)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error}.") from error


def tables_of(given: list[str]) -> Tables:
    """Tables of a SpatialData: one, several, or one by modality."""
    named = ["=" in item for item in given]
    if any(named) and not all(named):
        raise ValueError(f"Give --table-key NAME=TABLE for each modality, or tables without names, not both: {given}.")
    if any(named):
        return dict(item.split("=", 1) for item in given)
    return given[0] if len(given) == 1 else given or None


def layers_of(given: list[str], seen: View) -> dict[str, str]:
    """Layer by modality; a layer without a modality is that of all modalities that have it."""
    modalities = seen.modalities
    layers: dict[str, str] = {}
    for item in given:
        name, _, layer = item.rpartition("=")
        having = [name] if name else [m for m, table in modalities.items() if layer in table.layers]
        if not having:
            known = sorted({key for table in modalities.values() for key in table.layers if key is not None})
            raise ValueError(f"No modality has a layer {layer!r}. Layers: {', '.join(known) or 'none'}.")
        layers |= dict.fromkeys(having, layer)
    return layers


def by_name(given: list[str], option: str) -> dict[str, str] | str | None:
    """Column or layer by modality, or one for all that have it."""
    alone = [item for item in given if "=" not in item]
    if alone and len(given) > 1:
        raise ValueError(f"Give one {option}, or NAME=... of each modality, not {alone[0]!r} among several.")
    return alone[0] if alone else dict(item.split("=", 1) for item in given) or None


def latent(seen: View) -> DataFrame:
    """State of every cell, one column per dimension, and its uncertainty."""
    import pandas as pd

    from scvcell import _keys

    state = pd.DataFrame(seen.array(_keys.LATENT), index=seen.obs_names)
    return state.assign(**{_keys.UNCERTAINTY: seen.column(_keys.UNCERTAINTY).to_numpy()})
