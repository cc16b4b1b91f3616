"""Answers are plain values, and random numbers depend on the key alone."""

import hashlib
import json
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scvcell._tasks import canonical, digest, perform, plain


class Task:
    def __init__(self, key, call):
        self.key, self.call = key, call

    def __call__(self, rng):
        return self.call(rng)


def test_values_of_numpy_and_pandas_become_plain_and_survive_json():
    value = {
        "a": np.float32(0.1),
        "b": np.int64(3),
        "c": np.bool_(True),
        "d": np.array([[1.5, np.nan], [np.inf, -np.inf]]),
        "e": pd.Index(["x", "y"]),
        "f": (None, "text", {"deep": 1e-300}),
        "g": np.str_("name"),
    }
    found = json.loads(json.dumps(plain(value)))
    assert found["a"] == float(np.float32(0.1))
    assert (found["b"], found["c"], found["e"], found["g"]) == (3, True, ["x", "y"], "name")
    assert type(found["b"]) is int
    assert found["c"] is True
    assert found["d"][0][0] == 1.5
    assert math.isnan(found["d"][0][1])
    assert found["d"][1] == [math.inf, -math.inf]
    assert found["f"] == [None, "text", {"deep": 1e-300}]


@pytest.mark.parametrize("value", [{1, 2}, {"a": SimpleNamespace()}, {1: "a"}, [np.datetime64("2020-01-01")], 1j])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(TypeError, match=r"A record holds text, numbers|Names in a record must be text"):
        plain(value)


def test_a_digest_does_not_depend_on_the_order_of_names():
    assert digest({"a": 1, "b": [1.5]}) == hashlib.sha256(b'{"a":1,"b":[1.5]}').hexdigest()
    assert digest({"b": (1.5,), "a": np.int32(1)}) == digest({"a": 1, "b": [1.5]})
    assert digest({"a": 1}) != digest({"a": 2})
    assert canonical({"b": math.nan, "a": "é"}) == '{"a":"\\u00e9","b":NaN}'


def test_random_numbers_come_from_seed_and_key():
    def drawn(key):
        return json.loads(perform(Task(key, lambda rng: {"x": rng.normal()})))["x"]

    entropy = [7, int(digest({"name": "a", "seed": 7}), 16)]
    assert drawn({"seed": 7, "name": "a"}) == np.random.default_rng(np.random.SeedSequence(entropy)).normal()
    assert len({drawn({"name": name, "seed": seed}) for name in "abc" for seed in (0, 1)}) == 6


def test_a_task_that_raises_says_why():
    def broken(rng):
        raise ValueError("no cells of donor 'd3'")

    assert json.loads(perform(Task({"a": 1}, broken))) == {"failed": "ValueError: no cells of donor 'd3'"}
    assert "A task must answer by a mapping, not list" in json.loads(perform(Task({"a": 1}, lambda rng: [1])))["failed"]
    with pytest.raises(KeyboardInterrupt):
        perform(Task({"a": 1}, lambda rng: (_ for _ in ()).throw(KeyboardInterrupt)))
