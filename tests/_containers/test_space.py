"""Space: neighbours against brute force, sections that share nothing, and where coordinates are found."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from scvcell._containers import Space, view


def table(xy, prefix="c", **obs):
    names = [f"{prefix}{i}" for i in range(len(xy))]
    adata = AnnData(np.ones((len(xy), 2), np.float32), obs=pd.DataFrame(obs, index=names))
    adata.obsm["spatial"] = np.asarray(xy)
    return adata


def space(xy, section=None, prefix="c"):
    if section is None:
        return Space.of(view(table(xy, prefix)))
    return Space.of(view(table(xy, prefix, slide=section)), "slide")


def apart(one, other, first, second):
    """Distances, infinite between sections and where a coordinate is not known."""
    found = np.sqrt(((one[:, None] - other[None]) ** 2).sum(2))
    return np.where((first[:, None] == second[None]) & np.isfinite(found), found, np.inf)


@pytest.fixture(params=[2, 3])
def scene(request):
    """60 units in two sections that lie on one another, one in ten without a place, and 25 others."""
    rng = np.random.default_rng(0)
    xy, there = rng.random((60, request.param)), rng.random((25, request.param))
    xy[::10, 0] = np.nan
    first, second = (np.array(["s1", "s2"])[rng.integers(2, size=n)] for n in (60, 25))
    return xy, first, there, second


def by_brute_force(distance, k):
    out = np.zeros(distance.shape)
    for row, each in zip(out, distance, strict=True):
        near = np.argsort(each)[:k]
        row[near[np.isfinite(each[near])]] = 1
    return out


@pytest.mark.parametrize("k", [1, 6, 50])
def test_nearest(scene, k):
    xy, first, there, second = scene
    here, other = space(xy, first), space(there, second, "d")
    own = apart(xy, xy, first, first)
    np.testing.assert_array_equal(here.nearest(k).matrix.toarray(), by_brute_force(own, k))
    np.fill_diagonal(own, np.inf)
    np.testing.assert_array_equal(here.nearest(k, itself=False).matrix.toarray(), by_brute_force(own, k))
    found = here.nearest(k, other=other)
    np.testing.assert_array_equal(found.matrix.toarray(), by_brute_force(apart(xy, there, first, second), k))
    assert (list(found.coarse[:1]), list(found.fine[:1])) == (["c0"], ["d0"])


def test_within_and_kernel(scene):
    xy, first, there, second = scene
    here, other = space(xy, first), space(there, second, "d")
    for of, distance in ((None, apart(xy, xy, first, first)), (other, apart(xy, there, first, second))):
        np.testing.assert_array_equal(here.within(0.3, other=of).matrix.toarray(), (distance <= 0.3).astype(float))
        wanted = np.where(distance <= 0.2, np.exp(-(distance**2) / (2 * 0.1**2)), 0)
        np.testing.assert_allclose(here.kernel(0.1, other=of, reach=2).matrix.toarray(), wanted)
    assert here.within(1e-9, other=other).matrix.nnz == 0


def test_sections_share_nothing():
    xy = np.zeros((6, 2))
    section = [1, 1, 2, 2, 2, None]
    here = space(xy, section)
    assert here.sections == ["1", "2"]
    wanted = np.equal.outer(here.section, here.section) * (here.section >= 0)
    for found in (here.nearest(9), here.within(1), here.kernel(1)):
        np.testing.assert_array_equal(found.matrix.toarray(), wanted)
    assert repr(here) == "Space of 6 units, 5 with coordinates, in 2 sections."
    unlike = space(xy, ["3"] * 3 + ["4"] * 3)
    for other in (unlike, space(xy)):
        with pytest.raises(ValueError, match=r"No section is in both: one has '1', '2', the other"):
            here.nearest(2, other=other)
    plain = space(xy)
    assert plain.nearest(9, other=space(xy, ["x"] * 6)).matrix.nnz == 36, "the only section of both is one"


def test_units_at_one_place():
    here = space(np.repeat([[0.0, 0.0], [5.0, 5.0]], [6, 2], axis=0))
    for k in (1, 2, 7):
        others, own = here.nearest(k, itself=False).matrix.toarray(), here.nearest(k).matrix.toarray()
        assert (others.diagonal() == 0).all()
        assert (own.diagonal() == 1).all()
        assert (others.sum(1) == k).all()
        assert (own.sum(1) == k).all()
    assert others[0].tolist() == [0, 1, 1, 1, 1, 1, 1, 1]
    assert space([[1.0, 1.0]]).nearest(3, itself=False).matrix.nnz == 0


def test_coordinates_of_one_modality_in_another_order():
    rng = np.random.default_rng(0)
    xy = rng.random((12, 2))
    rna, adt = table(xy), table(xy)[rng.permutation(12)[:8]].copy()
    adt = adt[:, :1].copy()
    adt.var_names = ["p"]
    del rna.obsm["spatial"]
    mdata = MuData({"rna": rna, "adt": adt})
    here = Space.of(view(mdata))
    of = dict(zip(adt.obs_names, adt.obsm["spatial"], strict=True))
    for name, found in zip(here.names, here.xy, strict=True):
        np.testing.assert_array_equal(found, of.get(name, [np.nan, np.nan]))
    some = view(mdata).subset(np.array([5, 0, 7]))
    np.testing.assert_array_equal(Space.of(some).xy, here.xy[[5, 0, 7]])
    rna.obsm["spatial"] = xy
    np.testing.assert_array_equal(
        Space.of(view(MuData({"adt": adt, "rna": rna}))).xy[:, 0].round(9).tolist(),
        [xy[int(name[1:]), 0].round(9) for name in MuData({"adt": adt, "rna": rna}).obs_names],
    )
    mdata.obsm["spatial"] = np.arange(24.0).reshape(12, 2)
    np.testing.assert_array_equal(Space.of(some).xy, [[10, 11], [0, 1], [14, 15]], "those of the container count first")


def test_what_is_refused():
    adata = table(np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"no obsm\['position'\].*Put them there"):
        Space.of(view(adata), key="position")
    with pytest.raises(KeyError, match="No obs column 'slide'"):
        Space.of(view(adata), "slide")
    with pytest.raises(ValueError, match="No unit has coordinates"):
        space(np.full((3, 2), np.nan))
    flat, deep = space(np.zeros((3, 2))), space(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="Coordinates have 2 and 3 dimensions"):
        flat.nearest(1, other=deep)
    for bad in (0, -1.0, np.nan, np.inf, "5", None):
        with pytest.raises(ValueError, match="radius must be a number above 0"):
            flat.within(bad)
        with pytest.raises(ValueError, match="width must be a number above 0"):
            flat.kernel(bad)
    with pytest.raises(ValueError, match="reach must be a number above 0"):
        flat.kernel(1.0, reach=0)
    for bad, error in ((0, ValueError), (2.5, TypeError)):
        with pytest.raises(error, match="k must be"):
            flat.nearest(bad)
    named = AnnData(np.ones((3, 1), np.float32))
    named.obsm["spatial"] = pd.DataFrame({"x": ["a"] * 3, "y": [1.0] * 3}, index=named.obs_names)
    with pytest.raises(ValueError, match=r"obsm\['spatial'\] holds values that are no numbers"):
        Space.of(view(named))


def test_spacing_is_of_other_places_of_the_section():
    xy = np.array([[0.0, 0.0], [0.0, 0.0], [3.0, 0.0], [0.5, 0.0], [9.0, 9.0], [np.nan, 0.0]])
    assert space(xy[[0, 2]]).spacing == 3
    found = space(xy, np.array(["a", "a", "a", "b", "c", "a"]))
    assert found.spacing == 3, "units at one place, in other sections and alone in theirs have no say"
    assert np.isnan(space(xy[:2]).spacing)


def test_places_if_there_are_any():
    there, nowhere = table(np.ones((3, 2))), table(np.ones((3, 2)))
    del nowhere.obsm["spatial"]
    assert Space.if_any(view(nowhere)) is None
    assert Space.if_any(view(there)).placed.all()
    there.obsm["spatial"][1, 0] = np.nan
    assert Space.if_any(view(there)).placed.tolist() == [True, False, True]
