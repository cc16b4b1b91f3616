"""Questions in a folder that anyone can answer, in any language, and the predictor that reads the answers."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np
import pandas as pd
from mudata import MuData

from scvcell import _keys
from scvcell._containers import view
from scvcell._tasks import plain
from scvcell.risk._answers import check_fit
from scvcell.risk._ask import check_answer
from scvcell.risk._cells import held_cells
from scvcell.risk._counts import counted
from scvcell.risk._predictor import QUANTILES, Effect, Effects, Place, States, Translate, Values
from scvcell.score import dense

if TYPE_CHECKING:
    from anndata import AnnData

    from scvcell._containers import Container
    from scvcell.risk._predictor import Prediction, Question
    from scvcell.risk._split import Split
    from scvcell.risk.axes import Axis

QUESTIONS = "questions.json"
FORMAT = {"scvcell": "questions", "format": 1}
STATES = "X_"
"""What names of states begin with, before the modality."""
ENDS = [_keys.LOWER, _keys.UPPER]
LEVELS = {f"quantile_{level}": level for level in QUANTILES}
"""Name of the layer, or of the column of var, of the quantiles at each level."""


def save_questions(axis: Axis, data: Container, split: Split, folder: str | Path) -> Path:
    """Write what a predictor may see and what it is asked, so that another environment or language can answer.

    Parameters
    ----------
    axis, data, split
        As in `scvcell.risk.ask`. Cells of a SpatialData are written with their places in ``obsm["spatial"]``.
    folder
        Where to; it is made, and must not hold questions yet.

    Returns
    -------
    The folder, with

    ``seen.h5mu`` or ``seen.h5ad``
        The data out of which the axis has taken the truth.
    ``questions.json``
        ``data``, the name of that file, and ``digest``, by which its content is known again; ``split``, names of the
        cells of ``train``, ``calibration`` and ``test``; and ``questions``. Each question has a ``kind``, what it asks
        (see `Place`, `Translate`, `Effect`), and in ``answer`` the name of the file that is to be written into this
        folder.

    An answer is h5ad. Cells and features are found by name, in whatever order.

    ``Place``
        States of cells of each modality m in ``obsm["X_m"]``, NaN in rows of cells without that assay.
    ``Translate``
        ``X``: cells x features on the scale of the measurement; of a predictor with intervals also the layers ``lower``
        and ``upper``, with quantiles ``quantile_0.05``, ``_0.25``, ``_0.5``, ``_0.75`` and ``_0.95``. Cells that are
        not answered are left out.
    ``Effect``
        ``var["effect"]``: differences of means of ``log1p`` of counts per 10,000; also ``var["lower"]`` and
        ``var["upper"]`` of a predictor with intervals, and quantiles by the same names. ``X``, if there
        are rows: counts of cells after the action.

    Raises
    ------
    ValueError
        If there are questions in the folder already.
    """
    data = counted(held_cells(data))
    split.check(data)
    folder = Path(folder)
    if (folder / QUESTIONS).exists():
        raise ValueError(f"{str(folder)!r} holds questions already. Give a folder of its own for each axis and split.")
    folder.mkdir(parents=True, exist_ok=True)
    seen = axis.hide(data, split)
    name = "seen.h5mu" if isinstance(seen, MuData) else "seen.h5ad"
    seen.write(folder / name)
    asked = []
    for number, test in enumerate(axis.stress_tests(data, split)):
        slug = re.sub(r"[^A-Za-z0-9]+", "-", test.name).strip("-")[:60]
        asked.append(as_plain(test.question) | {"answer": f"{number:04d}-{slug}.h5ad"})
    parts = {part: list(getattr(split, part)) for part in ("train", "calibration", "test")}
    about = FORMAT | {"data": name, "digest": _digest(seen), "axis": axis.name, "split": parts, "questions": asked}
    (folder / QUESTIONS).write_text(json.dumps(plain(about), indent=1), encoding="utf-8")
    return folder


def as_plain(question: Question) -> dict[str, Any]:
    """A question as JSON has it."""
    found: dict[str, Any] = {"kind": type(question).__name__} | vars(question)
    if isinstance(question, Place):
        found["cells"] = {modality: list(cells) for modality, cells in question.cells.items()}
    if isinstance(question, Effect):
        found |= {"action": question.action.as_dict(), "label": str(question.action)}
    return plain(found)  # type: ignore[no-any-return]


def _digest(seen: Container) -> str:
    """What tells data from others: names of cells and features of every assay, and the sum of each cell."""
    found = hashlib.sha256()
    for modality, table in sorted(view(seen).modalities.items()):
        names = json.dumps([modality, list(table.obs_names), list(table.var_names)])
        found.update(names.encode() + np.asarray(table.X.sum(1), float).tobytes())
    return found.hexdigest()


class FilesPredictor:
    """Answers that anyone wrote into the folder of `save_questions`, one h5ad per question.

    Parameters
    ----------
    folder
        The folder.
    name
        Name in tables; that of the folder by default.

    Raises
    ------
    FileNotFoundError
        If it holds no questions, or no answers.
    """

    def __init__(self, folder: str | Path, name: str | None = None) -> None:
        self.folder = Path(folder)
        self.name = self.folder.name if name is None else name
        if not (self.folder / QUESTIONS).is_file():
            raise FileNotFoundError(
                f"{str(folder)!r} has no {QUESTIONS}. Write the questions with scvcell.risk.save_questions, and their "
                "answers beside them."
            )
        about = json.loads((self.folder / QUESTIONS).read_text(encoding="utf-8"))
        self._digest = about["digest"]
        self._answers = [(entry.pop("answer"), entry) for entry in about["questions"]]
        if not any((self.folder / name).is_file() for name, _ in self._answers):
            raise FileNotFoundError(
                f"{str(folder)!r} has no answers. For each question write the file that {QUESTIONS} names for it, e.g. "
                f"{self._answers[0][0]!r}."
            )

    def fit(self, data: Container, split: Split, seed: int) -> None:
        """Keep the data, whose features answers must have. Nothing is learned: the answers are there.

        Raises
        ------
        ValueError
            If the folder was written for other data, or for another split of them.
        """
        if _digest(data) != self._digest:
            raise ValueError(
                f"{str(self.folder)!r} was written for other data, or another split of them. Write the questions again "
                "with the axis, data and split that are asked about."
            )
        self._data = data

    def predict(self, question: Question) -> Prediction | None:
        """The answer of a file; None where there is no file.

        Raises
        ------
        ValueError
            If the folder was written for other questions, or the file cannot be an answer to this one (see
            `save_questions`): it names cells that were not asked for, lacks features or has some twice, or holds values
            that are not finite or cannot be.
        """
        asked = as_plain(question)
        names = [name for name, entry in self._answers if entry == asked]
        if not names:
            raise ValueError(
                f"{str(self.folder)!r} was written for other questions than this {asked['kind']}. Write them again, "
                "with the axis that asks."
            )
        file = self.folder / names[0]
        if not file.is_file():
            return None
        who = f"{self.name} ({file.name})"
        answer = _read(who, anndata.read_h5ad(file), question)
        check_answer(who, question, answer)
        check_fit(who, question, answer, self._data)
        return answer


def _read(who: str, table: AnnData, question: Question) -> Prediction:
    """A file as an answer to a question."""
    if isinstance(question, Place):
        lacking = [STATES + m for m in question.cells if STATES + m not in table.obsm]
        if lacking:
            raise ValueError(f"{who} has no obsm[{lacking[0]!r}]; it has {list(table.obsm)}.")
        states = {m: pd.DataFrame(np.asarray(table.obsm[STATES + m]), table.obs_names) for m in question.cells}
        return States({m: frame[~frame.isna().all(axis=1)] for m, frame in states.items()})
    if isinstance(question, Translate):
        if table.X is None:
            raise ValueError(f"{who} has no values in X.")
        point = pd.DataFrame(dense(table.X), table.obs_names, table.var_names)
        known = [key for key in (*ENDS, *LEVELS) if key in table.layers]
        found = {key: pd.DataFrame(dense(table.layers[key]), point.index, point.columns) for key in known}
        quantiles = {LEVELS[key]: frame for key, frame in found.items() if key in LEVELS}
        return Values(point, found.get(_keys.LOWER), found.get(_keys.UPPER), quantiles or None)
    if "effect" not in table.var:
        raise ValueError(f"{who} has no var['effect']; it has {list(table.var)}.")
    change = table.var[[key for key in ("effect", *ENDS) if key in table.var]]
    quantiles = table.var[[key for key in LEVELS if key in table.var]].rename(columns=LEVELS)
    cells = table.X is not None and table.n_obs
    after = pd.DataFrame(dense(table.X), table.obs_names, table.var_names) if cells else None
    return Effects(change, after, quantiles if quantiles.shape[1] else None)
