"""tl.transfer_labels against a vote counted by hand; abstention; mistakes."""

import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import scvcell


def vote_by_hand(latent, labels, reference, k):
    """Label and share of votes of every cell; a reference cell does not vote for itself."""
    out = []
    for i, x in enumerate(latent):
        distance = np.linalg.norm(latent - x, axis=1)
        distance[~reference] = np.inf
        distance[i] = np.inf
        near = np.argsort(distance)[:k]
        names, counts = np.unique(labels[near], return_counts=True)
        out.append((names[counts.argmax()], counts.max() / k))
    return out


@pytest.mark.parametrize("k", [1, 5, 20])
def test_votes_are_counted(small, k):
    mdata = small.mdata.copy()
    # labels that have nothing to do with the state, so that neighbours disagree
    mdata.obs["coin"] = np.random.default_rng(0).choice(["heads", "tails"], mdata.n_obs, p=[0.7, 0.3])
    reference = (mdata.obs["batch"] == "b0").to_numpy()
    scvcell.tl.transfer_labels(mdata, small.model, key="coin", reference=reference, k=k)
    expected = vote_by_hand(mdata.obsm["X_csl"], mdata.obs["coin"].to_numpy(dtype=str), reference, k)
    share = np.array([p for _, p in expected])
    np.testing.assert_allclose(mdata.obs["coin_transferred_probability"], share, rtol=1e-6)
    same = mdata.obs["coin_transferred"].astype(str).to_numpy() == np.array([name for name, _ in expected])
    assert same[share != 0.5].all()


def test_labels_cross_from_one_assay_to_the_other(small):
    mdata = small.mdata.copy()
    view = small.model.view(mdata)
    only_rna, only_adt = (view.present(a) & ~view.present(b) for a, b in (("rna", "adt"), ("adt", "rna")))
    scvcell.tl.transfer_labels(mdata, small.model, key="celltype", reference=mdata.obs_names[only_rna])
    right = (mdata.obs["celltype_transferred"].astype(str) == mdata.obs["celltype"].astype(str)).to_numpy()
    assert right[only_adt].mean() > 0.6, "chance is a third"


def test_missing_labels_are_filled_and_known_ones_used(small):
    mdata = small.mdata.copy()
    unknown = np.random.default_rng(0).random(mdata.n_obs) < 0.5
    mdata.obs["partly"] = mdata.obs["celltype"].astype(object).where(~unknown)
    scvcell.tl.transfer_labels(mdata, small.model, key="partly", key_added="guess")
    assert mdata.obs["guess"].notna().all()
    right = (mdata.obs["guess"].astype(str) == mdata.obs["celltype"].astype(str)).to_numpy()
    assert right[unknown].mean() > 0.8
    assert {"guess", "guess_probability", "guess_trusted"} <= set(mdata.obs)


def test_columns_only_in_the_modalities(small):
    mdata = small.mdata.copy()
    mdata.obs["celltype"] = mdata.obs["celltype"].astype(str)
    del mdata.obs["celltype"]
    scvcell.tl.transfer_labels(mdata, small.model, key="celltype")
    assert mdata.obs["celltype_transferred"].notna().all()


def test_abstention_by_votes_and_by_distance(small):
    mdata = small.mdata.copy()
    scvcell.tl.transfer_labels(mdata, small.model, key="celltype", min_probability=0.9)
    probability, trusted = mdata.obs["celltype_transferred_probability"], mdata.obs["celltype_transferred_trusted"]
    assert not trusted[probability < 0.9].any()
    assert trusted[probability >= 0.9].mean() > 0.9
    # only one type is known: the others are far from every labelled cell of it, and must not be trusted as such
    kind = mdata.obs["celltype"] == "alpha"
    scvcell.tl.transfer_labels(mdata, small.model, key="celltype", reference=kind.to_numpy(), key_added="alpha_only")
    assert (mdata.obs["alpha_only_probability"] == 1).all()
    assert mdata.obs["alpha_only_trusted"][kind].mean() > 0.9
    assert mdata.obs["alpha_only_trusted"][~kind].mean() < 0.5


def test_an_anndata_and_new_data(small):
    adata = small.mdata["rna"].copy()
    scvcell.tl.transfer_labels(adata, small.model, key="celltype")
    assert (adata.obs["celltype_transferred"].astype(str) == adata.obs["celltype"].astype(str)).mean() > 0.8


def test_order_of_cells_does_not_matter(small):
    mdata = small.mdata.copy()
    shuffled = mdata[np.random.default_rng(0).permutation(mdata.n_obs)].copy()
    names = mdata.obs_names[::2]
    for data in (mdata, shuffled):
        scvcell.tl.transfer_labels(data, small.model, key="celltype", reference=names)
    pd.testing.assert_series_equal(
        shuffled.obs.loc[mdata.obs_names, "celltype_transferred_probability"],
        mdata.obs["celltype_transferred_probability"],
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"key": "cell_type"}, KeyError, "No obs column 'cell_type'"),
        (
            {"key": "celltype", "reference": ["ghost"]},
            ValueError,
            "reference has 1 names that the data lack, e.g. 'ghost'",
        ),
        (
            {"key": "celltype", "reference": np.array([True])},
            ValueError,
            "reference is a mask of 1 entries for 300 cells",
        ),
        ({"key": "celltype", "reference": ["cell0000"]}, ValueError, "At least 2 reference cells .* there are 1"),
        ({"key": "celltype", "k": 100_000}, ValueError, "k=100000 .* there are 300 reference cells"),
        ({"key": "celltype", "k": 2.5}, TypeError, "k must be a whole number"),
        ({"key": "celltype", "k": 0}, ValueError, "k must be at least 1 .* not 0 and"),
        ({"key": "celltype", "min_probability": 60}, ValueError, r"min_probability in \[0, 1\], not 5 and 60"),
    ],
)
def test_mistakes_change_nothing(small, fingerprint, options, error, message):
    mdata = small.mdata.copy()
    before = fingerprint(mdata)
    with pytest.raises(error, match=message):
        scvcell.tl.transfer_labels(mdata, small.model, **options)
    assert fingerprint(mdata) == before


