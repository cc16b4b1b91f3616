"""Answers of predictors in memory: what cannot be scored, or cannot be, is refused by name."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scvcell import Action
from scvcell.risk import Effect, Effects, Place, States, Translate, Values
from scvcell.risk._answers import check_answer

CELLS, FEATURES = pd.Index(["a", "b", "c"]), pd.Index(["x", "y"])
POINT = pd.DataFrame([[1.0, 2.0], [3.0, 4.0], [np.nan, np.nan]], CELLS, FEATURES)
COUNTS = AnnData(np.ones((3, 2), np.float32), obs=pd.DataFrame(index=CELLS), var=pd.DataFrame(index=FEATURES))
PLACE, TRANSLATE, EFFECT = (
    Place({"rna": CELLS, "adt": CELLS}),
    Translate("adt", "rna", CELLS),
    Effect(Action("A"), CELLS),
)
CHANGE = pd.DataFrame({"effect": [0.5, np.nan]}, FEATURES)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (PLACE, States({"rna": POINT, "adt": POINT[:1]})),
        (TRANSLATE, Values(POINT.iloc[::-1, ::-1])),
        (TRANSLATE, Values(POINT[["y"]], POINT[["y"]] - 1, POINT[["y"]])),
        (Translate("rna", "cell_type", CELLS), Values(-POINT)),
        (EFFECT, Effects(CHANGE, POINT.fillna(0))),
        (EFFECT, Effects(CHANGE.assign(lower=-1.0, upper=2.0)[::-1])),
    ],
)
def test_what_may_be_said(question, answer):
    check_answer("it", question, answer, COUNTS)


@pytest.mark.parametrize(
    ("question", "answer", "message"),
    [
        (PLACE, States({"rna": POINT}), r"it places no cells of 'adt'"),
        (PLACE, States({"rna": POINT, "adt": POINT[["x"]]}), r"different dimensions: \{'rna': 2, 'adt': 1\}"),
        (
            PLACE,
            States({"rna": POINT, "adt": POINT.rename({"a": "z"})}),
            r"1 cells that it was not asked for, e.g. 'z'",
        ),
        (PLACE, States({"rna": POINT, "adt": POINT.replace(1.0, np.inf)}), r"answers inf for 'a' and 'x'"),
        (TRANSLATE, Values(POINT.loc[["a", "a"]]), r"it answers twice for the cell 'a'"),
        (TRANSLATE, Values(POINT[["x", "x"]]), r"it answers twice for the feature 'x'"),
        (TRANSLATE, Values(POINT - 2), r"answers -1 for 'a' and 'x', one of 1 values below 0"),
        (TRANSLATE, Values(POINT, POINT, POINT - 0.5), r"an interval from 1 to 0.5 for 'a'"),
        (TRANSLATE, Values(POINT.rename(columns={"y": "w"})), r"1 features that 'rna' does not have, e.g. 'w'"),
        (EFFECT, Effects(CHANGE.rename(columns={"effect": "lfc"})), r"by the columns \['lfc'\]; they are 'effect'"),
        (EFFECT, Effects(CHANGE, POINT - 5), r"values below 0"),
    ],
)
def test_what_may_not_be_said(question, answer, message):
    with pytest.raises(ValueError, match=message):
        check_answer("it", question, answer, COUNTS)


def test_kinds_must_fit():
    with pytest.raises(TypeError, match="it answers Place by Values; it takes States or None"):
        check_answer("it", PLACE, Values(POINT), COUNTS)
    with pytest.raises(TypeError, match="it answers Effect by SimpleNamespace; it takes Effects or None"):
        check_answer("it", EFFECT, SimpleNamespace(), COUNTS)
    with pytest.raises(TypeError, match="it answers about 'rna' by something else than numbers"):
        check_answer("it", TRANSLATE, Values(POINT.astype(object).replace(1.0, "many")), COUNTS)


def test_the_strict_take_no_gaps():
    with pytest.raises(ValueError, match=r"answers nan for 'c' and 'x', one of 2 values.*Leave out cells"):
        check_answer("it", TRANSLATE, Values(POINT), COUNTS, strict=True)
    with pytest.raises(ValueError, match=r"it lacks 1 of the 2 features of 'rna', e.g. 'x'. Answer for all"):
        check_answer("it", TRANSLATE, Values(POINT[["y"]][:2]), COUNTS, strict=True)
    check_answer("it", TRANSLATE, Values(POINT[:2]), COUNTS, strict=True)


def test_values_that_were_negative_may_be():
    centred = COUNTS.copy()
    centred.X[0, 0] = -1
    check_answer("it", TRANSLATE, Values(POINT - 2), centred)
