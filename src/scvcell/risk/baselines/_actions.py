"""Simple predictions of an action, which a model has to beat; all on log-normalised values."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import PCA

from scvcell._registry import Registry
from scvcell.risk._log_counts import column_means, small_blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from scvcell._types import Array, Mask, Rows
    from scvcell.perturb import Action, Design
    from scvcell.risk._log_counts import LogCounts

COMPONENTS = 50
MOST_CELLS = 50_000
"""Cells by which components are chosen, at most: every second, third, ... of them."""
RIDGE = 1.0


class Baseline(Protocol):
    """Predicts the values that control cells would have after an action."""

    def __call__(self, values: Table, design: Design, allowed: Mask, action: Action, cells: Rows) -> Array:
        """Predict.

        Parameters
        ----------
        values
            Values of all cells on a log scale, ``(all cells, features)``. Rows are made when they are asked for:
            ``values[rows]`` is an array. All of them may need more memory than there is.
        design
            What was done to which of them.
        allowed
            Which of them may be learned from, ``(all cells,)``.
        action
            What is done.
        cells
            Positions of the control cells to start from, ``(cells,)``.

        Returns
        -------
        Values of these cells after the action, ``(cells, features)``, in an array of their own: it is written over.
        """


type Table = Array | LogCounts
"""Values of all cells: an array, or one whose rows are made when they are asked for."""

BASELINES: Registry[Baseline] = Registry("baseline", "scvcell.baselines")
"""Every simple prediction of an action by name."""


_LAST: dict[str, tuple[weakref.ref[Any], weakref.ref[Any], Mask, Any]] = {}
"""What was learned last; one question after another asks for the same."""


def _learned[T](name: str, learn: Callable[[Table, Design, Mask], T], values: Table, design: Design, seen: Mask) -> T:
    """What is learned of the cells that may be learned from, once."""
    if name in _LAST:
        table, of, mask, found = _LAST[name]
        if table() is values and of() is design and np.array_equal(mask, seen):
            return found  # type: ignore[no-any-return]
    found = learn(values, design, seen)
    _LAST[name] = weakref.ref(values), weakref.ref(design), seen.copy(), found
    return found


def deltas(values: Table, design: Design, allowed: Mask) -> list[tuple[Action, int, Array]]:
    """Action, position of the context, and mean difference from its controls, for every action in every context."""
    return _learned("differences", _deltas, values, design, allowed)


def _deltas(values: Table, design: Design, allowed: Mask) -> list[tuple[Action, int, Array]]:
    found: list[tuple[Action, int, Array]] = []
    for k in range(len(design.contexts)):
        here = allowed & (design.context == k)
        controls = here & design.control
        if not controls.any():
            continue
        base = column_means(values, controls)
        found += [
            (design.actions[code], k, column_means(values, here & (design.code == code)) - base)
            for code in np.unique(design.code[here & design.treated])
        ]
    return found


def _moved(values: Table, cells: Rows, by: Array) -> Array:
    """Values of some cells, all moved alike; they are held once."""
    out = np.asarray(values[cells], float)
    out += by
    return out


@BASELINES.register("control")
def control(values: Table, design: Design, allowed: Mask, action: Action, cells: Rows) -> Array:
    """Nothing changes."""
    return values[cells]


@BASELINES.register("mean")
def mean(values: Table, design: Design, allowed: Mask, action: Action, cells: Rows) -> Array:
    """The mean difference over all actions and contexts."""
    return _moved(values, cells, np.mean([delta for _, _, delta in deltas(values, design, allowed)], 0))


@BASELINES.register("matching_mean")
def matching_mean(values: Table, design: Design, allowed: Mask, action: Action, cells: Rows) -> Array:
    """The mean difference over actions that share a target with this one; over all where none does."""
    every = deltas(values, design, allowed)
    like = [delta for other, _, delta in every if set(other.targets) & set(action.targets)]
    return _moved(values, cells, np.mean(like or [delta for _, _, delta in every], 0))


@BASELINES.register("additive")
def additive(values: Table, design: Design, allowed: Mask, action: Action, cells: Rows) -> Array:
    """The sum over targets of the mean difference of each alone; for a target never given alone, of all actions."""
    every = deltas(values, design, allowed)
    average = np.mean([delta for _, _, delta in every], 0)
    total = np.zeros(values.shape[1])
    for target in action.targets:
        alone = [delta for other, _, delta in every if other.targets == (target,)]
        total += np.mean(alone, 0) if alone else average
    return _moved(values, cells, total)


@BASELINES.register("linear")
def linear(values: Table, design: Design, allowed: Mask, action: Action, cells: Rows) -> Array:
    """Ridge regression of the differences on which targets were given.

    References
    ----------
    Ahlmann-Eltze, Huber and Anders, Deep-learning-based gene perturbation effect prediction does not yet outperform
    simple linear baselines, Nat Methods 2025.
    """
    every = deltas(values, design, allowed)
    given = np.array([[target in other.targets for target in design.targets] for other, _, _ in every], float)
    average = np.mean([delta for _, _, delta in every], 0)
    y = np.array([delta for _, _, delta in every]) - average
    weights = np.linalg.solve(given.T @ given + RIDGE * np.eye(given.shape[1]), given.T @ y)
    asked = np.array([target in action.targets for target in design.targets], float)
    return _moved(values, cells, average + asked @ weights)


def _components(values: Table, design: Design, allowed: Mask) -> PCA:
    """Principal components of the cells that may be learned from; few values are not zero, so that few are held."""
    rows, n = np.flatnonzero(allowed), values.shape[1]
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_CELLS)).astype(int)]
    if (most := min(len(rows), n)) <= COMPONENTS:
        return PCA(most, svd_solver="full").fit(values[rows])
    parts = small_blocks(len(rows), n)
    size = sum(np.count_nonzero(values[rows[block]]) for block in parts)
    data, indices, ends = np.empty(size), np.empty(size, np.int64 if size >= 2**31 else np.int32), [0]
    for block in parts:
        part = sp.csr_matrix(values[rows[block]])
        at = slice(ends[-1], ends[-1] + part.nnz)
        data[at], indices[at] = part.data, part.indices
        ends += (ends[-1] + part.indptr[1:]).tolist()
    seen = sp.csr_matrix((data, indices, np.array(ends, indices.dtype)), shape=(len(rows), n))
    return PCA(COMPONENTS, svd_solver="arpack", random_state=0, copy=False).fit(seen)


@BASELINES.register("arithmetic")
def arithmetic(values: Table, design: Design, allowed: Mask, action: Action, cells: Rows) -> Array:
    """The mean difference of the same action among 50 principal components, contexts weighed alike.

    References
    ----------
    Lotfollahi, Wolf and Theis, scGen predicts single-cell perturbation responses, Nat Methods 2019 (vector arithmetic).
    """
    pca = _learned("components", _components, values, design, allowed)
    every = deltas(values, design, allowed)
    same = [delta for other, _, delta in every if other == action] or [delta for _, _, delta in every]
    shift, out = np.mean(same, 0) @ pca.components_.T, np.empty((len(cells), values.shape[1]))
    for block in small_blocks(*out.shape):
        out[block] = pca.inverse_transform(pca.transform(values[cells[block]]) + shift)
    return out


@BASELINES.register("replicate")
def replicate(values: Table, design: Design, allowed: Mask, action: Action, cells: Rows) -> Array:
    """Cells that were measured after this very action in the same context: what another sample of the truth says.

    Allow half of them, and ask about the other half.

    Raises
    ------
    ValueError
        If none of those are allowed.
    """
    same = allowed & np.isin(design.code, [i for i, other in enumerate(design.actions) if other == action])
    out = np.empty((len(cells), values.shape[1]))
    for k in np.unique(design.context[cells]):
        measured, asked = np.flatnonzero(same & (design.context == k)), design.context[cells] == k
        if not len(measured):
            raise ValueError(
                f"No cell that may be learned from was measured after {str(action)!r} in the context "
                f"{design.contexts[k]!r}; a replicate is another sample of what is asked for: allow half of its cells."
            )
        out[asked] = values[measured[np.linspace(0, len(measured), asked.sum(), endpoint=False).astype(int)]]
    return out
