"""A column is the same labels in whatever type pandas holds it, and what a user gives reads as they do."""

import itertools
import logging
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from scvcell._containers._read import view
from scvcell._labels import group, is_numeric, label, labels, like, numbers, several, tell_missing
from scvcell.perturb import PerturbationKeys, read_design

VALUES = [0, 1, 2, None, 10, 1]
NUMBERS = {
    "float": lambda v: pd.Series(v, dtype=float),
    "float32": lambda v: pd.Series(v, dtype="float32"),
    "Int64": lambda v: pd.Series(v, dtype="Int64"),
    "Int8": lambda v: pd.Series(v, dtype="Int8"),
    "Float32": lambda v: pd.Series(v, dtype="Float32"),
    "objects": lambda v: pd.Series(v, dtype=object),
    "NaN among objects": lambda v: pd.Series([np.nan if x is None else x for x in v], dtype=object),
    "NA among objects": lambda v: pd.Series([pd.NA if x is None else np.int16(x) for x in v], dtype=object),
    "decimals": lambda v: pd.Series([None if x is None else Decimal(x) for x in v], dtype=object),
}
CATEGORIES = {
    "categories": lambda v: pd.Series(pd.Categorical(v)),
    "categories of floats": lambda v: pd.Series(v, dtype=float).astype("category"),
    "categories of Int64": lambda v: pd.Series(v, dtype="Int64").astype("category"),
    "ordered": lambda v: pd.Series(
        pd.Categorical(v, [*sorted({x for x in v if x is not None}, reverse=True), 99], True)
    ),
}
TEXT = {
    "text": lambda v: pd.Series([None if x is None else str(x) for x in v], dtype=object),
    "str": lambda v: pd.Series([None if x is None else str(x) for x in v], dtype="str"),
    "string": lambda v: pd.Series([None if x is None else str(x) for x in v], dtype="string"),
    "blank": lambda v: pd.Series([" " if x is None else str(x) for x in v], dtype=object),
    "categories of text": lambda v: pd.Series([None if x is None else str(x) for x in v], dtype="category"),
}
HELD = NUMBERS | CATEGORIES | TEXT
GIVEN = (1, 1.0, "1", np.int8(1), np.uint64(1), np.float32(1), np.array(1), np.str_("1"), Decimal("1.0"))


@pytest.fixture(params=list(HELD))
def column(request):
    return HELD[request.param](VALUES).rename("k")


def test_a_column_is_the_same_labels_in_every_type(column):
    assert labels(column).tolist() == ["0", "1", "2", None, "10", "1"]
    found = group([column])
    assert [found.keys[code][0] if code >= 0 else None for code in found.code] == labels(column).tolist()
    assert list(map(label, found.names)) == [key for (key,) in found.keys]


@pytest.mark.parametrize("held", ["bool", "boolean", "object", "category"])
def test_truth_values_are_labels(held):
    values = pd.Series([True, False, True] if held == "bool" else [True, False, None], dtype=held)
    assert labels(values).tolist()[:2] == ["True", "False"]
    assert group([values]).names == [False, True]
    assert not is_numeric(values)
    assert np.asarray(like(np.array(["False", "True"]), values)).tolist() == [False, True]


def test_numbers_and_truth_values_are_not_mixed_up():
    mixed = pd.Series([True, 1, 1.0, "1", 0, False, None], dtype=object)
    assert labels(mixed).tolist() == ["True", "1", "1", "1", "0", "False", None]
    assert set(map(type, group([mixed]).names)) == {str}, "a table holds values of one type"


def test_what_is_given_reads_as_the_column_does(column):
    code = group([column]).code.tolist()
    for given in GIVEN:
        assert label(given) in labels(column).tolist()
        assert several(given) == several([given]) == ["1"]
    assert several(np.array([0, 1])) == several(pd.Series([0.0, 1.0])) == several(("0", 1)) == ["0", "1"]
    assert (several(False), several(0), several("ab")) == (["False"], ["0"], ["ab"])
    order = np.random.default_rng(0).permutation(len(code))
    assert group([column.iloc[order]]).code.tolist() == [code[i] for i in order]


@pytest.mark.parametrize("value", [0.1, 1 / 3, 10**-0.5, 1e-7, 1e20, -2.5])
def test_a_number_is_one_label_in_float32_and_float64(value):
    short = np.float32(value)
    for held in ("float32", "Float32"):
        column = pd.Series([short, None], dtype=held)
        assert labels(column).tolist() == labels(column.astype("category")).tolist() == [label(short), None]
    assert label(float(str(short))) == label(short)


def test_whole_numbers_only_are_shortened():
    assert list(map(label, (1e300, -0.0, np.inf, 2.5, "1.0", "01"))) == ["1e+300", "0", "inf", "2.5", "1.0", "01"]


