"""Splits are disjoint, of the data, and new in the way they say."""

import numpy as np
import pandas as pd
import pytest

import scvcell
from scvcell import PerturbationKeys, risk
from scvcell.response import NOVELTIES
from scvcell.risk import Split


@pytest.fixture(scope="module")
def screen():
    """Doses and times of three targets and their pairs in two lines: obs is all that matters."""
    rng = np.random.default_rng(0)
    rows = [("control", 0.0, hours, line) for line in "xy" for hours in (3, 8, 24) for _ in range(4)]
    rows += [
        (name, dose, hours, line)
        for line in "xy"
        for name in ("A", "B", "C")
        for dose in (0.1, 1.0, 10.0)
        for hours in (3, 8, 24)
        for _ in range(3)
    ]
    rows += [(name, "10+10", 24, line) for line in "xy" for name in ("A+B", "B+C") for _ in range(3)]
    obs = pd.DataFrame(rows, columns=["drug", "dose", "hours", "line"]).astype({"dose": str})
    obs.index = [f"c{i}" for i in rng.permutation(len(obs))]
    adata = scvcell.datasets.simulate(len(obs), n_genes=20, n_proteins=4, paired=1.0, seed=0)["rna"]
    adata.obs = obs
    keys = PerturbationKeys("drug", control="control", dose="dose", time="hours", context="line")
    return adata, keys


def names(*cells):
    return pd.Index(list(cells))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("ab", "", ""), "test has no cells"),
        (("", "c", "d"), "train has no cells"),
        (("ab", "c", "bd"), "train and test share 1 cells, e.g. 'b'"),
        (("ab", "ca", "d"), "train and calibration share 1 cells, e.g. 'a'"),
        (("aa", "c", "d"), "train names 'a' twice"),
    ],
)
def test_parts_are_disjoint_and_there(parts, message):
    with pytest.raises(ValueError, match=message):
        Split(*(names(*part) for part in parts))


def test_a_split_says_what_it_is():
    split = Split(names("a", "b"), names(), names("d"), "another donor")
    assert repr(split) == "Split(train 2, calibration 0, test 1: another donor)"
    assert split == Split(names("b", "a"), names(), names("d"), "another donor")
    assert split != Split(names("a"), names("b"), names("d"), "another donor")


def test_cells_of_other_data_are_refused(mosaic):
    split = Split(names("cell0000"), names(), names("nobody", "cell0001"))
    with pytest.raises(ValueError, match=r"test names 1 cells that the data lack, e\.g\. 'nobody'"):
        split.check(mosaic(60))


def test_pairs_are_hidden_of_paired_cells_alone(mosaic):
    mdata = mosaic(150)
    paired = mdata["rna"].obs_names.intersection(mdata["adt"].obs_names)
    split = risk.hide_pairing(mdata, "rna", "adt", share=0.4, calibration=0.2, seed=1)
    assert len(split.test) == round(0.4 * len(paired))
    assert split.test.isin(paired).all()
    assert len(split.calibration) == round(0.2 * (150 - len(split.test)))
    assert len(split.train) + len(split.calibration) + len(split.test) == 150
    again, other = (risk.hide_pairing(mdata, "rna", "adt", share=0.4, seed=s) for s in (1, 2))
    assert again.test.equals(split.test)
    assert not other.test.equals(split.test)
    some = risk.hide_pairing(mdata, "rna", "adt", cells="batch == 'b0'")
    assert sorted(some.test) == sorted(paired[(mdata.obs["batch"].loc[paired] == "b0").to_numpy()])
    with pytest.raises(ValueError, match="0 cells with both 'rna' and 'adt' are to be hidden"):
        risk.hide_pairing(mdata, "rna", "adt", cells=mdata.obs_names.difference(paired))


def test_groups_are_left_out_whole(mosaic):
    mdata = mosaic(150)
    split = risk.hold_out(mdata, "batch", "b1", calibration=0.1)
    assert sorted(split.test) == sorted(mdata.obs_names[mdata.obs["batch"] == "b1"])
    assert split.reason == "another batch"
    each = list(risk.hold_out_each(mdata, "celltype"))
    assert [split.how["test"] for split in each] == [["alpha"], ["beta"], ["gamma"]]
    assert sum(len(split.test) for split in each) == 150
    with pytest.raises(ValueError, match=r"obs\['batch'\] has no 'B1'\. Did you mean 'b1'\? It has b0, b1\."):
        risk.hold_out(mdata, "batch", "B1")
    with pytest.raises(ValueError, match="train has no cells"):
        risk.hold_out(mdata, "batch", ["b0", "b1"])
    with pytest.raises(ValueError, match="calibration is a share"):
        risk.hold_out(mdata, "batch", "b1", calibration=1.0)


def test_actions_are_left_out_in_folds_and_controls_never(screen):
    adata, keys = screen
    label = adata.obs["drug"]
    splits = list(risk.hold_out_actions(adata, keys, folds=4, seed=3))
    assert sorted(np.concatenate([split.test for split in splits])) == sorted(adata.obs_names[label != "control"])
    pairs = list(risk.hold_out_actions(adata, keys, folds=2, combinations=True))
    assert [set(label.loc[split.test]) for split in pairs] in ([{"A+B"}, {"B+C"}], [{"B+C"}, {"A+B"}])
    with pytest.raises(ValueError, match="folds must lie between 1 and the number of actions to leave out, 2"):
        list(risk.hold_out_actions(adata, keys, folds=3, combinations=True))


@pytest.mark.parametrize("novelty", NOVELTIES)
def test_what_is_left_out_is_new_in_that_way(screen, novelty):
    adata, keys = screen
    obs = adata.obs
    splits = list(risk.hold_out_new(adata, keys, novelty))
    assert len(splits) >= 2
    for split in splits:
        left, kept = obs.loc[split.test], obs.loc[split.train]
        assert set(left["line"]) == {"x", "y"}, "in all contexts"
        assert split.reason == novelty
        mine = kept[kept["drug"].isin(set(left["drug"]))]
        if novelty == "new target":
            shared = [set(name.split("+")) for name in left["drug"].unique()]
            (target,) = set.intersection(*shared)
            assert not any(target in name.split("+") for name in kept["drug"])
        elif novelty == "new combination":
            assert not len(mine)
            parts = {part for name in left["drug"] for part in name.split("+")}
            assert parts <= {part for name in kept["drug"] for part in name.split("+")}
        else:
            column = "hours" if novelty in ("later", "earlier", "time between") else "dose"
            here, there = (frame[column].map(lambda x: float(str(x).split("+")[0])) for frame in (left, mine))
            assert here.nunique() == 1
            above, below = (there > here.iloc[0]).any(), (there < here.iloc[0]).any()
            side = {"higher dose": (False, True), "later": (False, True), "lower dose": (True, False)}
            assert (above, below) == (side | {"earlier": (True, False)}).get(novelty, (True, True))
            assert not (there == here.iloc[0]).any()


def test_a_way_that_there_is_not(screen):
    adata, keys = screen
    with pytest.raises(ValueError, match=r"novelty must be one of .*Did you mean 'higher dose'"):
        list(risk.hold_out_new(adata, keys, "highest dose"))
    plain = PerturbationKeys("drug", control="control", context="line")
    singles = adata[~adata.obs["drug"].str.contains("+", regex=False)].copy()
    with pytest.raises(ValueError, match="No condition of these data can be left out so that it is new by 'later'"):
        list(risk.hold_out_new(singles, plain, "later"))
