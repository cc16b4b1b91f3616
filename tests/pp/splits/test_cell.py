"""Cells by chance."""

from scvcell.pp import split


def test_cells_by_chance(screen):
    found = split(screen, "cell", test=0.25, calibration=0.1, seed=3)
    assert len(found.test) == round(0.25 * screen.n_obs)
    assert len(found.calibration) == round(0.1 * (screen.n_obs - len(found.test)))
    assert (found.unit == found.unit.index).all()
    assert found.reason == "other cells"
    assert found.how["test"] == len(found.test), "names are in the parts already"


def test_named_cells(screen):
    names = screen.obs_names[5:9]
    assert set(split(screen, "cell", test=list(names)).test) == set(names)
