"""What a predictor is given, in which order, and what becomes of its answers."""

import pandas as pd
import pytest

from scvcell.risk import QUANTILES, Place, Split, States, Translate, Values, ask
from scvcell.risk.axes import Axis, StressTest


class Doubled(Axis):
    """Asks for twice the name of a cell."""

    name, metrics = "doubled", ("rmse",)

    def hide(self, data, split):
        return data[~data.obs_names.isin(split.test)].copy()

    def stress_tests(self, data, split):
        asked = (Translate("rna", "adt", split.test), Place({"rna": split.test}))
        for i, question in enumerate(asked):
            yield StressTest(self.name, f"test {i}", "none", float(i), "number", question, lambda: split.test)

    def score(self, test, prediction):
        return {"answered": 1.0, "rmse": float(len(test.truth()))}


class Recorder:
    name = "recorder"

    def __init__(self, *answers):
        self.answers, self.calls = list(answers), []

    def fit(self, data, split, seed):
        self.calls.append((data.obs_names, seed))

    def predict(self, question):
        self.calls.append(question)
        return self.answers.pop(0)


@pytest.fixture
def world(mosaic):
    data = mosaic(30)["rna"]
    return data, Split(data.obs_names[5:], pd.Index([]), data.obs_names[:5])


def frame(cells):
    return pd.DataFrame(0.0, index=cells, columns=["x"])


def test_it_fits_once_on_what_is_left_and_asks_in_turn(world):
    data, split = world
    recorder = Recorder(Values(frame(split.test)), None)
    found = ask(recorder, Doubled(), data, split, seed=4)
    (seen, seed), *questions = recorder.calls
    assert (sorted(seen), seed) == (sorted(split.train), 4)
    assert [type(question) for question in questions] == [Translate, Place]
    assert found["test"].tolist() == ["test 0", "test 0", "test 1"]
    assert found["metric"].tolist() == ["answered", "rmse", "answered"]
    assert found["value"].tolist() == [1, 5, 0], "no answer is no score"
    assert found["better"].tolist() == ["higher", "lower", "higher"]
    assert set(found["predictor"]) == {"recorder"}


def test_data_of_another_split_are_refused_before_any_fit(world):
    data, split = world
    recorder = Recorder()
    with pytest.raises(ValueError, match="that the data lack"):
        ask(recorder, Doubled(), data[:10].copy(), split)
    assert recorder.calls == []


def test_answers_that_go_with_no_question_are_refused(world):
    data, split = world
    with pytest.raises(TypeError, match="recorder answers Translate by States; it takes Values or None"):
        ask(Recorder(States({"rna": frame(split.test)})), Doubled(), data, split)
    twice = frame([*split.test, split.test[0]])
    with pytest.raises(ValueError, match="recorder answers twice for the cell 'cell"):
        ask(Recorder(Values(twice)), Doubled(), data, split)
    with pytest.raises(ValueError, match="recorder answers twice for the cell 'cell"):
        ask(Recorder(None, States({"rna": twice})), Doubled(), data, split)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda told: {level: told[level] for level in (0.05, 0.5, 0.95)},
            r"at the levels \[0.05, 0.5, 0.95\]; they are",
        ),
        (lambda told: told | {0.25: told[0.95]}, "at 0.25 that are above those at 0.5"),
        (lambda told: told | {0.5: told[0.5].to_numpy()}, "quantiles at 0.5 of Values as ndarray"),
    ],
)
def test_quantiles_that_cannot_be_are_refused(world, change, message):
    data, split = world
    told = {level: frame(split.test) + level for level in QUANTILES}
    with pytest.raises((TypeError, ValueError), match=message):
        ask(Recorder(Values(frame(split.test), quantiles=change(told))), Doubled(), data, split)
    assert len(ask(Recorder(Values(frame(split.test), quantiles=told), None), Doubled(), data, split)) == 3


def test_intervals_that_are_crossed_are_refused(world):
    data, split = world
    point = frame(split.test)
    with pytest.raises(
        ValueError, match=r"recorder answers an interval from .* whose lower end lies above the upper one"
    ):
        ask(Recorder(Values(point, point + 1, (point - 1)[::-1])), Doubled(), data, split)
