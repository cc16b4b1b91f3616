"""What lies in the data and was computed on all cells, test cells included: features, components, scaling, graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scvcell._containers import Matrix
from scvcell.risk.leakage._base import CHECKS, Case, Finding
from scvcell.score import dense

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData

    from scvcell._types import Array, Rows

CENTRED = 1e-4
"""Mean of a component over cells, in its standard deviations, up to which it was centred on just these cells."""
SAME_MEAN = 1e-3
"""Largest difference of stored means from those of some cells, over the largest mean, up to which they are these."""
ALL, TRAIN = ("all", "all cells"), ("train", "training cells", "training", "none", "unused")
"""What may be declared of a step."""
STEPS = {
    "feature selection": "features chosen on all cells",
    "pca": "components of all cells",
    "scaling": "scaled on all cells",
    "graph": "graph of all cells",
}
"""Steps of which users may declare on which cells they were done, and the name of their check."""
MOST_CELLS = 20_000


@CHECKS.register("derived")
def derived(case: Case) -> Iterator[Finding]:
    """Whether anything that predictors may read was computed with the test cells.

    Notes
    -----
    Components and scaled values have mean 0 over just those cells on which they were computed; so do the means that
    scanpy keeps of variable features. A graph shows its edges.
    """
    found: dict[str, list[tuple[str, str]]] = {step: [] for step in STEPS}
    for name, adata, rows in _tables(case):
        train, test = (rows[part][rows[part] >= 0] for part in (case.train, case.test))
        seen = np.sort(np.concatenate([train, rows[case.calibration][rows[case.calibration] >= 0]]))
        if not len(train) or not len(test):
            continue
        for step, shown in (
            ("feature selection", _features(adata, seen, test)),
            ("pca", _components(adata, seen, test)),
            ("scaling", _scaled(adata, seen, test)),
            ("graph", _graph(adata, train, test)),
        ):
            found[step] += [(known, f"{name}{where}") for where, known in shown]
    for step, evidence in found.items():
        yield from _told(case, step, evidence)


def _told(case: Case, step: str, evidence: list[tuple[str, str]]) -> Iterator[Finding]:
    """What data show of a step, beside what is declared of it."""
    check, declared = STEPS[step], case.declared.get(step)
    said = None if declared is None or isinstance(declared, Mapping) else str(declared).casefold()
    shown = [where for known, where in evidence if known == "all"]
    open_ = [where for known, where in evidence if known == "?"]
    if shown and said in TRAIN:
        says = f"{', '.join(shown)}: computed on all cells, test cells included, though {said!r} is declared."
        yield Finding(check, float(len(shown)), 0.0, "red", says)
    elif said in ALL:
        says = f"It is declared that {step} used all cells, test cells included."
        yield Finding(check, float(max(len(shown), 1)), 0.0, "red", says)
    elif shown:
        says = (
            f"{', '.join(shown)}: computed on all cells, test cells included. A predictor that reads it has seen them."
        )
        yield Finding(check, float(len(shown)), 0.0, "amber", says)
    elif open_ and said not in TRAIN:
        says = (
            f"{', '.join(open_)}: it cannot be ruled out that test cells were used. "
            f"declared={{{step!r}: 'train'}} says that they were not."
        )
        yield Finding(check, float("nan"), 0.0, "amber", says)
    else:
        says = "Declared as done without test cells." if said in TRAIN else "Nothing in the data shows such a step."
        yield Finding(check, 0.0, 0.0, "green", says)


def _tables(case: Case) -> Iterator[tuple[str, Any, Rows]]:
    """Every AnnData, what its places are called, and the row of each cell; the container itself first."""
    several = len(case.seen.modalities) > 1
    if several:
        source = case.seen.source
        at = np.arange(case.seen.n_obs) if case.seen.positions is None else case.seen.positions
        yield "", source, at
    for name, adata in case.seen.modalities.items():
        yield f"{name}: " if several else "", adata, case.seen.rows[name]


def _features(adata: Any, seen: Rows, test: Rows) -> Iterator[tuple[str, str]]:
    """Marks of variable features, and whether the means beside them are those of all cells."""
    var = adata.var
    marked = [name for name in ("highly_variable", "highly_variable_rank") if name in var]
    if hasattr(adata, "mod") or (not marked and "hvg" not in adata.uns):
        return
    where = f"var[{marked[0]!r}]" if marked else "uns['hvg']"
    if "means" in var and adata.n_obs <= MOST_CELLS:
        stored = pd.to_numeric(var["means"], errors="coerce").to_numpy(float)
        yield where, _whose(stored, adata, seen, test)
        return
    yield where, "?"


def _whose(stored: Array, adata: AnnData, seen: Rows, test: Rows) -> str:
    """Of which cells stored means of features are: ``"all"``, ``"train"``, or ``"?"``."""
    off = {}
    for which, cells in (("train", seen), ("all", np.sort(np.concatenate([seen, test])))):
        error = [np.nanmax(np.abs(m - stored)) / max(np.nanmax(np.abs(stored)), 1e-12) for m in _means(adata, cells)]
        off[which] = min([e for e in error if np.isfinite(e)], default=np.inf)
    best = min(off, key=lambda which: off[which])
    return best if off[best] <= SAME_MEAN and off[best] < 0.1 * max(off.values()) else "?"


def _means(adata: AnnData, cells: Rows) -> list[Array]:
    """Means of features in every form in which they may have been stored, ``(features,)`` each."""
    matrix = Matrix(adata.X)
    depth = np.concatenate([np.asarray(block.sum(1)).ravel() for block in matrix.chunks(cells)])
    usual, total, done = float(np.median(depth)), np.zeros((8, adata.n_vars)), 0
    with np.errstate(over="ignore", invalid="ignore"):
        for block in matrix.chunks(cells, 2000):
            x = dense(block)
            per = x / np.maximum(depth[done : done + len(x), None], 1)
            done += len(x)
            forms = (x, np.expm1(x), per * 1e4, per * usual)
            total += [part for form in forms for part in (form.sum(0), np.log1p(np.maximum(form, -0.999)).sum(0))]
        mean = total / max(len(cells), 1)
        return [*mean, *np.log1p(np.maximum(mean[::2], -0.999))]


def _components(adata: Any, seen: Rows, test: Rows) -> Iterator[tuple[str, str]]:
    """Embeddings that both sides have, and whether they are centred on all cells."""
    for key in getattr(adata, "obsm", {}):
        if (
            not str(key)
            .casefold()
            .removeprefix("x_")
            .startswith(("pca", "lsi", "svd", "nmf", "scvi", "umap", "harmony"))
        ):
            continue
        values = np.asarray(adata.obsm[key])
        if values.ndim != 2 or not np.issubdtype(values.dtype, np.number):
            continue
        yield f"obsm[{key!r}]", _centred_on(values.astype(float), seen, test)


def _scaled(adata: Any, seen: Rows, test: Rows) -> Iterator[tuple[str, str]]:
    """Values of mean 0, and over which cells it is 0."""
    if hasattr(adata, "mod"):
        return
    for where, x in (("X", adata.X), *((f"layers[{key!r}]", adata.layers[key]) for key in adata.layers)):
        if not isinstance(x, np.ndarray) or not len(x) or x[: min(len(x), 200)].min() >= 0:
            continue
        yield where, _centred_on(x.astype(float), seen, test)


def _centred_on(values: Array, seen: Rows, test: Rows) -> str:
    """Over which cells values have mean 0: ``"all"``, ``"train"`` (training and calibration), or ``"?"``."""
    every = np.sort(np.concatenate([seen, test]))
    off = {}
    for which, cells in (("all", every), ("train", seen)):
        part = values[cells]
        part = part[np.isfinite(part).all(1)]
        off[which] = float(np.median(np.abs(part.mean(0)) / np.maximum(part.std(0), 1e-12))) if len(part) else np.inf
    best = min(off, key=lambda which: off[which])
    return best if off[best] <= CENTRED else "?"


def _graph(adata: Any, train: Rows, test: Rows) -> Iterator[tuple[str, str]]:
    """Graphs of cells with edges between the sides."""
    for key in getattr(adata, "obsp", {}):
        graph = adata.obsp[key]
        edges = sp.csr_matrix(graph)[test][:, train]
        if edges.count_nonzero() > 0:
            yield f"obsp[{key!r}]", "all"
