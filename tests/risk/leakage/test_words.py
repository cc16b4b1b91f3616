"""Words are allowed as the table says, and not otherwise."""

from types import SimpleNamespace

import pytest

from scvcell._containers import view
from scvcell.risk.leakage import WORDS, Case, Finding
from scvcell.risk.leakage._base import CLAIMS
from scvcell.risk.leakage._words import words

CLEAN = [Finding("same donor", 0.0, 0.0, "green", "", "donor"), Finding("same barcode", 0.0, 0.01, "green", "", "cell")]


def said(donors, findings, predictors=()):
    case = Case(donors.adata, view(donors.adata), donors.split, predictors=predictors)
    return words(case, findings)


def test_each_claim_has_words():
    needs = {kind for needed in WORDS.values() for kind in needed}
    kinds = {kind for kinds in CLAIMS.values() for kind in kinds}
    assert kinds - needs == {"higher dose", "lower dose", "later", "earlier"}, "these are doses and times"
    assert all(needed[-1] == "cell" for phrase, needed in WORDS.items() if phrase.startswith(("unseen", "new")))


def test_allowed_where_all_that_is_needed_is_there_and_clean(donors):
    found = said(donors, CLEAN)
    assert found == {
        "unseen cells": "allowed: no test cell is among the training cells under another name.",
        "unseen donor": "allowed: nothing found by 'same donor'.",
    }


@pytest.mark.parametrize("value", [0.2, float("nan")])
@pytest.mark.parametrize("kind", ["donor", "cell"])
def test_not_allowed_where_one_is_above_its_limit_or_not_known(donors, kind, value):
    found = said(donors, [*CLEAN, Finding("another", value, 0.0, "green", "There is another.", kind)])
    assert found["unseen donor"] == "not allowed: There is another."


def test_a_claim_that_nothing_shows(donors):
    assert said(donors, CLEAN[1:])["unseen donor"] == "not allowed: nothing in the data says of which donor a cell is."


def test_one_predictor_does_not_speak_for_the_others(donors):
    red = [Finding("trained on test cells", 1.0, 0.0, "red", "a was trained on them.", "cell", who) for who in "ab"]
    two = [SimpleNamespace(name=name) for name in "ab"]
    assert said(donors, [*CLEAN, red[0]], two)["unseen donor"].startswith("allowed")
    assert said(donors, [*CLEAN, *red], two)["unseen donor"] == "not allowed: a was trained on them."
    assert said(donors, [*CLEAN, red[0]], two[:1])["unseen donor"] == "not allowed: a was trained on them."
