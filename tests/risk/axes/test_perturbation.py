"""What is new about an action, and how far it is from those that were seen."""

import pandas as pd
import pytest

from scvcell import Action
from scvcell.response import NOVELTIES, novelty, of_actions
from scvcell.risk.axes._perturbation import regime_of, similarity_of

SEEN = [Action({"A": 1.0}, time=6), Action({"A": 10.0}, time=6), Action({"B": 1.0}, time=6), Action("C+D")]


@pytest.mark.parametrize(
    ("action", "regime", "similarity"),
    [
        (Action({"A": 1.0}, time=6), "another context", 1.0),
        (Action({"A": 100.0}, time=6), "higher dose", 0.1),
        (Action({"A": 0.1}, time=6), "lower dose", 0.1),
        (Action({"A": 4.0}, time=6), "dose between", 0.4),
        (Action({"A": 1.0}, time=24), "later", 0.25),
        (Action({"B": 1.0}, time=3), "earlier", 0.5),
        (Action("E"), "new target", 0.0),
        (Action("A+B"), "new combination, 2 of 2 parts seen", 0.5),
        (Action("A+E"), "new combination, 1 of 2 parts seen", 0.25),
        (Action("E+F"), "new combination, 0 of 2 parts seen", 0.0),
        (Action("C+E"), "new combination, 0 of 2 parts seen", 0.125),
    ],
)
def test_regimes_and_similarities(action, regime, similarity):
    assert regime_of(action, SEEN) == regime
    assert similarity_of(action, SEEN) == pytest.approx(similarity)


def test_regimes_are_those_by_which_a_model_calibrates_its_intervals():
    """What is asked about and how intervals are made go by one definition, `response.novelty`."""
    targets = ["A", "B", "C", "D"]
    known = of_actions(SEEN, targets)
    for action in (Action({"A": 100.0}, time=6), Action({"A": 4.0}, time=6), Action({"B": 1.0}, time=24)):
        every = of_actions([action, *SEEN], targets)
        (found,) = novelty(every.take([0]), every.take(list(range(1, 5))))
        assert regime_of(action, SEEN) == found in NOVELTIES
    assert len(known) == 4
    for action in (Action({"A": 10.0, "B": 10.0}), Action({"A": 1.0, "C": 1.0}, time=6)):
        every = of_actions([action, *SEEN], targets)
        (found,) = novelty(every.take([0]), every.take(list(range(1, 5))))
        assert regime_of(action, SEEN).startswith(f"{found}, ")


def test_targets_that_are_alike():
    alike = pd.DataFrame([[1.0, 0.7], [0.7, 1]], ["A", "E"], ["A", "E"])
    assert similarity_of(Action("E"), SEEN, alike) == pytest.approx(0.7)
    assert similarity_of(Action("F"), SEEN, alike) == 0
