"""Columns of the tables of a report are named once."""

from scvcell.risk._columns import COLUMNS, TEST


def test_no_table_names_a_column_twice():
    for columns in COLUMNS.values():
        assert len(set(columns)) == len(columns) > 4
    assert COLUMNS["rows"][: len(TEST)] == TEST
