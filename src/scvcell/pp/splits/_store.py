"""A split on disk: one JSON file, whose labels are written once and as numbers after that."""

from __future__ import annotations

import json
import os
import uuid
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell.errors import Damaged

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT, KIND = 1, "scvcell split"
"""Version of the layout, raised when an older package could not read it; and what tells such a file from others."""
FIELDS = ("train", "calibration", "test")
NO_PART = "-"


def save(
    path: str | Path, parts: Mapping[str, pd.Index], unit: pd.Series, why: pd.Series, about: Mapping[str, Any]
) -> Path:
    """Write a split; what was there before is replaced at once or not at all.

    Parameters
    ----------
    path
        File.
    parts
        Names of the cells of each part.
    unit
        Unit of each of these cells.
    why
        Of each cell of the data, why it is where it is.
    about
        Further fields, plain values.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {target.parent} to write {target.name} to. Make it first.")
    names = why.index
    part = np.full(len(names), NO_PART, dtype=object)
    for number, field in enumerate(FIELDS):
        part[names.isin(parts[field])] = str(number)
    own = bool((unit.to_numpy() == unit.index.to_numpy()).all())
    found = {
        "kind": KIND,
        "format": FORMAT,
        "scvcell": version("scvcell"),
        **about,
        "names": list(names),
        "part": "".join(part),
        "unit": None if own else _coded(unit.reindex(names)),
        "why": _coded(why),
    }
    scratch = target.with_name(f".{target.name}-{uuid.uuid4().hex[:16]}")
    try:
        with scratch.open("w", encoding="utf-8") as file:
            json.dump(found, file)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)
    return target


def load(path: str | Path) -> dict[str, Any]:
    """Fields of a split that was saved."""
    found = _read(path)
    try:
        names = pd.Index(found["names"], dtype=object)
        part = np.array(list(found["part"]), dtype=object)
        cells: dict[str, Any] = {field: names[part == str(number)] for number, field in enumerate(FIELDS)}
        kept = part != NO_PART
        unit = None if found["unit"] is None else _labels(found["unit"], names)[kept]
        why = _labels(found["why"], names)
        return {**cells, **{key: found[key] for key in ("reason", "how", "data")}, "unit": unit, "why": why}
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise Damaged(_damaged(path)) from error


def check_whole(path: str | Path, digest: str) -> None:
    """Refuse a file whose parts are not those that were saved."""
    if _read(path)["digest"] != digest:
        raise Damaged(_damaged(path))


def _read(path: str | Path) -> dict[str, Any]:
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"There is no file {file}. split.save({str(file)!r}) writes one.")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Damaged(_damaged(path)) from error
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise ValueError(f"{file} is no split that scvcell saved.")
    if found.get("format", 0) > FORMAT:
        raise ValueError(
            f"{file} was saved by scvcell {found.get('scvcell')} in a newer layout (format {found['format']}, this "
            f"version reads up to {FORMAT}). Update scvcell to load it."
        )
    return found


def _damaged(path: str | Path) -> str:
    return f"{path} is not what was saved. Make the split again (its arguments and seed are in split.how), and save it."


def _coded(text: pd.Series) -> dict[str, Any]:
    code, values = pd.factorize(text, sort=True)
    return {"labels": list(values), "code": code.tolist()}


def _labels(coded: dict[str, Any], names: pd.Index) -> pd.Series:
    return pd.Series(np.array([*coded["labels"], None], dtype=object)[coded["code"]], names, dtype=object)
