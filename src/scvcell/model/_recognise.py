"""What a modality is: its operator by its name; in errors, by its name and its values, or all choices."""

from __future__ import annotations

import inspect
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scvcell._containers import SINGLE, SPLIT, Matrix, fault, feature_types
from scvcell._registry import folded
from scvcell.measure import MEASUREMENTS

if TYPE_CHECKING:
    from anndata import AnnData

GUIDES = ("grna", "guide", "guides", "guidecapture", "sgrna", "crispr", "crisprguidecapture", "guidecounts")
TAGS = (
    *("hto", "htos", "hashtag", "hashtags", "hashing", "cellhashing", "hashtagoligo", "hashtagoligos"),
    *("multiplexingcapture", "cmo", "lmo", "multiseq"),
)
"""Folded names of features that say what was done to a cell, or of which sample it is: no assay of its state."""
POSITION = re.compile(r"^(chr)?[\w.]+[:\-_]\d+[-_]\d+$", re.IGNORECASE)
FEW, MANY = 300, 1000
"""Features up to which whole numbers look like a panel of antibodies, and from which they look like genes."""


def annotation(name: str) -> str:
    """``"guides"`` or ``"sample tags"`` if features of this name are annotation of cells, else ``""``."""
    key = folded(name)
    return "guides" if key in GUIDES else "sample tags" if key in TAGS else ""


def proteins_in_obsm(adata: AnnData) -> list[str]:
    """Keys of ``.obsm`` that hold counts of proteins, by their names and values."""
    return [
        key for key in adata.obsm if MEASUREMENTS.infer(key.removeprefix("X_")) == "protein" and whole(adata.obsm[key])
    ]


def whole(values: Any) -> bool:
    """Whether values are counts: non-negative whole numbers, and not zeros alone."""
    dense = values.to_numpy() if isinstance(values, pd.DataFrame) else values
    held = np.asarray(dense.data if sp.issparse(dense) else dense)
    return held.size > 0 and not fault(held, counts=True) and bool((held > 0).any())


def check_kinds(adata: AnnData, name: str) -> None:
    """Refuse a table whose ``var["feature_types"]`` names features of several kinds.

    Raises
    ------
    ValueError
        With the line that makes a modality of each.
    """
    kinds = feature_types(adata)
    if len({annotation(kind) or MEASUREMENTS.infer(kind) for kind in kinds} - {None}) > 1:
        what = "The AnnData" if name == SINGLE else f"Modality {name!r}"
        raise ValueError(f"{what} holds features of several kinds, by var['feature_types']: {kinds}. {SPLIT}.")


def unrecognised(name: str, adata: AnnData, layer: str | None) -> str:
    """What to tell of a modality whose name says nothing: the operator it looks like, and all there are."""
    kind = annotation(name)
    if kind:
        then = (
            "Assign each cell its guides in an obs column, which fit takes as perturbation="
            "scvcell.PerturbationKeys(column, control=...)"
            if kind == "guides"
            else "Assign each cell its sample in an obs column, which fit takes as batch_key="
        )
        return (
            f"Modality {name!r} holds {kind}: annotation of cells, no assay of their state. {then}, and leave the "
            f"modality out: `del mdata.mod[{name!r}]`."
        )
    guess, why = _guess(name, adata, layer)
    like = f" By {why} it is most like {guess!r}." if guess else ""
    choices = "; ".join(f"{op!r}: {_purpose(op)}" for op in MEASUREMENTS)
    return (
        f"Modality {name!r} is not recognised. Say what measures it: measure={{{name!r}: {guess or '...'!r}}}.{like} "
        f"Operators, see scvcell.measure.show(): {choices}."
    )


def _purpose(operator: str) -> str:
    """First sentence of what an operator says of itself."""
    return (inspect.getdoc(MEASUREMENTS[operator]) or "").split("\n")[0].rstrip(".")


def _guess(name: str, adata: AnnData, layer: str | None) -> tuple[str, str]:
    """Operator that a modality is most like and why; empty where name and values do not tell."""
    held = adata.X if layer is None else adata.layers.get(layer)
    if held is None:
        return "", ""
    block: Any = Matrix(held).sample()
    wrong = fault(block, counts=True)
    by_name = _by_name(name)
    if by_name and not (wrong and MEASUREMENTS[by_name].count_data):
        return by_name, "its name"
    if wrong == "negative":
        return "profile", "its values (negative ones)"
    if wrong:
        return "", ""
    names = adata.var_names.astype(str)[:200]
    if np.mean([bool(POSITION.match(each)) for each in names]) > 0.5:
        return "atac", f"its features (positions such as {names[0]!r})"
    values = block.toarray() if sp.issparse(block) else block
    told = f"its values (whole numbers of {adata.n_vars} features)"
    if adata.n_vars <= FEW and (values > 0).mean() > 0.3:
        return "protein", told
    return ("counts", told) if adata.n_vars >= MANY else ("", "")


def _by_name(name: str) -> str:
    """Operator of which the name has a part, or nearly its name."""
    parts = [folded(part) for part in re.split(r"[\s_\-.:]+", name)]
    found = {op for part in parts if part and (op := MEASUREMENTS.infer(part))}
    if len(found) == 1:
        return found.pop()
    known = {folded(alias): op for op in MEASUREMENTS for alias in (op, *MEASUREMENTS.aliases(op))}
    near = get_close_matches(folded(name), list(known), n=1, cutoff=0.8)
    return known[near[0]] if near and not found else ""
