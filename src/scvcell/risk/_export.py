"""Predicted and measured cells as cell-eval2 takes them, and its scores where it is installed."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from scvcell._checks import seed_of
from scvcell._containers import view
from scvcell.risk._ask import check_answer
from scvcell.risk._predictor import Effect, Effects
from scvcell.score import as_array, log_cp10k

if TYPE_CHECKING:
    from scvcell._containers import Container
    from scvcell._types import Array
    from scvcell.risk._predictor import Predictor
    from scvcell.risk._split import Split
    from scvcell.risk.axes import Axis, StressTest

logger = logging.getLogger("scvcell")

COLUMN, CONTROL = "perturbation", "control"
PAIRS = "pairs.json"
PRESET = "vcc2026"


def save_cell_eval(
    predictor: Predictor, axis: Axis, data: Container, split: Split, folder: str | Path, *, seed: int = 0
) -> Path:
    """Write what a predictor says of actions, and what was measured, as cell-eval2 and its leaderboards take them.

    Parameters
    ----------
    predictor, axis, data, split
        As in `scvcell.risk.ask`; the axis asks about effects of actions.
    folder
        Where to; it is made.
    seed
        Seed of the fit and of what is drawn.

    Returns
    -------
    The folder. For each context a folder with ``pred.h5ad`` and ``real.h5ad``, and ``pairs.json``, which lists them.
    Both files have whole counts in ``X``, the same features, the same untreated cells, which are measured ones in both
    (``obs["perturbation"]`` is ``"control"``), and as many cells of each action (its name as text) as were measured.

    Counts that a predictor gives are taken as they are. Other values become counts at depths of the untreated cells,
    drawn from the multinomial distribution. A predictor that gives effects alone has its effect put on the untreated
    cells, on the scale of ``log1p`` of counts per 10,000. Actions without an answer are left out of both files.

    Raises
    ------
    ValueError
        If the axis asks nothing about effects, or no action is answered.
    """
    folder, rng = Path(folder), np.random.default_rng(seed_of(seed))
    split.check(data)
    groups: dict[tuple[str, ...], list[StressTest]] = {}
    for test in axis.stress_tests(data, split):
        if isinstance(test.question, Effect):
            groups.setdefault(tuple(test.question.cells), []).append(test)
    if not groups:
        raise ValueError(f"The axis {axis.name!r} asks nothing about effects of actions, which cell-eval2 scores.")
    predictor.fit(axis.hide(data, split), split, seed)
    pairs = []
    for number, (controls, tests) in enumerate(groups.items()):
        pred, real = _pair(predictor, data, pd.Index(controls), tests, rng)
        if not pred:
            continue
        place = folder / str(number)
        place.mkdir(parents=True, exist_ok=True)
        for name, tables in (("pred", pred), ("real", real)):
            _stacked(tables).write_h5ad(place / f"{name}.h5ad")
        pairs.append({"folder": place.name, "actions": list(pred)[1:], "tests": [test.name for test in tests]})
    if not pairs:
        raise ValueError(f"{predictor.name} answers no question of the axis {axis.name!r}; there is nothing to write.")
    (folder / PAIRS).write_text(json.dumps(pairs, indent=1), encoding="utf-8")
    return folder


def score_cell_eval(folder: str | Path, *, preset: str = PRESET) -> pd.DataFrame:
    """Scores of cell-eval2 for what `save_cell_eval` wrote; needs the package ``cell-eval2``.

    Parameters
    ----------
    folder
        The folder.
    preset
        A preset of cell-eval2: all its settings but the ones below.

    Returns
    -------
    ``context`` (the folder), ``perturbation``, ``metric`` and ``value``, as `cell_eval2.compute_metrics` gives them.
    Tests of genes are scanpy's, whose numbers differ from those of other engines; sums run on one thread. The target of
    an action is left out of distances where it is one feature of the data.

    Raises
    ------
    ImportError
        If cell-eval2 is not installed; the message says how to install it.
    FileNotFoundError
        If `save_cell_eval` has not written to the folder.

    References
    ----------
    cell-eval2, https://github.com/ArcInstitute/cell-eval2, and the Virtual Cell Challenge 2026.
    """
    try:
        import cell_eval2
    except ImportError as error:
        raise ImportError(
            "score_cell_eval needs cell-eval2, which is not installed: pip install 'scvcell[eval]'. The files of "
            "save_cell_eval can also be scored elsewhere."
        ) from error
    folder = Path(folder)
    if not (folder / PAIRS).is_file():
        raise FileNotFoundError(f"{str(folder)!r} has no {PAIRS}. Write it with scvcell.risk.save_cell_eval.")
    frames = []
    for pair in json.loads((folder / PAIRS).read_text(encoding="utf-8")):
        place, config = folder / pair["folder"], cell_eval2.EvalConfig.from_preset(preset)
        config = replace(
            config,
            pert_col=COLUMN,
            control=CONTROL,
            device="cpu",
            num_threads=1,
            de=replace(config.de, backend="scanpy"),
            target_gene_map=_targets(place, pair["actions"]),
        )
        found = cell_eval2.compute_metrics(str(place / "pred.h5ad"), str(place / "real.h5ad"), config=config)
        frames.append(pd.DataFrame(found.to_dict(as_series=False)).assign(context=pair["folder"]))
    table = pd.concat(frames, ignore_index=True)
    return table[["context", *table.columns.drop("context")]]


def _targets(place: Path, actions: list[str]) -> dict[str, str | None]:
    """Action -> its target where that is a feature, else None: cell-eval2 then leaves nothing out."""
    import anndata

    features = set(anndata.read_h5ad(place / "real.h5ad", backed="r").var_names)
    return {"*": None} | {action: action for action in actions if action in features}


def _pair(
    predictor: Predictor, data: Container, controls: pd.Index, tests: list[StressTest], rng: np.random.Generator
) -> tuple[dict[str, AnnData], dict[str, AnnData]]:
    """Tables of control and each action that is answered, predicted and measured; empty where none is."""
    pred: dict[str, AnnData] = {}
    real: dict[str, AnnData] = {}
    for test in tests:
        question, answer = test.question, predictor.predict(test.question)
        if not isinstance(question, Effect) or answer is None:
            logger.warning("%s does not answer %s, which is left out.", predictor.name, test.name)
            continue
        check_answer(predictor.name, question, answer)
        table = view(data).modalities[question.modality]
        untreated = pd.DataFrame(as_array(table[controls].X), controls, table.var_names)
        if not pred:
            pred[CONTROL] = real[CONTROL] = _table(untreated)
        measured = table[next(iter(test.units.values()))]
        cells = counts_after(answer, untreated, measured.n_obs, rng)  # type: ignore[arg-type]
        label = str(question.action)
        pred[label] = _table(cells)
        real[label] = _table(pd.DataFrame(as_array(measured.X), measured.obs_names, table.var_names))
    return pred, real


def counts_after(answer: Effects, controls: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Whole counts of `n` cells after an action, at depths that cells have.

    Parameters
    ----------
    answer
        What a predictor says.
    controls
        Counts of the untreated cells.
    n
        Number of cells: drawn without repetition where the answer has as many.
    rng
        Draws cells, depths and counts.
    """
    if answer.after is not None and len(answer.after):
        values = answer.after.reindex(columns=controls.columns, fill_value=0.0).to_numpy(float)
    else:
        effect = answer.change["effect"].reindex(controls.columns).fillna(0.0).to_numpy(float)
        values = np.expm1(np.maximum(log_cp10k(controls.to_numpy(float)) + effect, 0.0))
    rows = np.concatenate([rng.permutation(len(values)) for _ in range(-(-n // len(values)))])[:n]
    values = np.maximum(np.nan_to_num(values[rows]), 0.0)
    whole = bool((values == np.round(values)).all())
    if not whole:
        depth = rng.choice(controls.to_numpy(float).sum(1), n)
        values = _drawn(values, depth, rng)
    return pd.DataFrame(values, [f"predicted {i}" for i in range(n)], controls.columns)


def _drawn(values: Array, depth: Array, rng: np.random.Generator) -> Array:
    """Counts of cells with these shares and depths; a cell without any share stays empty."""
    total = values.sum(1, keepdims=True)
    share = np.divide(values, total, out=np.zeros_like(values), where=total > 0)
    rest = np.maximum(1 - share.sum(1, keepdims=True), 0.0)  # where multinomial puts what rounding leaves
    size = np.where(total[:, 0] > 0, np.round(depth), 0).astype(np.int64)
    return rng.multinomial(size, np.hstack([share, rest]))[:, :-1].astype(float)


def _table(cells: pd.DataFrame) -> AnnData:
    return AnnData(
        sp.csr_matrix(cells.to_numpy(np.float32)), pd.DataFrame(index=cells.index), pd.DataFrame(index=cells.columns)
    )


def _stacked(tables: dict[str, AnnData]) -> AnnData:
    """All cells, with the action of each in a column; names are unique."""
    label = np.repeat(list(tables), [table.n_obs for table in tables.values()])
    names = [f"{name}-{i}" for table in tables.values() for i, name in enumerate(table.obs_names)]
    obs = pd.DataFrame({COLUMN: label}, index=pd.Index([f"{i}-{name}" for i, name in enumerate(names)]))
    first = next(iter(tables.values()))
    return AnnData(sp.vstack([t.X for t in tables.values()], format="csr"), obs, pd.DataFrame(index=first.var_names))
