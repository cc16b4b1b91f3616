"""The table of operators."""

from scvcell.measure import MEASUREMENTS, Scale, show


def test_show_lists_operators_with_their_options():
    table = show()
    assert {"counts", "protein"} <= set(table.index)
    assert "likelihood='nb'" in table.loc["counts", "options"]
    assert "adt" in table.loc["protein", "recognised as"].split(", ")
    assert set(table["scale"]) <= {str(s) for s in Scale}
    assert table.loc["counts", "reference"]


def test_one_row_per_operator_with_its_equation():
    table = show()
    assert list(table.index) == list(MEASUREMENTS)
    assert table["equation"].tolist() == [MEASUREMENTS[name].equation for name in MEASUREMENTS]
    assert table["defined in"].str.startswith("scvcell.measure.").all()
