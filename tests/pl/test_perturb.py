import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from scvcell import pl


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    value = rng.normal(size=60)
    half = np.where(np.arange(60) % 2, 0.5, np.inf)
    out = pd.DataFrame({"group": "B cells", "modality": "rna", "feature": [f"g{i}" for i in range(60)], "lfc": value})
    return out.assign(lower=value - half, upper=value + half, support=0.6, level=0.9)


def test_effects_names_the_strongest_and_greys_the_unsure(frame):
    ax = pl.effects(frame, n_features=10)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert len(names) == 10
    assert set(names) == set(frame.iloc[np.argsort(-frame["lfc"].abs())[:10]]["feature"])
    assert "support 0.60" in ax.get_title("left") + ax.get_title(loc="left")
    assert len(ax.collections) == 2
    plt.close("all")


def test_effects_takes_axes_and_refuses_others(frame):
    _, ax = plt.subplots()
    assert pl.effects(frame, ax=ax) is ax
    with pytest.raises(ValueError, match="no group 'T cells'"):
        pl.effects(frame, group="T cells")
    with pytest.raises(ValueError, match=r"run `scvcell.tl.effects"):
        pl.effects(frame.drop(columns="lfc"))
    plt.close("all")


def test_dose_response(frame):
    curve = pd.concat([frame.assign(dose=dose, unit="uM", lfc=frame["lfc"] * dose) for dose in (0, 0.1, 1.0)])
    ax = pl.dose_response(curve)
    assert len(ax.get_lines()) == 6
    assert ax.get_xlabel() == "Dose (uM)"
    assert ax.get_xscale() == "log"
    assert len(pl.dose_response(curve, features=["g1", "g3"]).get_lines()) == 3
    with pytest.raises(ValueError, match="no feature 'nothing'"):
        pl.dose_response(curve, features=["nothing"])
    plt.close("all")


def test_synergy(frame):
    table = frame.assign(additive=frame["lfc"] * 0.8, interaction=frame["lfc"] * 0.2)
    ax = pl.synergy(table, n_names=3)
    assert len(ax.texts) == 3
    with pytest.raises(ValueError, match=r"scvcell.tl.synergy"):
        pl.synergy(frame)
    plt.close("all")


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
    plt.close("all")


def test_order_effect():
    frame = pd.DataFrame({"group": ["a", "b"], "kappa": [0.1, 0.3], "null": [0.08, 0.09], "p": [0.4, 0.025]})
    frame = frame.assign(lower=frame["kappa"] - 0.05, upper=frame["kappa"] + 0.05)
    ax = pl.order_effect(frame)
    assert "p = 0.025" in ax.get_yticklabels()[1].get_text()
    with pytest.raises(ValueError, match=r"scvcell.tl.order_effect"):
        pl.order_effect(frame.drop(columns="null"))
    plt.close("all")


def test_support_ranks_actions_and_empties_untrusted_dots(frame):
    parts = [
        frame.assign(action=f"T{i:02d}", group=group, support=s * (1 - i / 50), trusted=s * (1 - i / 50) > 0.5)
        for i in range(12)
        for group, s in (("x", 1.0), ("y", 0.6))
    ]
    ax = pl.support(pd.concat(parts))
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"T{i:02d}" for i in range(12)]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["x", "y", "not trusted"]
    y = next(dots for dots in ax.collections if len(dots.get_offsets()) and dots.get_offsets()[0, 0] < 0.7)
    white = (y.get_facecolors()[:, :3] == 1).all(1)
    np.testing.assert_array_equal(white, y.get_offsets()[:, 0] <= 0.5)
    few = pl.support(pd.concat(parts), n_actions=3)
    assert [label.get_text() for label in few.get_yticklabels()] == ["T09", "T10", "T11"]
    assert "3 of 12 actions" in few.get_title(loc="left")
    with pytest.raises(ValueError, match=r"scvcell.tl.effects"):
        pl.support(frame)
    plt.close("all")
