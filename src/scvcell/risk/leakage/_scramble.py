"""The scramble test: what is held out becomes noise, the predictor is fitted anew, and its answers may not change."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from scvcell._containers import view
from scvcell.model import TrainConfig
from scvcell.perturb import read_design
from scvcell.pp import Split
from scvcell.risk._adapters import ModelPredictor, keys_read
from scvcell.risk._predictor import Effect, Effects, Place, States, Translate, Values
from scvcell.risk.leakage._base import CHECKS, Case, Finding
from scvcell.risk.leakage._fitted import split_of
from scvcell.score import as_array

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scvcell._containers import Container
    from scvcell._types import Array, Rows
    from scvcell.perturb import PerturbationKeys
    from scvcell.risk._predictor import Prediction, Predictor, Question
    from scvcell.risk.axes import Axis

EPOCHS = 3
"""Epochs of a fit of a cell-state latent for this test."""
MOST = {"train": 1000, "calibration": 200, "test": 300}
"""Cells of each part that are used, at most."""
ASKED, ACTIONS = 50, 3
"""Cells of a question, and actions that are asked about, at most."""


def scramble(
    make: Predictor | Callable[[], Predictor],
    data: Container,
    split: Split,
    axis: Axis | None = None,
    *,
    perturbation: PerturbationKeys | None = None,
    taken_out: bool = False,
    seed: int = 0,
) -> float:
    """How far answers about training cells move when the test cells become noise: 0 for an honest predictor.

    Values of test cells are replaced, feature by feature, by those of randomly drawn training cells. The predictor is
    fitted twice, with the true test cells and with the noise, and asked the same questions. Nothing that it says of
    training cells may depend on test cells. It need not be known how the predictor works.

    Parameters
    ----------
    make
        A predictor that was not fitted, which is copied, or a function without arguments that makes one. If it holds
        `data` itself, its copy holds the changed data.
    data
        All data. At most 1,500 cells are used.
    split
        The split.
    axis
        If given, the predictor sees what the axis leaves, and is asked those questions of the axis that are not about
        test cells. By default it sees all cells, and has to leave out ``split.test`` by itself.
    perturbation
        Columns that say what was done to each cell; questions about effects are asked then.
    taken_out
        Whether test cells are taken out of what the predictor sees. Only one that holds them elsewhere fails then.
    seed
        Seed of the fits and of the noise.

    Returns
    -------
    The largest absolute difference between two answers; infinite where only one of them has a value, NaN where no
    question was answered.

    Raises
    ------
    ValueError
        If the data lack cells of the split.
    """
    split.check(data)
    seen, keys = view(data), keys_read(make) or perturbation
    small, rng = _fewer(seen.source, split, keys, seed), np.random.default_rng([seed, 11])
    some = _within(split, view(small).obs_names)
    noisy = with_noise(small, some, rng)
    questions = _of_axis(axis, small, some) if axis is not None else _questions(small, some, perturbation)
    answers = []
    for version in (small, noisy):
        predictor = _fresh(make, data, version)
        shown = version if axis is None else axis.hide(version, some)
        if taken_out:
            names = view(shown).obs_names
            shown = view(shown).source[names[~names.isin(some.test)]].copy()
        predictor.fit(shown, some, seed)
        answers.append([predictor.predict(question) for question in questions])
    gaps = [_gap(*pair) for pair in zip(*answers, strict=True)]
    known = [gap for gap in gaps if gap is not None]
    return max(known) if known else float("nan")


@CHECKS.register("scramble")
def check(case: Case) -> Iterator[Finding]:
    """The scramble test of each predictor that can be fitted anew."""
    name = "scramble"
    for predictor in case.predictors:
        if split_of(predictor) is not None or not hasattr(predictor, "fit"):
            continue  # the record of the fit says more, see `fitted`
        try:
            moved = scramble(predictor, case.data, case.split, perturbation=case.keys, seed=case.seed)
            held = 0.0
            if moved > 0:
                held = scramble(
                    predictor, case.data, case.split, perturbation=case.keys, taken_out=True, seed=case.seed
                )
        except Exception as error:
            says = f"{predictor.name} could not be fitted to a part of the data: {type(error).__name__}: {error}"
            yield Finding(name, float("nan"), 0.0, "amber", says, "scramble", predictor.name)
            continue
        if np.isnan(moved):
            says = f"{predictor.name} answers no question about training cells, so that it cannot be tested."
            yield Finding(name, moved, 0.0, "amber", says, "scramble", predictor.name)
        elif moved == 0:
            says = f"What {predictor.name} says of training cells does not change at all when test cells become noise."
            yield Finding(name, 0.0, 0.0, "green", says, "scramble", predictor.name)
        elif held == 0:
            says = (
                f"{predictor.name} learns from all cells that it is given. Its answers do not depend on test cells "
                "where these are taken out beforehand; do that, or do not let it see them."
            )
            yield Finding(name, moved, 0.0, "amber", says, "scramble", predictor.name)
        else:
            says = (
                f"{predictor.name} has seen the test cells: what it says of training cells changes by {held:.2g} when "
                "they become noise, although they were taken out."
            )
            yield Finding(name, held, 0.0, "red", says, "scramble", predictor.name)


def with_noise(data: Any, split: Split, rng: np.random.Generator) -> Any:
    """A copy of the data in which values of test cells are drawn from those of training cells, each by itself.

    Parameters
    ----------
    data
        AnnData or MuData in memory.
    split
        Which cells.
    rng
        Source of the noise.
    """
    out = data.copy()
    for adata in out.mod.values() if hasattr(out, "mod") else [out]:
        names = adata.obs_names
        train, test = (np.flatnonzero(names.isin(part)) for part in (split.train, split.test))
        if not len(train) or not len(test):
            continue
        pick = rng.integers(len(train), size=(len(test), adata.n_vars))
        if adata.X is not None:
            adata.X = _drawn(adata.X, train, test, pick)
        for key in list(adata.layers):
            adata.layers[key] = _drawn(adata.layers[key], train, test, pick)
        if adata.raw is not None:
            raw = adata.raw.to_adata()
            raw.X = _drawn(raw.X, train, test, rng.integers(len(train), size=(len(test), raw.n_vars)))
            adata.raw = raw
        _mix_obsm(adata, train[pick[:, 0]], test)
    if hasattr(out, "mod"):
        names = out.obs_names
        train, test = (np.flatnonzero(names.isin(part)) for part in (split.train, split.test))
        _mix_obsm(out, rng.choice(train, len(test)), test)
    return out


def _mix_obsm(holder: Any, source: Rows, test: Rows) -> None:
    """Give test cells the embeddings of other cells."""
    own = set(getattr(holder, "mod", ()))
    for key in [key for key in holder.obsm if key not in own]:
        values = holder.obsm[key].copy()
        if isinstance(values, np.ndarray):
            values[test] = values[source]
            holder.obsm[key] = values


def _drawn(x: Any, train: Rows, test: Rows, pick: Rows) -> Any:
    """The matrix with the values of test rows taken, feature by feature, from the training rows that were picked."""
    noise = as_array(x[train])[pick, np.arange(pick.shape[1])]
    if not sp.issparse(x):
        out = np.array(x)
        out[test] = noise
        return out
    rest = np.setdiff1d(np.arange(x.shape[0]), test)
    stacked = sp.vstack([x[rest], sp.csr_matrix(noise.astype(x.dtype))], format="csr")
    return type(x)(stacked[np.argsort(np.concatenate([rest, test]))])


def _fresh(make: Any, data: Any, version: Any) -> Predictor:
    """A predictor of its own, which holds the version wherever it held the data, and is soon fitted."""
    made: Any = make
    if hasattr(make, "predict") and _is_object(make):
        made = copy.deepcopy(make, _copies(make) | {id(data): version})
    else:
        made = make()
    if isinstance(made, ModelPredictor):
        train = TrainConfig.of(made.options.get("train"), None)
        brief = {"train": replace(train, max_epochs=EPOCHS, progress=False)}
        made = replace(made, options={k: v for k, v in made.options.items() if k != "max_epochs"} | brief)
    return made  # type: ignore[no-any-return]


def _is_object(make: Any) -> bool:
    return not isinstance(make, type)


def _copies(make: Any) -> dict[int, Any]:
    """Copies of the data that a predictor holds, by identity: `copy.deepcopy` cannot take a MuData."""
    held: list[Any] = []
    for value in getattr(make, "__dict__", {}).values():
        held += value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else [value]
    return {id(each): each.copy() for each in held if isinstance(each, AnnData | MuData)}


def _fewer(source: Any, split: Split, keys: PerturbationKeys | None, seed: int) -> Any:
    """Some cells of each part, as many as can be of each action in each context that has controls to be seen."""
    seen, rng = view(source), np.random.default_rng([seed, 12])
    group = np.zeros(seen.n_obs, np.int64)
    if keys is not None:
        design = read_design(keys, seen.column, complete=False)
        group = design.code * (len(design.contexts) + 1) + design.context
    chosen = []
    for part, most in MOST.items():
        at = rng.permutation(seen.obs_names.get_indexer(getattr(split, part)))
        rank = pd.Series(group[at]).groupby(group[at]).cumcount().to_numpy()
        chosen.append(at[np.argsort(rank, kind="stable")[:most]])
    rows = np.sort(np.concatenate(chosen))
    if keys is not None:
        seen_controls = rows[design.control[rows] & ~np.isin(seen.obs_names[rows], split.test)]
        rows = rows[~design.treated[rows] | np.isin(design.context[rows], design.context[seen_controls])]
    out = source[rows]
    return (out.to_memory() if getattr(out, "isbacked", False) else out).copy()


def _within(split: Split, names: pd.Index) -> Split:
    """The split of some of its cells."""
    train, calibration, test = (part[part.isin(names)] for part in (split.train, split.calibration, split.test))
    return Split(train, calibration, test, split.reason, split.how)


def _questions(data: Any, split: Split, keys: PerturbationKeys | None) -> list[Question]:
    """Questions about training cells alone."""
    seen = view(data)
    train = {m: seen.obs_names[seen.present(m)].intersection(split.train)[:ASKED] for m in seen.modalities}
    asked: list[Question] = [Place({m: cells for m, cells in train.items() if len(cells)})]
    asked += [Translate(a, b, cells) for a, cells in train.items() for b in train if a != b and len(cells)]
    if keys is None:
        return asked
    design = read_design(keys, seen.column, complete=False)
    at = seen.obs_names.get_indexer(split.train)
    codes, number = np.unique(design.code[at[design.treated[at]]], return_counts=True)
    controls = seen.obs_names[at[design.control[at]]][:ASKED]
    if len(controls):
        first = next(iter(seen.modalities))
        most = codes[np.argsort(-number, kind="stable")][:ACTIONS]
        asked += [Effect(design.actions[code], controls, first) for code in most]
    return asked


def _of_axis(axis: Axis, data: Any, split: Split) -> list[Question]:
    """Questions of an axis whose cells are all of those that may be seen."""
    seen = view(data).obs_names.difference(split.test)
    found = []
    for test in axis.stress_tests(data, split):
        cells = test.question.cells
        named = cells.values() if isinstance(cells, Mapping) else [cells]
        if all(pd.Index(names).isin(seen).all() for names in named):
            found.append(test.question)
    return found


def _gap(one: Prediction | None, other: Prediction | None) -> float | None:
    """Largest difference of two answers; None where there is neither."""
    if one is None and other is None:
        return None
    if type(one) is not type(other):
        return float("inf")
    gaps = [_difference(a, b) for a, b in zip(_frames(one), _frames(other), strict=True)]
    return max(gaps, default=None)


def _frames(answer: Any) -> list[pd.DataFrame]:
    """Tables of an answer."""
    if isinstance(answer, States):
        return list(answer.of.values())
    if isinstance(answer, Values):
        return [frame for frame in (answer.point, answer.lower, answer.upper) if frame is not None]
    frames = [answer.change, answer.after] if isinstance(answer, Effects) else []
    return [frame for frame in frames if frame is not None]


def _difference(one: pd.DataFrame, other: pd.DataFrame) -> float:
    a: Array = one.select_dtypes("number").to_numpy(float)
    b: Array = other.reindex(index=one.index, columns=one.columns).select_dtypes("number").to_numpy(float)
    if a.shape != b.shape or (np.isfinite(a) != np.isfinite(b)).any():
        return float("inf")
    with np.errstate(invalid="ignore"):
        return float(np.max(np.abs(a - b), initial=0.0, where=np.isfinite(a)))
