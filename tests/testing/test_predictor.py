"""The contract of predictors catches what it should, and passes what keeps it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import scvcell
from scvcell.risk import EffectBaseline, LinearMatch, Split, Translate, Translator, Values
from scvcell.risk.axes import Perturbation
from scvcell.testing import check_predictor

KEYS = scvcell.PerturbationKeys("action", control="control", context="cell_type")


class Good:
    """The mean of the cells that were seen, and an interval of its own; the others break one point each."""

    name = "mean"
    fits = 0

    def fit(self, data, split, seed):
        type(self).fits += 1
        self.data, self.asked, self.number = data, 0, type(self).fits

    def predict(self, question):
        self.asked += 1
        if not isinstance(question, Translate):
            return None
        return self.answer(question, self.data[question.to].to_df().mean())

    def answer(self, question, mean):
        point = pd.DataFrame([mean] * len(question.cells), index=question.cells)
        return Values(point, point * (1 - question.level), point * (1 + question.level))


class Nameless(Good):
    name = ""


class Changes(Good):
    def fit(self, data, split, seed):
        super().fit(data, split, seed)
        data["rna"].X.data += 1


class Mute(Good):
    def predict(self, question):
        return None


class OtherKind(Good):
    def predict(self, question):
        return self.data


class Strangers(Good):
    def answer(self, question, mean):
        return Values(pd.DataFrame([mean], index=["me"]))


class Infinite(Good):
    def answer(self, question, mean):
        return Values(super().answer(question, mean).point * np.inf)


class Moody(Good):
    def answer(self, question, mean):
        return super().answer(question, mean + self.asked)


class Unseeded(Good):
    def answer(self, question, mean):
        return super().answer(question, mean + self.number)


class ByPosition(Good):
    def answer(self, question, mean):
        values = super().answer(question, mean)
        return Values(values.point + np.arange(len(question.cells))[:, None])


class Relative(Good):
    def answer(self, question, mean):
        return Values(super().answer(question, mean / len(question.cells)).point)


class Narrower(Good):
    def answer(self, question, mean):
        return super().answer(replace(question, level=1 - question.level), mean)


def test_one_that_keeps_the_contract():
    check_predictor(Good)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Nameless, "must have a name"),
        (Changes, "fit must leave the data as they are"),
        (Mute, "must answer one of the questions"),
        (OtherKind, "TypeError: mean answers Place by MuData"),
        (Strangers, "ValueError: mean answers for 1 cells that were not asked for, e.g. 'me'"),
        (Infinite, "ValueError: mean gives infinite numbers"),
        (Moody, "asked again, it must answer the same; point differs"),
        (Unseeded, "after another fit from one seed it must answer the same"),
        (ByPosition, "cells in another order must have the same answer"),
        (Relative, "values of a cell must not depend on which others are asked for"),
        (Narrower, "intervals at 0.95 must be no narrower than at 0.5"),
    ],
)
def test_each_broken_point_is_named(make, message):
    with pytest.raises(AssertionError, match=message):
        check_predictor(make)


def test_predictors_of_this_package_keep_it():
    check_predictor(Translator)
    check_predictor(LinearMatch)
    data = scvcell.datasets.simulate_actions(300, n_targets=3, n_genes=30, n_proteins=4, n_types=2, seed=1)
    pairs = data.obs_names[data.obs["action"].astype(str).str.contains(r"\+")]
    split = Split(data.obs_names.difference(pairs), data.obs_names[:0], pairs)
    check_predictor(lambda: EffectBaseline("additive", KEYS), Perturbation(KEYS), data, split)
