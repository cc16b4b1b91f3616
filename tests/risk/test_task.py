"""A task goes to another process as a file that is written once, and leaves the predictor as it was."""

import pickle

import numpy as np
import pandas as pd

from scvcell.risk import Split, Translate, Values
from scvcell.risk._task import Ask, Shared, World, rows_of
from scvcell.risk.axes import Axis, Scored, StressTest


class Twice(Axis):
    """Asks for twice the number of a cell; two units."""

    name, metrics, baseline = "twice", ("rmse",), "zero"

    def hide(self, data, split):
        return data.drop(split.test)

    def stress_tests(self, data, split):
        for number in range(2):
            question = Translate("rna", "adt", split.test)
            yield StressTest("twice", f"test {number}", "new", number, "number", question, lambda: data.loc[split.test])

    def score(self, test, prediction):
        return {"rmse": float(np.abs(prediction.point - 2 * test.truth()).to_numpy().mean())}

    def scored(self, test, prediction, part=0, readouts=()):
        return [Scored(f"unit {part}", "values", "rmse", self.score(test, prediction)["rmse"] + part, 3)]

    def parts(self, test):
        return 2

    def replicate(self, test, part=0):
        return Values(2 * test.truth() + 1)


class Double:
    name = "double"

    def fit(self, data, split, seed):
        self.seen = list(data.index)

    def predict(self, question):
        return Values(pd.DataFrame(2.0 * np.arange(3, 5)[:, None], question.cells, ["x"]))


DATA = pd.DataFrame({"x": np.arange(5.0)}, index=list("abcde"))
SPLIT = Split(pd.Index(list("abc")), pd.Index([]), pd.Index(list("de")))


def tasks(world):
    shared = Shared(world)
    who = (("double", Shared(Double())), ("replicate", None))
    return [Ask(shared, held, 0, ("twice",), 0, {"predictor": name}) for name, held in who]


def test_scores_are_averaged_over_parts_unit_by_unit():
    world = World(DATA, [SPLIT], {"twice": Twice()}, ())
    predictor, replicate = (task(np.random.default_rng(0))["rows"] for task in tasks(world))
    assert [row[2:] for row in predictor[:2]] == [
        ["unit 0", "values", "rmse", 0.0, 3, ""],
        ["unit 1", "values", "rmse", 1.0, 3, ""],
    ]
    assert [row[5] for row in replicate] == [1, 2, 1, 2]


def test_a_task_comes_back_from_its_file_and_gives_the_same():
    world = World(DATA, [SPLIT], {"twice": Twice()}, ())
    for task in tasks(world):
        again, other = pickle.loads(pickle.dumps(task)), pickle.loads(pickle.dumps(task))
        assert again.world.get() is other.world.get(), "read once in a process"
        assert again(np.random.default_rng(0)) == task(np.random.default_rng(0))
    assert not hasattr(task.predictor and task.predictor.get(), "seen")


def test_the_predictor_stays_as_it_was():
    world = World(DATA, [SPLIT], {"twice": Twice()}, ())
    task, _ = tasks(world)
    task(np.random.default_rng(0))
    assert not hasattr(task.predictor.get(), "seen")


def test_a_task_that_was_lost_is_a_failure_of_each_test():
    world = World(DATA, [SPLIT, SPLIT], {"twice": Twice()}, ())
    task, _ = tasks(world)
    world.tests("twice", 0), world.tests("twice", 1)
    rows = rows_of(world, [task], ["double"], [{"failed": "KilledWorker"}])
    assert [row[1] for row in rows] == ["test 0, fold 1", "test 1, fold 1"]
    assert {row[-1] for row in rows} == {"failed: KilledWorker"}
