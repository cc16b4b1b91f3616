"""A column of annotation as an endpoint: classes, values, survival, and what is none of them."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scvcell


def column(**values):
    n = len(next(iter(values.values())))
    return ad.AnnData(np.ones((n, 2), np.float32), pd.DataFrame(values, index=[f"c{i}" for i in range(n)]))


@pytest.mark.parametrize(
    ("data", "args", "message"),
    [
        ({"months": [1.0, 2.0]}, {"key": "months", "kind": "survival"}, "A survival time needs event="),
        (
            {"m": [1.0, 2.0], "e": [1, 0]},
            {"key": "m", "event": "e", "kind": "continuous"},
            "belongs to kind='survival'",
        ),
        ({"m": [1.0, 0.0], "e": [1, 0]}, {"key": "m", "event": "e"}, "zero or less"),
        ({"m": [1.0, 2.0], "e": [1, 2]}, {"key": "m", "event": "e"}, r"1 \(event seen\) and 0"),
        ({"m": [1.0, 2.0], "e": [0, 0]}, {"key": "m", "event": "e"}, "has no event"),
        ({"m": [1.0, np.nan], "e": [1.0, 0.0]}, {"key": "m", "event": "e"}, "known for the same cells"),
        ({"kind": ["a", "a"]}, {"key": "kind"}, "one class only"),
        ({"kind": [None, None]}, {"key": "kind"}, "missing for every cell"),
        ({"x": [1.0, np.inf]}, {"key": "x"}, "must be finite"),
        ({"x": ["a", "b"]}, {"key": "x", "kind": "continuous"}, "must be finite numbers; it has 'a'"),
        ({"x": ["a", "b"]}, {"key": "x", "kind": "ordinal"}, "kind must be"),
    ],
)
def test_columns_that_are_no_endpoint(data, args, message):
    with pytest.raises(ValueError, match=message):
        scvcell.pp.modality_from_obs(column(**data), **args)


def test_a_missing_column_is_named():
    with pytest.raises(KeyError, match="Did you mean 'celltype'"):
        scvcell.pp.modality_from_obs(column(celltype=["a", "b"]), "cell_type")


def test_each_kind_of_endpoint_holds_the_values_of_its_column():
    frame = column(kind=["b", None, "a", "b"], x=[1.5, 2, np.nan, -1], t=[3.0, 1, 2, np.nan], e=[1, 0, 1, None])
    classes, values = (scvcell.pp.modality_from_obs(frame, key) for key in ("kind", "x"))
    assert classes.obs_names.tolist() == ["c0", "c2", "c3"]
    pd.testing.assert_frame_equal(
        classes.to_df(), pd.DataFrame({"a": [0, 1, 0], "b": [1, 0, 1]}, classes.obs_names), check_dtype=False
    )
    assert (values.obs_names.tolist(), values.X.ravel().tolist()) == (["c0", "c1", "c3"], [1.5, 2, -1])
    outcome = scvcell.pp.modality_from_obs(frame, "t", event="e")
    assert outcome.X.tolist() == [[3, 1], [1, 0], [2, 1]]
    kinds = [table.uns["csl_measure"]["options"]["kind"] for table in (classes, values, outcome)]
    assert kinds == ["categorical", "continuous", "survival"]
    numbers = scvcell.pp.modality_from_obs(column(x=[2, 1, 2]), "x", kind="categorical")
    assert (numbers.var_names.tolist(), numbers.X.argmax(1).tolist()) == (["1", "2"], [1, 0, 1])
