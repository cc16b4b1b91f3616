import numpy as np
import pandas as pd
import pytest

from scvcell import pl


def test_dose_response(frame):
    curve = pd.concat([frame.assign(dose=dose, unit="uM", lfc=frame["lfc"] * dose) for dose in (0, 0.1, 1.0)])
    ax = pl.dose_response(curve)
    assert len(ax.get_lines()) == 6
    assert ax.get_title(loc="left") == "B cells"
    assert ax.get_xlabel() == "Dose (uM)"
    assert ax.get_xscale() == "log"
    assert len(pl.dose_response(curve, features=["g1", "g3"]).get_lines()) == 3
    with pytest.raises(ValueError, match="no feature 'nothing'"):
        pl.dose_response(curve, features=["nothing"])


@pytest.fixture
def curve(frame):
    """Effects over three doses and two times, in two groups."""
    parts = [
        frame.assign(
            action=f"drug X {dose:g} after {time:g}",
            dose=dose,
            time=time,
            unit="uM",
            group=group,
            lfc=frame["lfc"] * dose * time,
        )
        for dose in (0.1, 1.0, 10.0)
        for time in (2.0, 24.0)
        for group in ("B cells", "T cells")
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(lower=table["lfc"] - 1, upper=table["lfc"] + 1, trusted=table["dose"] < 5)


def test_curves_stand_side_by_side_and_say_whose_they_are(curve):
    ax = pl.dose_response(curve, features=["g1", "g3", "g5"], group="T cells")
    assert ax.get_title(loc="left") == "drug X in T cells\n1 of 2 groups, time 24, empty: not trusted"
    assert "90% interval" in ax.get_ylabel()
    lines = ax.get_lines()[:3]
    here = curve[(curve["group"] == "T cells") & (curve["time"] == 24)]
    for line, name in zip(lines, ("g1", "g3", "g5"), strict=True):
        np.testing.assert_allclose(line.get_ydata(), here.loc[here["feature"] == name, "lfc"])
        np.testing.assert_allclose(line.get_xdata(), [0.1, 1, 10], rtol=0.9)
        assert (np.round(np.log10(line.get_xdata())) == [-1, 0, 1]).all()
    assert len({x for line in lines for x in line.get_xdata()}) == 9


def test_surface_says_what_dots_are(curve):
    ax = pl.surface(curve, "g3")
    assert ax.get_title(loc="left") == "g3: drug X in B cells\n1 of 2 groups"
    assert "dots: the 90% interval leaves out 0" in ax.get_xlabel()
    wide = curve.assign(lower=-99.0, upper=99.0)
    assert "no 90% interval leaves out 0" in pl.surface(wide, "g3").get_xlabel()


def test_surface(frame):
    grid = pd.concat(
        [
            frame.assign(dose=dose, unit="uM", time=time, lfc=frame["lfc"] * dose * time)
            for dose in (0.1, 1.0)
            for time in (2, 8, 24)
        ]
    )
    ax = pl.surface(grid, "g3")
    assert ax.collections[0].get_array().size == 6
    assert [label.get_text() for label in ax.get_yticklabels()] == ["2", "8", "24"]
    with pytest.raises(ValueError, match="no feature 'nothing'"):
        pl.surface(grid, "nothing")
    with pytest.raises(ValueError, match="at least two times"):
        pl.surface(grid[grid["time"] == 2], "g3")
