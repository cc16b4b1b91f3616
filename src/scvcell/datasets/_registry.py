"""The table of data sets, and where their files lie on this machine."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pooch
import yaml

from scvcell._calm import silent
from scvcell._registry import near_miss

DATA_DIR = "SCVCELL_DATA_DIR"
"""Environment variable with the folder that holds data sets."""

logger = logging.getLogger("scvcell")


@dataclass(frozen=True)
class Source:
    """One file of a data set: where it is downloaded from, and its SHA-256 where it is known."""

    url: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Entry:
    """One data set of ``registry.yaml``; the comments at the head of that file say what each field means."""

    name: str
    files: dict[str, Source]
    embedded: bool
    url: str
    builder: str
    cells: int
    features: dict[str, int]
    description: str
    licence: str
    citation: str
    content: str | None = None
    folder: str = ""

    def places(self, file: str) -> list[Path]:
        """Where `file` is looked for, in this order."""
        if self.embedded:
            return [Path(str(files("scvcell.datasets"))) / "data" / file]
        roots = [Path(value).expanduser()] if (value := os.environ.get(DATA_DIR)) else []
        roots.append(Path(pooch.os_cache("scvcell")))
        return [place for root in roots for place in (root / (self.folder or self.name) / file, root / file)]

    @property
    def checked(self) -> str:
        """By what a download is known to be right."""
        if all(source.sha256 for source in self.files.values()):
            return "file"
        return "values" if self.content else "shape"

    def available(self) -> bool:
        """Whether every file lies on this machine."""
        return all(any(place.is_file() for place in self.places(file)) for file in self.files)


@cache
def entries() -> dict[str, Entry]:
    """Every registered data set by name."""
    table = yaml.safe_load(files("scvcell.datasets").joinpath("registry.yaml").read_text(encoding="utf-8"))
    out = {}
    for name, fields in table.items():
        base = fields.pop("base", "")
        files_of = {
            file: Source(base + source["url"] if "url" in source else None, source.get("sha256"))
            for file, source in fields.pop("files").items()
        }
        out[name] = Entry(name=name, files=files_of, **fields)
    return out


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
    (whether its files lie on this machine; else they are downloaded), ``licence``, ``citation``, ``url`` of the public
    source, ``builder`` (what is made of its files), ``file``, and ``checked``, by what a download is known to be right:
    ``"file"`` (its SHA-256), ``"values"`` (the fingerprint of all counts) or ``"shape"``.

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
            "checked": item.checked,
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


def fetch(name: str) -> dict[str, Path]:
    """Paths of all files of a data set on this machine, downloaded where they are not."""
    return {file: locate(name, file) for file in entry(name).files}


def locate(name: str, file: str) -> Path:
    """Path of a file on this machine, downloaded where it is not; its SHA-256 is checked where it is known.

    Raises
    ------
    FileNotFoundError
        If the file lies nowhere and cannot be downloaded; the message says where it was looked for, where it comes
        from, and how to point the package to a copy.
    ValueError
        If there is a file of this name, but with other content.
    """
    item = entry(name)
    source = item.files[file]
    path = next((place for place in item.places(file) if place.is_file()), None)
    if path is None:
        path = _download(item, file)
    found = pooch.file_hash(str(path), alg="sha256") if source.sha256 else None
    if found != source.sha256:
        raise ValueError(
            f"{path} is not the registered file of data set {name!r}: expected SHA-256 {source.sha256}, "
            f"found {found}. It may be incomplete or another version; delete it, or set {DATA_DIR} elsewhere."
        )
    logger.debug("Data set %s: reading %s", name, path)
    return path


def _download(item: Entry, file: str) -> Path:
    """Fetch one file into the cache."""
    source, folder = item.files[file], Path(pooch.os_cache("scvcell")) / item.name
    log = pooch.get_logger()
    level = log.level
    log.setLevel(logging.ERROR)  # it prints the hash of what it was given none for
    bar = not silent() and sys.stderr.isatty()
    try:
        if source.url is None:
            raise OSError(f"it is not served anywhere as it is; it was made from {item.url}")
        fetched = pooch.retrieve(
            source.url, known_hash=None, fname=file, path=folder, downloader=pooch.HTTPDownloader(progressbar=bar)
        )
    except OSError as error:
        looked = "\n".join(f"  {place}" for place in item.places(file))
        state = repr(value) if (value := os.environ.get(DATA_DIR)) else "not set"
        raise FileNotFoundError(
            f"Data set {item.name!r} needs the file {file!r}, which could not be downloaded ({error}).\n"
            f"Its address is {source.url or 'none'}\nLooked for:\n{looked}\n({DATA_DIR} is {state}.)\n"
            f"Download it elsewhere and set {DATA_DIR} to the folder that holds it, e.g. "
            f"`export {DATA_DIR}=/path/to/data`, or `os.environ[{DATA_DIR!r}] = '/path/to/data'` in Python. "
            "`scvcell.datasets.pbmc_mosaic()` and `scvcell.datasets.simulate()` need no file."
        ) from error
    finally:
        log.setLevel(level)
    return Path(fetched)
