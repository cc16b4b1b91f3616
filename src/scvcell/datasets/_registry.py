"""The table of data sets, and where their files lie on this machine."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pooch
import yaml

from scvcell._registry import near_miss

DATA_DIR = "SCVCELL_DATA_DIR"
"""Environment variable with the folder that holds data sets."""

logger = logging.getLogger("scvcell")


@dataclass(frozen=True)
class Entry:
    """One data set of ``registry.yaml``; the comments at the head of that file say what each field means."""

    name: str
    files: dict[str, str]
    embedded: bool
    download: str | None
    url: str
    builder: str
    cells: int
    features: dict[str, int]
    description: str
    licence: str
    citation: str
    folder: str | None = None

    def places(self, file: str) -> list[Path]:
        """Where `file` is looked for, in this order."""
        if self.embedded:
            return [Path(str(files("scvcell.datasets"))) / "data" / file]
        folder = self.folder or self.name
        roots = [Path(value).expanduser()] if (value := os.environ.get(DATA_DIR)) else []
        roots.append(Path(pooch.os_cache("scvcell")))
        return [place for root in roots for place in (root / folder / file, root / file)]

    def available(self) -> bool:
        """Whether every file lies on this machine."""
        return all(any(place.is_file() for place in self.places(file)) for file in self.files)


@cache
def entries() -> dict[str, Entry]:
    """Every registered data set by name."""
    table = yaml.safe_load(files("scvcell.datasets").joinpath("registry.yaml").read_text(encoding="utf-8"))
    return {name: Entry(name=name, **fields) for name, fields in table.items()}


def entry(name: str) -> Entry:
    """One registered data set.

    Raises
    ------
    KeyError
        If no data set has this name; the message proposes the nearest one.
    """
    known = entries()
    if name not in known:
        raise KeyError(f"No data set is called {name!r}.{near_miss(name, known)} Registered: {', '.join(known)}.")
    return known[name]


def registry() -> pd.DataFrame:
    """Table of every data set that the package can load.

    Returns
    -------
    One row per data set, indexed by name: ``description``, ``cells``, ``features`` (per modality), ``available``
    (whether its files lie on this machine), ``licence``, ``citation``, ``url`` of the public source, ``builder``
    (how the files were made from it), ``file`` and ``sha256`` (comma-separated where there are several).

    Examples
    --------
    >>> scvcell.datasets.registry()[["cells", "features", "available"]]
    """
    rows = [
        {
            "name": item.name,
            "description": item.description,
            "cells": item.cells,
            "features": ", ".join(f"{modality} {n:,}" for modality, n in item.features.items()),
            "available": item.available(),
            "licence": item.licence,
            "citation": item.citation,
            "url": item.url,
            "builder": item.builder,
            "file": ", ".join(item.files),
            "sha256": ", ".join(item.files.values()),
        }
        for item in entries().values()
    ]
    return pd.DataFrame(rows).set_index("name")


def citation(name: str) -> str:
    """Publication to cite for a data set.

    Parameters
    ----------
    name
        Name of the data set, an index entry of `registry`.

    Raises
    ------
    KeyError
        If no data set has this name.
    """
    return entry(name).citation


def locate(name: str, file: str) -> Path:
    """Path of a registered file on this machine, its SHA-256 checked.

    Raises
    ------
    FileNotFoundError
        If the file lies nowhere; the message says where it was looked for, what its public source is, and how to
        point the package to a copy.
    ValueError
        If a file of this name was found, but with other content.
    """
    item = entry(name)
    places = item.places(file)
    path = next((place for place in places if place.is_file()), None)
    if path is None and item.download is not None:
        cache_dir = pooch.os_cache("scvcell")
        return Path(pooch.retrieve(item.download, known_hash=f"sha256:{item.files[file]}", fname=file, path=cache_dir))
    if path is None:
        looked = "\n".join(f"  {place}" for place in places)
        state = repr(value) if (value := os.environ.get(DATA_DIR)) else "not set"
        raise FileNotFoundError(
            f"Data set {name!r} needs the file {file!r}, which was not found. Looked for:\n{looked}\n"
            f"({DATA_DIR} is {state}.)\n"
            f"It derives from {item.url}\n"
            f"({item.builder})\n"
            f"If you have the file, set {DATA_DIR} to the folder that holds it, e.g. "
            f"`export {DATA_DIR}=/path/to/data`, or `os.environ[{DATA_DIR!r}] = '/path/to/data'` in Python. "
            "`scvcell.datasets.pbmc_mosaic()` and `scvcell.datasets.simulate()` need no file."
        )
    found = pooch.file_hash(str(path), alg="sha256")
    if found != item.files[file]:
        raise ValueError(
            f"{path} is not the registered file of data set {name!r}: expected SHA-256 {item.files[file]}, "
            f"found {found}. It may be incomplete or another version; replace it, or set {DATA_DIR} elsewhere."
        )
    logger.debug("Data set %s: reading %s", name, path)
    return path
