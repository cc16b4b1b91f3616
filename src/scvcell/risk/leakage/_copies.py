"""Cells that are in training and test at once: the same counts, or nearly the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from scvcell._containers import fault
from scvcell.risk.leakage._base import CHECKS, Case, Finding, share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from scvcell._containers import Matrix
    from scvcell._types import Array, Rows

FEWEST_VALUES = 20
"""Values above 0 of a cell that must agree before two cells count as identical."""
FEWEST_FEATURES, FEWEST_CELLS = 50, 40
"""Features and training cells below which near-duplicates cannot be told from neighbours."""
NEAR = 0.6
"""A cell is a near-duplicate if its nearest training cell is nearer than this share of the distance to its tenth."""
NEIGHBOURS, CANDIDATES = 10, 30
DIRECTIONS = 128
"""Random directions in which candidates are looked for."""
MOST_TEST, MOST_TRAIN = 2_000, 200_000
"""Cells of each side that are looked at, at most."""
HARMLESS, FEW = 0.01, 2
"""Share, and number, of near-duplicates up to which they may be rare cells with few neighbours."""
BLOCK = 100


@CHECKS.register("copies")
def copies(case: Case) -> Iterator[Finding]:
    """Share of test cells whose counts a training cell has, exactly or with noise.

    Notes
    -----
    A copy with noise is much nearer to its original than to all other cells, whatever its type and batch are: the
    distance to the nearest training cell is compared with that to the tenth. Cells are compared as ``log1p`` of counts
    per 10,000, of length 1. Candidates are found in random directions (Johnson-Lindenstrauss), and compared exactly.
    """
    modality = max(case.seen.modalities, key=lambda m: case.seen.modalities[m].n_vars)
    rows = case.seen.rows[modality]
    train, test = (part[rows[part] >= 0] for part in (case.train, case.test))
    if not len(train) or not len(test):
        return
    rng = case.rng(1)
    matrix = case.seen.matrix(modality)
    train, some = _some(rng, train, MOST_TRAIN), _some(rng, test, MOST_TEST)
    of_train, of_test = (_hashes(matrix, rows[part]) for part in (train, test))
    known = set(of_train[of_train != 0].tolist())
    same = np.array([each != 0 and each in known for each in of_test.tolist()])
    value = share(same)
    says = f"{value:.1%} of the test cells have exactly the {modality} of a training cell"
    says = f"{says}, e.g. {case.seen.obs_names[test[np.argmax(same)]]!r}." if value else "No test cell is a copy."
    yield Finding("identical cells", value, 0.0, "red" if value else "green", says, "cell")
    if matrix.shape[1] < FEWEST_FEATURES or len(train) < FEWEST_CELLS:
        return
    ratio = nearness(matrix, rows[train], rows[some], rng)
    value = share(ratio < NEAR)
    says = (
        f"{value:.1%} of {len(some):,} test cells have a training cell that is nearer than {NEAR:.0%} of the distance "
        f"to the {NEIGHBOURS}th"
    )
    limit = max(HARMLESS, FEW / len(some))
    over = value > limit
    says += ": they look like copies with noise." if over else ", as rare cells have." if value else "."
    yield Finding("near-duplicate cells", value, limit, "red" if over else "green", says, "cell")


def nearness(matrix: Matrix, train: Rows, test: Rows, rng: np.random.Generator) -> Array:
    """Distance of test cells to the nearest training cell over that to the tenth, ``(test cells,)``."""
    counts = not fault(matrix.sample(), counts=True)
    way = rng.standard_normal((matrix.shape[1], DIRECTIONS)).astype(np.float32) / np.sqrt(DIRECTIONS)
    there = np.concatenate([_prepared(block, counts) @ way for block in matrix.chunks(train)])
    length = (there**2).sum(1)
    out = []
    for start in range(0, len(test), BLOCK):
        cells = _prepared(matrix.rows(test[start : start + BLOCK]), counts)
        distance = length - 2 * (cells @ way) @ there.T
        k = min(CANDIDATES, len(train) - 1)
        near = np.argpartition(distance, k - 1, axis=1)[:, :k]
        every, back = np.unique(near, return_inverse=True)
        others = _prepared(matrix.rows(train[every]), counts)
        alike = others[back.ravel()].multiply(cells[np.repeat(np.arange(cells.shape[0]), k)]).sum(1)
        gap = np.sort(np.sqrt(np.maximum(2 - 2 * np.asarray(alike).reshape(-1, k), 0)), axis=1)
        tenth = gap[:, min(NEIGHBOURS, k) - 1]
        out.append(np.where(tenth > 0, gap[:, 0] / np.maximum(tenth, 1e-12), 1.0))
    return np.concatenate(out)


def _some(rng: np.random.Generator, cells: Rows, most: int) -> Rows:
    return cells if len(cells) <= most else np.sort(rng.choice(cells, most, replace=False))


def _prepared(block: Any, counts: bool) -> sp.csr_matrix:
    """Cells as sparse rows of length 1."""
    x = sp.csr_matrix(block, dtype=np.float32)
    if counts:
        depth = np.asarray(x.sum(1)).ravel()
        x = sp.csr_matrix(sp.diags((1e4 / np.maximum(depth, 1)).astype(np.float32)) @ x)
        np.log1p(x.data, out=x.data)
    size = np.sqrt(np.asarray(x.multiply(x).sum(1)).ravel())
    return sp.csr_matrix(sp.diags((1 / np.maximum(size, 1e-12)).astype(np.float32)) @ x)


def _hashes(matrix: Matrix, rows: Rows) -> NDArray[np.uint64]:
    """A number for the values of each row, whatever the storage; 0 for cells with too few values to tell."""
    return np.concatenate([np.zeros(0, np.uint64), *(_hash(block) for block in matrix.chunks(rows))])


def _hash(block: Any) -> NDArray[np.uint64]:
    x = sp.csr_matrix(block, dtype=np.float32, copy=True)
    x.eliminate_zeros()
    bits = x.data.view(np.uint32).astype(np.uint64) << np.uint64(32)
    mixed = _mix(bits | x.indices.astype(np.uint64))
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    n = np.diff(x.indptr)
    return np.where(n >= FEWEST_VALUES, total[x.indptr[1:]] - total[x.indptr[:-1]], np.uint64(0))


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread bits over all 64 (splitmix64)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return x ^ (x >> np.uint64(31))