def test_results_have_the_type_of_the_labels(column):
    known = column[labels(column).notna()]
    found = pd.Series(like(labels(known).to_numpy()[::-1], column))
    if isinstance(column.dtype, pd.CategoricalDtype):
        assert found.dtype == column.dtype
    elif column.dtype == object or pd.api.types.is_string_dtype(column):
        assert isinstance(found.dtype, pd.CategoricalDtype)
    else:
        assert found.dtype == column.dtype
    assert labels(found).tolist() == labels(known).tolist()[::-1]


@pytest.mark.parametrize("held", list(NUMBERS))
def test_numbers_are_measurements_and_categories_are_not(held):
    column = NUMBERS[held](VALUES)
    assert is_numeric(column)
    assert np.array_equal(numbers(column), np.array([0, 1, 2, np.nan, 10, 1]), equal_nan=True)
    assert not is_numeric(column.astype("category"))
    assert not any(is_numeric(make(VALUES)) for make in (CATEGORIES | TEXT).values())
    assert np.isnan(numbers(pd.Series(["x", "1"]))).tolist() == [True, False]


@pytest.mark.parametrize(("first", "second"), [*itertools.product(HELD, list(HELD)[::5])])
def test_groups_of_two_columns_are_told_apart_by_both(first, second):
    a, b = HELD[first]([1, 1, 2, None, 2]), HELD[second]([1, 2, 1, 1, None])
    found = group([a, b])
    assert found.keys == [("1", "1"), ("1", "2"), ("2", "1")]
    assert found.code.tolist() == [0, 1, 2, -1, -1]
    assert found.names == ["1 1", "1 2", "2 1"]


@pytest.mark.parametrize("blank", [" ", " | ", "', '"])
def test_blanks_in_labels_never_make_one_group_of_two(blank):
    a, b = pd.Series([f"T{blank}cell", "T", "B"]), pd.Series(["day 1", f"cell{blank}day 1", "day 1"])
    found = group([a, b])
    assert len(set(found.names)) == len(set(found.code.tolist())) == 3


def test_groups_are_in_the_order_of_numbers_or_of_text():
    values = [10, 2, 1]
    assert [group([make(values)]).names for make in NUMBERS.values() if make is not NUMBERS["decimals"]] == [
        [1, 2, 10]
    ] * (len(NUMBERS) - 1)
    assert group([pd.Series(["b", "a10", "a2"], dtype="category")]).names == ["a10", "a2", "b"]


def test_cells_without_a_label_are_counted(caplog):
    with caplog.at_level(logging.WARNING, logger="scvcell"):
        tell_missing(np.array([False, False]), ["k"])
        assert not caplog.text
        tell_missing(np.array([True, False]), ["k", "l"])
    assert "1 of 2 cells have no label in obs['k'] or obs['l']" in caplog.text
    with pytest.raises(ValueError, match=r"None of the 2 cells has a label in obs\['k'\]"):
        tell_missing(np.array([True, True]), ["k"])


@pytest.mark.parametrize("place", ["container", "modalities", "one modality"])
def test_a_column_is_the_same_labels_wherever_it_is_kept(column, place):
    names = [f"c{i}" for i in range(len(column))]
    rows = pd.DataFrame(index=names)
    tables = {m: AnnData(np.ones((6, 2)), rows.copy(), pd.DataFrame(index=[m, f"{m} 2"])) for m in ("rna", "adt")}
    for table in list(tables.values())[: {"container": 0, "modalities": 2, "one modality": 1}[place]]:
        table.obs["k"] = column.to_numpy() if column.dtype == object else column.array
    mdata = MuData(tables)
    mdata.obs = mdata.obs[[]]
    if place == "container":
        mdata.obs["k"] = column.to_numpy() if column.dtype == object else column.array
    seen = view(mdata)
    for cells in (np.arange(len(names)), np.array([4, 1, 1, 3])):
        found = seen.subset(cells).column("k")
        assert labels(found).tolist() == [labels(column).tolist()[i] for i in cells]
        assert is_numeric(found) == is_numeric(column)


@pytest.mark.parametrize("control", [0, 0.0, "0", [0], np.array([0]), pd.Categorical([0]), (np.float32(0),), {"0"}])
def test_the_label_of_controls_is_given_as_it_stands_or_as_text(column, control):
    design = read_design(PerturbationKeys("k", control, context="k"), lambda name: column, complete=False)
    assert design.control.tolist() == [True, False, False, False, False, False]
    assert [str(action) for action in design.actions] == ["1", "2", "10"]
    assert design.code.tolist() == [-1, 0, 1, -2, 2, 0]
    told = [label(design.contexts[code]) if code >= 0 else None for code in design.context]
    assert told == ["0", "1", "2", None, "10", "1"]