def test_nothing_else_is_written(small, fingerprint):
    mdata = small.mdata.copy()
    written = tuple(f".obs/celltype_transferred{s}" for s in ("", "_probability", "_trusted"))
    before = fingerprint(mdata, without=written)
    scvcell.tl.transfer_labels(mdata, small.model, key="celltype")
    assert fingerprint(mdata, without=written) == before


@pytest.mark.parametrize("how", ["anndata", "mudata", "subset"])
def test_labels_of_other_data(small, how):
    reference = small.mdata[small.mdata.obs["batch"] == "b0"].copy()
    query = small.mdata[small.mdata.obs["batch"] == "b1"].copy()
    truth = query.obs.pop("celltype").astype(str)
    for part in query.mod.values():
        part.obs = part.obs.drop(columns="celltype", errors="ignore")
    if how == "anndata":
        reference = reference["rna"].copy()
    scvcell.tl.transfer_labels(query, small.model, key="celltype", reference=reference)
    right = (query.obs["celltype_transferred"].astype(str) == truth).mean()
    assert right > 0.8
    assert "celltype_transferred" not in reference.obs


def test_reference_data_are_those_cells_of_the_same_data(small):
    """A container that holds cells of the data counts as these cells: none has its own vote."""
    mask = (small.mdata.obs["batch"] == "b0").to_numpy()
    found = []
    for reference in (mask, small.mdata[mask].copy(), "batch == 'b0'"):
        mdata = small.mdata.copy()
        scvcell.tl.transfer_labels(mdata, small.model, key="celltype", reference=reference)
        found.append(mdata.obs[[f"celltype_transferred{s}" for s in ("", "_probability", "_trusted")]])
    for other in found[1:]:
        pd.testing.assert_frame_equal(other, found[0], atol=1e-6)


def test_names_that_other_data_share_by_chance(small):
    """Cells of other data with the names of these are other cells, and vote."""
    query = small.mdata.copy()
    reference = query[np.random.default_rng(0).permutation(query.n_obs)].copy()
    truth = reference.obs["celltype"].astype(str).to_numpy()
    parts = {}
    for name, part in reference.mod.items():
        rows = {cell: f"cell{i:04d}" for i, cell in enumerate(reference.obs_names)}
        part = part.copy()
        part.obs_names = [rows[cell] for cell in part.obs_names]
        parts[name] = part
    other = MuData(parts)
    other.obs["celltype"] = pd.Series(truth, index=[f"cell{i:04d}" for i in range(len(truth))]).loc[other.obs_names]
    scvcell.tl.transfer_labels(query, small.model, key="celltype", reference=other, k=1)
    # the nearest reference cell is the cell itself, under another name
    assert (query.obs["celltype_transferred"].astype(str) == query.obs["celltype"].astype(str)).mean() > 0.98


def test_numbers_are_labels_only_where_they_are_few(small):
    mdata = small.mdata.copy()
    code = mdata.obs["celltype"].astype("category").cat.codes
    for values in (code.astype(int), code.astype(float)):
        mdata.obs["leiden"] = values
        scvcell.tl.transfer_labels(mdata, small.model, key="leiden")
        assert mdata.obs["leiden_transferred"].dtype == values.dtype
        assert (mdata.obs["leiden_transferred"] == mdata.obs["leiden"]).mean() > 0.8
    for values in (np.arange(300), np.linspace(0, 1, 300), code + 0.5):
        mdata.obs["number"] = np.asarray(values)
        with pytest.raises(ValueError, match=r"obs\['number'\] holds .* different numbers, not labels"):
            scvcell.tl.transfer_labels(mdata, small.model, key="number")


def test_annotation_of_the_user_is_not_written_over(small, fingerprint):
    mdata = small.mdata.copy()
    before = fingerprint(mdata)
    for verb, message in (
        (lambda: scvcell.tl.transfer_labels(mdata, small.model, key="celltype", key_added="celltype"), "'celltype'"),
        (lambda: scvcell.tl.embed(mdata, small.model, key_added="X_pca"), "X_pca"),
        (lambda: scvcell.tl.transfer_labels(mdata, small.model, key="celltype", key_added="a/b"), "without '/'"),
    ):
        if message == "X_pca":
            mdata.obsm["X_pca"] = np.zeros((mdata.n_obs, 2))
            before = fingerprint(mdata)
        with pytest.raises(ValueError, match=message):
            verb()
        assert fingerprint(mdata) == before
    with pytest.raises(TypeError, match="key_added must be text"):
        scvcell.tl.embed(mdata, small.model, key_added=5)
    for _ in range(2):
        scvcell.tl.transfer_labels(mdata, small.model, key="celltype", key_added="guess")
        scvcell.tl.embed(mdata, small.model, key_added="X_new")
    del mdata.obs["csl_uncertainty"]
    scvcell.tl.embed(mdata, small.model)
