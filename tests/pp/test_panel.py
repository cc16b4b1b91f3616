"""pp.panels: the genes of both are one assay, the others another; what does not fit together is refused."""

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

import scvcell
from scvcell._containers import Space, view


def panels(scene, **given):
    return scvcell.pp.panels(given.pop("reference", scene.reference), given.pop("spatial", scene.tissue), **given)


@pytest.fixture(scope="module")
def scene(panel):
    return panel(60)


def test_panel_and_rest_hold_what_was_given(scene, fingerprint):
    before = fingerprint(scene.reference), fingerprint(scene.tissue)
    mdata = panels(scene)
    assert (fingerprint(scene.reference), fingerprint(scene.tissue)) == before
    assert {name: table.shape for name, table in mdata.mod.items()} == {"panel": (120, 40), "rest": (60, 30)}
    genes = scene.tissue.var_names
    for given in (scene.reference, scene.tissue):
        held = mdata["panel"][given.obs_names]
        np.testing.assert_array_equal(held[:, genes].X.toarray(), given[:, genes].X.toarray())
    rest = mdata["rest"]
    np.testing.assert_array_equal(rest.X.toarray(), scene.reference[rest.obs_names, rest.var_names].X.toarray())
    assert not rest.var_names.isin(genes).any()
    assert (mdata.obs["platform"] == ["reference" if n.startswith("ref") else "spatial" for n in mdata.obs_names]).all()
    assert mdata.obs.loc[scene.tissue.obs_names, "kind"].tolist() == scene.tissue.obs["kind"].tolist()


def test_places_are_those_of_the_tissue(scene):
    space = Space.of(view(panels(scene)))
    at = space.names.get_indexer(scene.tissue.obs_names)
    np.testing.assert_array_equal(space.xy[at], scene.tissue.obsm["spatial"])
    assert np.isfinite(space.xy).all(1).sum() == 60
    bare = scene.tissue.copy()
    del bare.obsm["spatial"]
    assert "spatial" not in panels(scene, spatial=bare).obsm


def test_a_fit_recognises_the_assays(scene, quick):
    model = scvcell.tl.fit(panels(scene), batch_key="platform", train=quick)
    assert {m: s.operator for m, s in model.schema.modalities.items()} == {"panel": "counts", "rest": "counts"}
    assert model.schema.batches == ["reference", "spatial"]


def test_other_assays_of_the_reference_come_along(scene):
    mdata = panels(scene, reference=MuData({"rna": scene.reference, "adt": scene.adt}))
    assert list(mdata.mod) == ["panel", "rest", "adt"]
    alone = scene.reference[:, scene.tissue.var_names].copy()
    assert list(panels(scene, reference=MuData({"rna": alone, "adt": scene.adt})).mod) == ["panel", "adt"]


def test_counts_in_a_layer_and_in_other_forms(scene, stored, form):
    tissue = stored(scene.tissue, form)
    want = panels(scene)
    np.testing.assert_array_equal(panels(scene, spatial=tissue)["panel"].X.toarray(), want["panel"].X.toarray())


def test_counts_in_a_layer(scene):
    log = scene.reference.copy()
    log.layers["counts"] = log.X.copy()
    log.X = log.X.log1p()
    np.testing.assert_array_equal(
        panels(scene, reference=log, layer="counts")["rest"].X.toarray(), panels(scene)["rest"].X.toarray()
    )
    with pytest.raises(ValueError, match=r"reference data hold values that are not whole.*layer=, one of \['counts'\]"):
        panels(scene, reference=log)


def renamed(adata, names):
    out = adata.copy()
    out.var_names = names
    return out


def test_what_the_tissue_alone_has_is_left_out(scene, caplog):
    names = list(scene.tissue.var_names)
    names[0], names[5] = "BLANK_1", "NegControl"
    with caplog.at_level("INFO", "scvcell"):
        mdata = panels(scene, spatial=renamed(scene.tissue, names))
    assert mdata["panel"].n_vars == 38
    assert "2 of 40 features of the tissue are not in the reference" in caplog.text
    assert "share 38 features only" in caplog.text


def test_names_that_do_not_meet(scene):
    ids = [f"ENSG{i:011d}" for i in range(40)]
    with pytest.raises(
        ValueError, match=r"share 0 features; 10 are needed.*spatial data are Ensembl ids.*\['symbol'\]"
    ):
        panels(scene, spatial=renamed(scene.tissue, ids))
    with pytest.raises(ValueError, match=r"reference data are Ensembl ids"):
        panels(scene, reference=renamed(scene.reference, [f"ENSG{i:011d}" for i in range(70)]))
    with pytest.raises(ValueError, match="40 of them are alike but for case"):
        panels(scene, spatial=renamed(scene.tissue, scene.tissue.var_names.str.upper()))
    with pytest.raises(ValueError, match="share 3 features"):
        panels(scene, spatial=scene.tissue[:, :3].copy())
    with pytest.raises(ValueError, match="Are both of one species"):
        panels(scene, spatial=renamed(scene.tissue, [f"x{i}" for i in range(40)]))


def test_names_that_come_twice(scene):
    names = list(scene.tissue.var_names)
    names[1] = names[0]
    with pytest.raises(ValueError, match="must be unique"):
        panels(scene, spatial=renamed(scene.tissue, names))
    twin = scene.tissue.copy()
    twin.obs_names = [scene.reference.obs_names[0], *twin.obs_names[1:]]
    with pytest.raises(ValueError, match=r"1 cells have one name in reference and tissue, e.g. 'ref000'"):
        panels(scene, spatial=twin)


def test_what_else_is_refused(scene):
    with pytest.raises(ValueError, match="nothing to impute"):
        panels(scene, reference=scene.reference[:, scene.tissue.var_names].copy())
    with pytest.raises(ValueError, match=r"have a column obs\['kind'\] already"):
        panels(scene, key_added="kind")
    with pytest.raises(ValueError, match="spatial data have the modalities"):
        panels(scene, spatial=MuData({"rna": scene.tissue, "adt": AnnData(np.ones((60, 2)), scene.tissue.obs[[]])}))
    negative = scene.tissue.copy()
    negative.X = sp.csr_matrix(negative.X.toarray() - 1)
    with pytest.raises(ValueError, match="spatial data hold values that are negative"):
        panels(scene, spatial=negative)
    with pytest.raises(TypeError, match="Expected AnnData, MuData or SpatialData"):
        panels(scene, spatial="xenium.h5ad")
