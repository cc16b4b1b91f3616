"""Doses and times that are asked about are seen of no cell with these targets."""

import pytest

from scvcell.pp import split


def column(screen, by):
    return screen.obs["hours"] if by in ("later", "earlier", "time between") else screen.obs["dose"]


@pytest.mark.parametrize(
    ("by", "asked"),
    [
        ("higher dose", "10"),
        ("lower dose", "0.1"),
        ("dose between", "1"),
        ("later", 24),
        ("earlier", 3),
        ("time between", 8),
    ],
)
def test_one_value_of_every_target_is_asked_about(screen, keys, by, asked):
    found = split(screen, by, perturbation=keys)
    single = screen.obs["drug"].isin(list("ABCDE"))
    assert set(found.test) == set(screen.obs_names[single & (column(screen, by) == asked)])
    assert found.how["test"] == list("ABCDE")
    assert found.reason == by
    left = screen.obs.loc[found.train, "drug"].str.contains("+", regex=False)
    if by in ("higher dose", "later"):
        assert not left.any(), "combinations at that dose would tell"
        assert len(found.outside) == 36
        assert set(found.outside) == {"its targets are there with others, at what is asked about"}
    else:
        assert left.sum() == 36
        assert found.outside.empty


def test_of_some_targets(screen, keys):
    found = split(screen, "higher dose", perturbation=keys, test=["A", "E"], calibration=0.4)
    assert set(screen.obs.loc[found.test, "drug"]) == {"A", "E"}
    (aside,) = found.how["calibration_items"]
    assert set(screen.obs.loc[found.calibration, "dose"]) == {"10"}
    assert set(screen.obs.loc[found.calibration, "drug"]) == {aside}
    told = screen.obs.loc[found.outside.index, "drug"]
    assert all({"A", "E", aside} & set(name.split("+")) for name in told)


def test_nothing_to_leave_out(screen, keys):
    one = screen[screen.obs["dose"].isin(["0", "10"])]
    with pytest.raises(ValueError, match="No condition of these data can be left out so that it is new by 'higher dos"):
        split(one, "higher dose", perturbation=keys)
