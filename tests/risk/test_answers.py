"""Answers that fit no assay are refused by name."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scvcell import Action
from scvcell.risk import Effect, Effects, Place, States, Translate, Values
from scvcell.risk._answers import check_fit

CELLS, FEATURES = pd.Index(["a", "b", "c"]), pd.Index(["x", "y"])
POINT = pd.DataFrame([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], CELLS, FEATURES)
COUNTS = AnnData(np.ones((3, 2), np.float32), obs=pd.DataFrame(index=CELLS), var=pd.DataFrame(index=FEATURES))
TRANSLATE, EFFECT = Translate("adt", "rna", CELLS), Effect(Action("A"), CELLS)
CHANGE = pd.DataFrame({"effect": [0.5, -1.0]}, FEATURES)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (Place({"rna": CELLS}), States({"rna": POINT * np.nan})),
        (TRANSLATE, Values(POINT.iloc[::-1, ::-1])),
        (TRANSLATE, Values(POINT[1:], POINT[1:] - 1, POINT.iloc[::-1, ::-1])),
        (Translate("rna", "cell_type", CELLS), Values(-POINT[["x"]])),
        (EFFECT, Effects(CHANGE[::-1], POINT)),
        (EFFECT, Effects(CHANGE.assign(lower=-2.0, upper=2.0))),
    ],
)
def test_what_may_be_said(question, answer):
    check_fit("it", question, answer, COUNTS)


@pytest.mark.parametrize(
    ("question", "answer", "message"),
    [
        (TRANSLATE, Values(POINT - 2), r"answers -1 for 'a' and 'x', one of 1 values below 0; 'rna' has none"),
        (
            TRANSLATE,
            Values(POINT.replace(4.0, np.nan)),
            r"answers nan for 'b' and 'y', one of 1 values .*Leave out cells",
        ),
        (TRANSLATE, Values(POINT, POINT, POINT - 0.5), r"an interval from 1 to 0.5 for 'a', one of 6"),
        (TRANSLATE, Values(POINT, POINT * np.inf, POINT), r"answers inf for 'a'"),
        (
            TRANSLATE,
            Values(POINT.rename(columns={"y": "w"})),
            r"1 features that 'rna' does not have, e.g. 'w'; it has 2",
        ),
        (
            TRANSLATE,
            Values(POINT[["y"]]),
            r"lacks 1 of the 2 features of 'rna', e.g. 'x'. Answer for all, in any order",
        ),
        (EFFECT, Effects(CHANGE[:1]), r"lacks 1 of the 2 features of 'rna'"),
        (EFFECT, Effects(CHANGE, POINT[["x"]]), r"lacks 1 of the 2 features of 'rna'"),
        (EFFECT, Effects(CHANGE * np.nan), r"answers nan for 'effect' and 'x'"),
    ],
)
def test_what_may_not_be_said(question, answer, message):
    with pytest.raises(ValueError, match=message):
        check_fit("it", question, answer, COUNTS)


def test_values_that_were_negative_may_be():
    centred = COUNTS.copy()
    centred.X[0, 0] = -1
    check_fit("it", TRANSLATE, Values(POINT - 2), centred)
