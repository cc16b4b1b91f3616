"""Features of two modalities that have one name: ids, symbols, and the tags that antibodies carry."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

logger = logging.getLogger("scvcell")

SYMBOLS = (
    *("gene_symbols", "gene_symbol", "symbol", "symbols", "gene_name", "gene_names", "feature_name", "feature_names"),
    *("gene_short_name", "hgnc_symbol", "mgi_symbol", "SYMBOL", "name"),
)
"""Columns of var in which symbols of genes are looked for, in this order."""
IDS = ("gene_ids", "gene_id", "ensembl_id", "ensembl", "feature_id")
"""Columns of var in which Ensembl ids are looked for."""
ENSEMBL = re.compile(r"^(ENS[A-Z]*[GTP]\d{11})(\.\d+)?$", re.IGNORECASE)
TAG = re.compile(
    r"[-_ .]?TotalSeq.*$|[-_ .](Total[-_]?[ABC]|TS[ABC]|ADT|AB|PROT|PROTEIN|Antibody|[ABC]\d{4})$|_\d$", re.IGNORECASE
)
GENOME = re.compile(r"^(GRC[a-z]+\d+|hg\d{2}|mm\d{1,2}|rn\d|dm\d|danRer\d+|refdata[^_]*)_+", re.IGNORECASE)
SEVERAL = 3
"""Features that may share one plain name, such as two antibodies of one protein."""


def symbols(var: pd.DataFrame) -> str | None:
    """Column of var that holds symbols of genes."""
    return next((column for column in SYMBOLS if column in var), None)


def are_ids(names: pd.Index) -> bool:
    """Whether half or more of the names are Ensembl ids."""
    return len(names) > 0 and bool(np.mean([bool(ENSEMBL.match(part)) for part in map(_first, names)]) >= 0.5)


def _first(name: Any) -> str:
    return str(name).split("|")[0].strip()


def _names(var: pd.DataFrame) -> pd.DataFrame:
    """Every name that a feature goes by, and its position: parts of its name, its id, and its symbol beside an id."""
    rows = [(part.strip(), i) for i, name in enumerate(var.index) for part in str(name).split("|") if part.strip()]
    columns = [column for column in IDS if column in var and are_ids(pd.Index(var[column].dropna()))]
    if are_ids(var.index):
        columns += filter(None, [symbols(var)])
    for column in columns:
        held, known = var[column].astype(str).to_numpy(), var[column].notna().to_numpy()
        rows += [(name, i) for i, name in enumerate(held) if known[i] and name]
    frame = pd.DataFrame(rows, columns=["name", "at"])
    frame["name"] = [ENSEMBL.sub(lambda found: found[1].upper(), name) for name in frame["name"]]
    return frame


def _untagged(name: str) -> str:
    return TAG.sub("", GENOME.sub("", name))


STAGES: tuple[tuple[Callable[[str], str], bool], ...] = (
    (str, False),
    (_untagged, False),
    (_untagged, True),
)
"""What is compared and whether without case; a later stage joins only features that an earlier one did not."""


def same_name(
    first: pd.DataFrame, second: pd.DataFrame, table: pd.DataFrame | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Positions in both var frames of the features that have one name, or belong together by `table`."""
    left, right = _names(first).rename(columns={"at": "a"}), _names(second).rename(columns={"at": "b"})
    found = pd.DataFrame({"a": [], "b": []}, dtype=np.int64)
    for plain, caseless in STAGES:
        one, other = (
            _unambiguous(side[~side[end].isin(found[end])], end, plain, caseless)
            for side, end in ((left, "a"), (right, "b"))
        )
        found = pd.concat([found, one.merge(other, on="name")[["a", "b"]]]).drop_duplicates()
    if table is not None:
        found = pd.concat([found, _given(first.index, second.index, table)]).drop_duplicates()
    found = found.sort_values(["a", "b"])
    return found["a"].to_numpy(), found["b"].to_numpy()


def _unambiguous(names: pd.DataFrame, end: str, plain: Callable[[str], str], caseless: bool) -> pd.DataFrame:
    """Plain names that stand for few features; without case only those that are written in one way."""
    written = [plain(name) for name in names["name"]]
    names = names.assign(name=[name.upper() for name in written] if caseless else written, written=written)
    names = names.drop_duplicates()
    ways = names.groupby("name")["written"].transform("nunique") == 1
    few = names.groupby("name")[end].transform("size") <= SEVERAL
    return names[ways & few][["name", end]]


def _given(first: pd.Index, second: pd.Index, table: pd.DataFrame) -> pd.DataFrame:
    absent = [c for c in ("feature_a", "feature_b") if c not in table]
    if absent:
        raise ValueError(f"table needs the columns 'feature_a' and 'feature_b'; {absent} are missing.")
    ends = {"a": first, "b": second}
    given = pd.DataFrame({e: names.get_indexer(pd.Index(table[f"feature_{e}"])) for e, names in ends.items()})
    known = (given >= 0).all(axis=1)
    if not known.all():
        logger.warning("%d of %d rows of table= name unknown features; they are ignored.", (~known).sum(), len(known))
    return given[known]


def unlinked(both: dict[str, pd.DataFrame]) -> str:
    """What an error says where no name of two modalities is the same."""
    lines = [f"{name!r} has {[str(n) for n in var.index[:3]]}" for name, var in both.items()]
    for name, var in both.items():
        if are_ids(var.index) and symbols(var) is None:
            lines.append(
                f"those of {name!r} are Ensembl ids, and var has no column of symbols such as 'gene_symbols' "
                f"(it has {list(map(str, var.columns)) or 'none'})"
            )
    return f" {'; '.join(lines)}. Give table=, a frame of the names that belong together (feature_a, feature_b)."
