"""Table *mapping*: where in a section cells come from whose places are hidden.

*xenium*: two windows of 1.2 mm of a breast tumour; a random third of the cells is hidden, or those of every second
block of 200 um, as on a checkerboard. *starmap*: three sections of mouse cortex, each brought to one frame by its
ranges; a random third of all cells is hidden, or one section after the other. What is hidden differs between seeds, but
for sections. Models are fitted on located cells alone. Where a section is hidden, methods see of which of the two other
sections each located cell is. Errors are distances between the point and the true place (um; starmap: units of its
images). *NLL*: of the true place, by squares of which 576 make the frame, so that a map that says nothing has 6.36. The
90 % region is the method's own; *area* is its share of the method's places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anndata
import mudata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.spatial import KDTree

from benchmarks.task import Task
from scvcell.score import map_nll, map_rank, place_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.task import Output

XENIUM = ("xenium_left", "xenium_right")
STARMAP = ("starmap", "starmap_next1", "starmap_next2", "starmap_next3")
CASES = (*XENIUM, *(f"{case}_blocks" for case in XENIUM), *STARMAP)
FILES = {
    case: "starmap_mpfc/starmap_mpfc.h5ad" if case in STARMAP else "breast_xenium_visium/xenium.h5ad" for case in CASES
}
SEEDS = (0, 1, 2)
METHODS = ("place_baselines", "tangram", "cellmapper", "moscot", "scvcell")
REFERENCE = "place_baselines"
COLUMNS = {
    "median": "median error",
    "mean": "mean error",
    "nll": "NLL",
    "coverage": "90 % cover",
    "area": "area",
    "radius_coverage": "radius cover",
    "trusted": "trusted",
}
DIGITS = {"median": 1, "mean": 1}
UM = 100 / 16.88
"""Micrometres in a unit of the section's coordinates: its spots are 100 um apart."""
WINDOW, APART, BLOCK = 1200.0, 650.0, 200.0
SQUARES = 576


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """The task of seed 0, and all cells with their places, which only `evaluate` may see."""
    full = anndata.read_h5ad(data / FILES[case])
    full.X = sp.csr_matrix(full.X).astype(np.float32)
    xy = np.asarray(full.obsm["spatial"], dtype=float)
    if case in STARMAP:
        kind, part = (full.obs[key].astype(str).to_numpy() for key in ("cell_type", "section"))
        extent = np.ptp(xy, 0)
        for name in sorted(set(part)):
            here = part == name
            xy[here] = (xy[here] - xy[here].min(0)) / np.ptp(xy[here], 0) * extent
        kept = np.ones(len(xy), bool)
    else:
        kind, part = full.obs["cell_type_marker"].astype(str).to_numpy(), np.full(len(xy), "s")
        xy = xy * UM
        middle = (xy.min(0) + xy.max(0)) / 2 + [APART if "right" in case else -APART, 0]
        xy = xy - middle + WINDOW / 2
        kept = ((xy > 0) & (xy < WINDOW)).all(1)
    obs = pd.DataFrame({"batch": "s", "kind": kind, "section": part}, index=full.obs_names)
    cells = anndata.AnnData(full.X[kept], obs=obs[kept], var=full.var[[]].copy(), obsm={"spatial": xy[kept]})
    truth = {"cells": cells, "case": case, "epochs": epochs}
    return hide(truth, 0), truth


def hide(truth: dict[str, Any], seed: int) -> Task:
    """Located cells, and cells without places."""
    cells, case = truth["cells"], truth["case"]
    xy, part = cells.obsm["spatial"], cells.obs["section"].to_numpy()
    if case in STARMAP and case != "starmap":
        hidden = part == sorted(set(part))[int(case[-1]) - 1]
    elif case.endswith("blocks"):
        hidden = np.floor(xy / BLOCK).astype(int).sum(1) % 2 == seed % 2
    else:
        hidden = np.random.default_rng(seed).random(len(xy)) < 1 / 3
    obs = cells.obs[["batch", "kind"]]
    seen = cells.obs if "next" in case else obs
    located = anndata.AnnData(cells.X[~hidden], obs=seen[~hidden].copy(), var=cells.var, obsm={"spatial": xy[~hidden]})
    loose = anndata.AnnData(cells.X[hidden], obs=obs[hidden].copy(), var=cells.var)
    mdata = mudata.MuData({"rna": located, "cells": loose})
    return Task(mdata=mdata, source="rna", target="cells", query=loose.obs_names, epochs=truth["epochs"])


def evaluate(
    run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int
) -> tuple[Output, dict[str, Any]]:
    """Hide, run, score."""
    task = hide(truth, seed)
    out = run(task, seed)
    return out, score(task, truth, out)


def score(task: Task, truth: dict[str, Any], out: Output) -> dict[str, Any]:
    """Distances of points from the true places; probability of these, and whether regions hold them."""
    cells = truth["cells"][task.query]
    xy, frame = cells.obsm["spatial"], truth["cells"].obsm["spatial"]
    scores = {name: _errors(points, task, xy) for name, points in {"": out.points, **out.alternatives}.items()}
    if out.position is not None:
        scores[""] |= _maps(out, task, xy, float(np.prod(np.ptp(frame, 0)) / SQUARES))
    if out.cells is not None:
        radius = out.cells.loc[task.query, "radius"].to_numpy()
        error = place_error(out.points.loc[task.query].to_numpy(), xy)
        scores[""] |= {
            "radius_coverage": float((error <= radius).mean()),
            "trusted": float(out.cells.loc[task.query, "trusted"].mean()),
        }
    return scores.pop("") | {"alternatives": scores}


def _errors(points: pd.DataFrame, task: Task, xy: np.ndarray) -> dict[str, float]:
    error = place_error(points.loc[task.query].to_numpy(), xy)
    return {"median": float(np.median(error)), "mean": float(error.mean())}


def _maps(out: Output, task: Task, xy: np.ndarray, square: float) -> dict[str, float]:
    """Negative log of the probability of a square at the true place; coverage and area of regions."""
    found = out.position
    p = found.probability.loc[task.query].to_numpy()
    places, n = found.places.to_numpy(), len(found.places)
    rest = np.maximum(1 - p.sum(1, keepdims=True), 0)
    empty = np.maximum((p == 0).sum(1, keepdims=True), 1)
    p = np.where(p > 0, p, rest / empty)  # what a map leaves out is spread over the places that it does not name
    at = KDTree(places).query(xy)[1]
    inside = map_rank(p, at) < found.region.loc[task.query].to_numpy() - 0.5 / n
    return {
        "nll": float(map_nll(p, at).mean() - np.log(square / found.width ** places.shape[1])),
        "coverage": float(inside.mean()),
        "area": float(found.region.loc[task.query].mean()),
    }
