"""Checks of plain arguments: what passes, and what each error names."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from scvcell import _checks


@pytest.mark.parametrize(("given", "expected"), [(None, 0), (3, 3), (np.uint8(7), 7), (True, 1)])
def test_a_seed_is_a_whole_number(given, expected):
    found = _checks.seed_of(given)
    assert (found, type(found)) == (expected, int)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (-1, ValueError, "seed must be a whole number >= 0, not -1"),
        (1.0, TypeError, "seed must be a whole number, not 1.0"),
        ("1", TypeError, "not '1'"),
        ([1], TypeError, r"not \[1\]"),
    ],
)
def test_what_is_no_seed(wrong, error, message):
    with pytest.raises(error, match=message):
        _checks.seed_of(wrong)


@pytest.mark.parametrize("given", [0.5, np.float32(0.5), Fraction(1, 2)])
def test_a_share_lies_between_0_and_1(given):
    assert _checks.share("x", given, 0.9) == _checks.check_level(given) == 0.5
    for edge in (0, 1, -0.1, float("nan"), 95):
        with pytest.raises(ValueError, match=r"level must lie between 0 and 1, e.g. 0.9, not"):
            _checks.check_level(edge)
    for other in ("0.5", None, True, [0.5]):
        with pytest.raises(TypeError, match=r"x must be a number between 0 and 1, e.g. 0.2, not"):
            _checks.share("x", other, 0.2)


@pytest.mark.parametrize("given", ["a", ["a"], ("a",), {"a"}, np.array(["a"]), pd.Index(["a"]), pd.Series(["a"])])
def test_a_list_of_one_name_is_that_name(given):
    assert _checks.one_name("batch_key", given) == "a"


@pytest.mark.parametrize("given", [["a", "b"], np.array(["a", "b"]), []])
def test_several_names_are_refused_with_a_way_to_join_them(given):
    with pytest.raises(TypeError, match=r"batch_key takes one column, not .*agg\(' '.join, axis=1\)"):
        _checks.one_name("batch_key", given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, []), ("ab", ["ab"]), ({"a": 1}, [{"a": 1}]), (("a", "b"), ["a", "b"]), (iter("ab"), ["a", "b"])],
)
def test_one_or_several_are_a_list(given, expected):
    assert _checks.listed("actions", given, "actions") == expected


def test_what_is_nothing_of_that_kind():
    with pytest.raises(TypeError, match="covariates takes names of columns, not 5"):
        _checks.listed("covariates", 5, "names of columns")
    _checks.expect("x", True, int, "")
    with pytest.raises(TypeError, match=r"x must be a int, not str\. Give a number"):
        _checks.expect("x", "a", int, "Give a number.")


def test_whole_numbers_have_a_least_one():
    assert _checks.whole_number("n", np.int64(4), 4) == 4
    with pytest.raises(ValueError, match="n must be a whole number >= 4, not 3"):
        _checks.whole_number("n", 3, 4)
