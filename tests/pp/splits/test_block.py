"""Blocks of space, and the gap around them."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from scvcell.pp import split


@pytest.mark.parametrize("seed", range(3))
def test_nothing_within_the_gap_is_seen(screen, seed):
    found = split(screen, "block", gap=6.0, calibration=0.2, seed=seed)
    at = dict(zip(screen.obs_names, screen.obsm["spatial"], strict=True))
    place = {part: np.array([at[name] for name in getattr(found, part)]) for part in ("train", "calibration", "test")}
    assert cdist(place["train"], place["test"]).min() >= 6
    assert cdist(place["train"], place["calibration"]).min() >= 6
    assert cdist(place["calibration"], place["test"]).min() >= 6
    told = found.outside[found.outside == "within 6 of what is asked about"]
    assert cdist(np.array([at[name] for name in told.index]), place["test"]).min(1).max() < 6
    assert found.unit[found.test].nunique() == 2
    assert found.how["gap"] == 6


def test_sections_share_no_gap_and_folds_ask_about_all(screen):
    screen.obs["slide"] = np.where(np.arange(screen.n_obs) % 2, "one", "two")
    found = split(screen, "block", section_key="slide", test=[f"one block {i}" for i in range(8)], gap=50.0)
    assert found.outside.empty, "the other section is far away, whatever its coordinates"
    assert set(screen.obs.loc[found.test, "slide"]) == {"one"}
    folds = split(screen, "block", section_key="slide", n_folds=4, gap=0)
    assert sorted(np.concatenate([fold.test for fold in folds])) == sorted(screen.obs_names)
    assert all(fold.outside.empty for fold in folds)
    assert len(split(screen, "block", n_folds=12)) == 12


def test_units_without_a_place(screen, caplog):
    screen.obsm["spatial"][:9] = np.nan
    found = split(screen, "block")
    assert (found.outside == "no place is known").sum() == 9
    assert "9 of 342 cells are in no part: no place is known" in caplog.text
    assert any(text.startswith("within ") for text in found.outside), "there is a gap by default"


def test_the_gap_reaches_to_the_twentieth_neighbour(screen):
    apart = np.sort(cdist(screen.obsm["spatial"], screen.obsm["spatial"]), 1)[:, 20]
    assert split(screen, "block").how["gap"] == pytest.approx(np.median(apart))


def test_errors(screen):
    with pytest.raises(ValueError, match="gap must be a distance from 0 on, in the unit of the coordinates, not -1"):
        split(screen, "block", gap=-1)
    del screen.obsm["spatial"]
    with pytest.raises(ValueError, match="The data have no coordinates"):
        split(screen, "block")
