"""Cells are chosen the same way everywhere: in the user's order, by name, and clear about what it cannot read."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from scvcell._containers._gather import unique_names
from scvcell._containers._read import view
from scvcell._containers._select import choose
from scvcell._labels import label, labels

N = 40


@pytest.fixture
def adata():
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {
            "kind": pd.Categorical(rng.choice(["a", "b", "c"], N)),
            "depth": rng.integers(100, size=N),
            "good": rng.random(N) < 0.5,
            "some": pd.array(rng.choice([True, False, None], N), dtype="boolean"),
            "day of life": rng.integers(3, size=N),
        },
        index=[f"cell{i}" for i in rng.permutation(N)],
    )
    return AnnData(np.ones((N, 2), np.float32), obs=obs)


def test_every_way_of_a_mask_is_one_mask(adata):
    mask = (adata.obs["kind"] == "a") & (adata.obs["depth"] > 20)
    ways = [
        "kind == 'a' and depth > 20",
        mask,
        mask.sample(frac=1, random_state=0),
        mask.astype("boolean"),
        mask.astype(object),
        mask.to_numpy(),
        mask.tolist(),
        mask.reset_index(drop=True),
        set(adata.obs_names[mask]),
        adata.obs_names[mask],
        adata.obs_names[mask].tolist(),
        pd.Series(adata.obs_names[mask]),
        pd.Categorical(adata.obs_names[mask]),
        (name for name in adata.obs_names[mask]),
    ]
    for way in ways:
        np.testing.assert_array_equal(choose(view(adata), "cells", way), np.flatnonzero(mask))


def test_missing_entries_of_a_mask_are_false(adata):
    wanted = np.flatnonzero(adata.obs["some"].fillna(False))
    for way in ("some", adata.obs["some"], adata.obs["some"].astype(object), adata.obs["some"].to_numpy(object)):
        np.testing.assert_array_equal(choose(view(adata), "cells", way), wanted)


def test_names_keep_order_and_repeats(adata):
    names = np.random.default_rng(1).choice(adata.obs_names, 60)
    at = choose(view(adata), "cells", names)
    assert list(adata.obs_names[at]) == list(names)
    assert len(choose(view(adata), "cells", [])) == 0
    assert list(adata.obs_names[choose(view(adata), "cells", "cell7")]) == ["cell7"]


def test_queries_see_every_column_by_its_type(adata):
    seen = view(adata)
    np.testing.assert_array_equal(
        choose(seen, "cells", "`day of life` < 2 and ~good"),
        np.flatnonzero((adata.obs["day of life"] < 2) & ~adata.obs["good"]),
    )
    part = seen.subset(np.arange(N)[::-1])
    assert set(part.obs_names[choose(part, "cells", "kind == 'b'")]) == set(adata.obs_names[adata.obs["kind"] == "b"])


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (lambda a: a, TypeError, r"goal= takes a query .* not AnnData.*goal=other.obs_names"),
        (lambda a: a[:3], TypeError, "not AnnData"),
        (lambda a: MuData({"rna": a}), TypeError, "not MuData"),
        (lambda a: np.arange(3), TypeError, r"holds numbers, e.g. .*goal=data.obs_names\[positions\]"),
        (lambda a: [0.5], TypeError, "holds numbers"),
        (lambda a: 3, TypeError, "not int"),
        (lambda a: None, TypeError, "not NoneType"),
        (lambda a: slice(3), TypeError, "not slice"),
        (lambda a: a.obs[["good"]], TypeError, "not DataFrame"),
        (lambda a: ["cell1", 2], TypeError, r"it holds 2 \(int\)"),
        (lambda a: ["cell1", "ghost", "spook"], ValueError, "2 names that the data lack, e.g. 'ghost'"),
        (lambda a: {"ghost"}, ValueError, "1 names that the data lack"),
        (lambda a: np.ones(3, bool), ValueError, "a mask of 3 entries for 40 cells"),
        (lambda a: np.ones((N, 1), bool), ValueError, "one dimension"),
        (lambda a: a.obs["good"][:5], ValueError, "mask of other cells: 5 entries.* 5 of the 40"),
        (lambda a: a.obs["good"].rename(lambda name: name + "-1"), ValueError, "has 0 of the 40 cells"),
        (lambda a: "knd == 'a'", ValueError, "no obs column 'knd'. Did you mean 'kind'.*Columns: kind, depth"),
        (lambda a: "a", ValueError, "Did you mean \"kind == 'a'\""),
        (lambda a: "kind == @wanted", ValueError, "variables .* are not seen"),
        (lambda a: "kind ==", ValueError, "neither the name of a cell nor a query.*Columns: kind"),
        (lambda a: "kind > 'a'", ValueError, "can be answered"),
        (lambda a: "kind", ValueError, 'does not say which cells.* "kind == '),
        (lambda a: "depth + 1", ValueError, "does not say which cells"),
    ],
)
def test_what_names_no_cells_is_refused(adata, value, error, message):
    with pytest.raises(error, match=message):
        choose(view(adata), "goal", value(adata))


def test_columns_of_a_part_are_those_of_its_cells(mosaic):
    """In any order, with repeats, of the container or of a modality, of a part of a part."""
    mdata = mosaic(80)
    kind = mdata.obs["celltype"].copy()
    mdata["rna"].obs["only"] = np.arange(mdata["rna"].n_obs)
    rng = np.random.default_rng(0)
    for data in (mdata, mdata[rng.permutation(mdata.n_obs)].copy()):
        for at in (rng.permutation(80), rng.integers(80, size=80), np.array([3, 3, 1])):
            part = view(data).subset(rng.permutation(80)).subset(at)
            assert list(part.column("celltype").astype(str)) == list(kind.loc[part.obs_names].astype(str))
            only = mdata["rna"].obs["only"].reindex(part.obs_names).astype(float)
            np.testing.assert_array_equal(part.column("only").astype(float), only)
            np.testing.assert_array_equal(part.obs()["only"].astype(float), only)


def test_columns_keep_their_type(mosaic, tmp_path):
    mdata = mosaic(60)
    del mdata.obs["celltype"]
    rna, adt = mdata["rna"], mdata["adt"]
    rna.obs["whole"], rna.obs["flag"] = np.arange(rna.n_obs), np.arange(rna.n_obs) % 2 == 0
    rna.obs["level"] = pd.Categorical(np.resize(["low", "high"], rna.n_obs), categories=["low", "high"], ordered=True)
    seen = view(mdata)
    obs = seen.obs(np.arange(60)[::-1])
    assert str(obs["whole"].dtype) == "Int64"
    assert str(obs["flag"].dtype) == "boolean"
    assert list(obs["level"].cat.categories) == ["low", "high"]
    assert obs["level"].cat.ordered
    assert str(seen.only(["rna"]).subset(np.flatnonzero(seen.present("rna"))).column("whole").dtype) == "int64"
    assert adt.n_obs < 60
    AnnData(np.ones((60, 1), np.float32), obs=obs).write_h5ad(tmp_path / "cells.h5ad")


def test_modalities_that_disagree_are_told_once(mosaic, caplog):
    mdata = mosaic(60)
    mdata["rna"].obs["note"], mdata["adt"].obs["note"] = "x", "y"
    both = mdata.obs_names.isin(mdata["rna"].obs_names) & mdata.obs_names.isin(mdata["adt"].obs_names)
    seen = view(mdata)
    seen.obs()
    assert not caplog.text, "columns that nobody asked for may differ"
    for _ in range(2):
        assert (seen.column("note")[both] == "x").all()
    assert caplog.text.count(f"different things of {both.sum()} cells") == 1


def test_numbers_and_text_are_one_label():
    assert {label(x) for x in (1, 1.0, "1", np.float32(1), np.int8(1))} == {"1"}
    assert (label(0.5), label(True)) == ("0.5", "True")
    column = pd.Series([0.0, np.nan, 2.0])
    assert labels(column).tolist() == ["0", None, "2"] or labels(column).isna().tolist() == [False, True, False]


def test_new_names_are_unique():
    names = unique_names(["a", "b", "a", "a"])
    assert names.is_unique
    assert list(names[:2]) == ["a", "b"]
