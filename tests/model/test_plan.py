"""What can align assays, read off which cells have which."""

import logging

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from scvcell._containers import view
from scvcell.model._plan import alignment


def cells(**having):
    """A view of assays that these cells have, of 20 features each."""
    tables = {}
    for name, numbers in having.items():
        index = pd.DataFrame(index=[f"c{i:02d}" for i in numbers])
        tables[name] = AnnData(np.ones((len(index), 20), np.float32), index)
        tables[name].var_names = [f"{name}{i}" for i in range(20)]
    return view(MuData(tables))


def plan(seen, linked=None, train=None):
    return alignment(seen, np.arange(seen.n_obs) if train is None else np.asarray(train), linked)


@pytest.mark.parametrize(
    ("having", "expected"),
    [
        ({"rna": range(6)}, "one assay"),
        ({"rna": range(6), "adt": range(6)}, "paired"),
        ({"rna": range(6), "adt": range(5, 9)}, "partly paired"),
        ({"adt": range(4), "rna": range(3, 8), "atac": range(7, 9)}, "partly paired"),
        ({"rna": range(4), "adt": range(4, 9)}, "unpaired"),
        ({"rna": range(4), "adt": range(3, 6), "atac": range(7, 9)}, "unpaired"),
    ],
)
def test_a_chain_of_assays_in_the_same_cells_joins_all(having, expected):
    assert plan(cells(**having)) == expected


def test_only_training_cells_count():
    seen = cells(rna=range(6), adt=range(5, 9))
    assert plan(seen, train=[0, 1, 5, 6]) == "partly paired"
    assert plan(seen, train=[0, 1, 6, 7]) == "unpaired"
    assert plan(seen, train=[5]) == "paired"


def test_without_pairs_and_graph_the_groups_are_named(caplog):
    plan(cells(rna=range(4), adt=range(3, 6), atac=range(7, 9)))
    assert "The assays rna+adt and atac share no cell" in caplog.text
    assert "scvcell.pp.link_features" in caplog.text


def test_a_graph_aligns_and_one_of_few_features_is_warned_of(caplog):
    seen = cells(rna=range(4), adt=range(4, 9))
    with caplog.at_level(logging.INFO, logger="scvcell"):
        assert plan(seen, {"rna": 2, "adt": 20}) == "unpaired, guidance graph"
    assert [record.levelname for record in caplog.records] == ["INFO"]
    plan(seen, {"rna": 1, "adt": 20})
    assert "links 1 of 20 features of 'rna'" in caplog.text
    assert "of 'adt'" not in caplog.text
