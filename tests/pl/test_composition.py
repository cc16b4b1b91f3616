"""pl.composition: pies whose parts are the shares, and whose opacity is what is known of them."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_hex

from scvcell import pl

KINDS = ["a", "b", "c"]


@pytest.fixture
def lifted():
    """Four spots on a line, the last without shares."""
    share = np.array([[0.5, 0.25, 0.25], [1, 0, 0], [0, 0.4, 0.6], [np.nan] * 3])
    out = AnnData(share, obs=pd.DataFrame({"slide": list("xxyy")}, index=list("1234")), var=pd.DataFrame(index=KINDS))
    out.obsm["spatial"] = np.array([[0.0, 0], [10, 0], [20, 0], [30, 0]])
    return out


def pies(ax):
    """Colour, opacity and share of each part, by the place of the spot."""
    (parts,) = ax.collections
    found = {}
    for path, face in zip(parts.get_paths(), parts.get_facecolors(), strict=True):
        points = path.vertices[np.isfinite(path.vertices).all(1)]
        x, y = points.T
        area = 0.5 * abs(x @ np.roll(y, 1) - y @ np.roll(x, 1))
        at = round(float(x.mean()) / 10)
        found.setdefault(at, []).append((to_hex(face[:3]), round(float(face[3]), 3), area / (np.pi * 25)))
    return found


def test_parts_of_a_pie_are_the_shares(lifted):
    palette = {"a": "#ff0000", "b": "#00ff00", "c": "#0000ff"}
    ax = pl.composition(lifted, palette=palette)
    found = pies(ax)
    assert sorted(found) == [0, 1, 2, 3]
    for spot in range(3):
        expected = {palette[kind]: share for kind, share in zip(KINDS, lifted.X[spot], strict=True) if share > 0}
        assert {colour: area for colour, _, area in found[spot]} == pytest.approx(expected, abs=0.03)
        assert {alpha for _, alpha, _ in found[spot]} == {1.0}
    assert [colour for colour, _, _ in found[3]] == ["#dddddd"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == KINDS
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_what_is_not_known_is_faint(lifted):
    lifted.layers["lower"] = np.clip(lifted.X - 0.2, 0, 1)
    lifted.layers["upper"] = np.clip(lifted.X + np.array([0.2, 0.1, 0.3]), 0, 1)
    lifted.obs["trusted"] = [True, False, True, False]
    ax = pl.composition(lifted)
    found = pies(ax)
    assert sorted(alpha for _, alpha, _ in found[0]) == pytest.approx([0.5, 0.6, 0.7])
    assert [alpha for _, alpha, _ in found[1]] == pytest.approx([0.15]), "not trusted"
    assert ax.get_title().endswith("2 of 4 spots trusted")
    lifted.layers["lower"][:] = lifted.layers["upper"][:] = np.nan
    assert {alpha for _, alpha, _ in pies(pl.composition(lifted))[0]} == {1.0}


def test_other_kinds_are_one_grey_part(lifted):
    ax = pl.composition(lifted, ["b"])
    assert {colour: area for colour, _, area in pies(ax)[0]} == pytest.approx(
        {"#d55e00": 0.25, "#b0b0b0": 0.75}, abs=0.03
    )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["b", "other"]
    many = AnnData(np.full((4, 20), 0.05), var=pd.DataFrame(index=[f"k{i}" for i in range(20)]))
    many.X = many.X + np.where(np.arange(20) < 8, 0.03, -0.02)
    many.obsm["spatial"] = lifted.obsm["spatial"]
    names = [text.get_text() for text in pl.composition(many).get_legend().get_texts()]
    assert names == [*(f"k{i}" for i in range(8)), "other"]


def test_sections_are_panels(lifted):
    axes = pl.composition(lifted, section_key="slide")
    assert [sorted(pies(ax)) for ax in axes] == [[0, 1], [2, 3]]
    _, own = plt.subplots(1, 2)
    assert pl.composition(lifted, section_key="slide", ax=own)[1] is own[1]


def test_kinds_have_the_colours_of_their_cells(lifted):
    cells = AnnData(np.ones((3, 1), np.float32), obs=pd.DataFrame({"kind": KINDS}, index=list("pqr")))
    cells.obsm["spatial"] = np.eye(3)[:, :2]
    pl.spatial(cells, "kind")
    ax = pl.composition(lifted)
    colours = [to_hex(line.get_color()) for line in ax.get_legend().get_lines()]
    assert colours == [each.lower() for each in cells.uns["kind_colors"]]


def test_what_is_no_composition_is_refused(lifted):
    with pytest.raises(ValueError, match=r"no kind 'd'.*\['a', 'b', 'c'\]"):
        pl.composition(lifted, ["d"])
    with pytest.raises(ValueError, match="palette has no colour for 'c'"):
        pl.composition(lifted, palette=["red", "blue"])
    with pytest.raises(ValueError, match="radius must be a number"):
        pl.composition(lifted, radius=-1)
    counts = lifted.copy()
    counts.X = counts.X * 3
    with pytest.raises(ValueError, match="no shares, which sum to 1"):
        pl.composition(counts)
    del lifted.obsm["spatial"]
    with pytest.raises(ValueError, match="no coordinates"):
        pl.composition(lifted)
