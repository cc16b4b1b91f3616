"""What is taken from scvi-tools' lifecycle, and what of it has no meaning here."""

import gc

import pytest

import scvcell
from scvcell._compat import Manager, ModelLifecycle


def test_what_is_listed_of_a_model_works(small):
    for listed in (dir(scvcell.CSL), dir(small.model)):
        assert {"get_normalized_expression", "differential_expression", "train", "history"} <= set(listed)
        assert not {"differential_abundance", "get_var_names", "view_registry", "setup_annbatch"} & set(listed)
    for name in dir(small.model):
        getattr(small.model, name)
    with pytest.raises(AttributeError, match=r"CSL has no differential_abundance.*pertpy"):
        small.model.differential_abundance()


def test_a_setup_is_remembered_as_long_as_its_data(mosaic):
    mdata = mosaic(30)
    key = id(mdata)
    scvcell.CSL.setup_mudata(mdata)
    manager = scvcell.CSL._get_most_recent_anndata_manager(mdata)
    assert manager.adata is mdata
    assert ModelLifecycle._setups[key][1].adata is None, "what is remembered does not keep data alive"
    assert scvcell.CSL._get_most_recent_anndata_manager(mdata.copy()) is None
    with pytest.raises(ValueError, match="Set up the data first"):
        scvcell.CSL._get_most_recent_anndata_manager(mdata.copy(), required=True)
    del mdata, manager
    gc.collect()
    assert key not in ModelLifecycle._setups


def test_a_manager_marks_nothing_and_holds_the_schema(mosaic, fingerprint):
    mdata = mosaic(30)
    before = fingerprint(mdata)
    manager = Manager(mdata, model_name="X", method="set_up", setup_args={"a": 1}, schema={"b": 2})
    manager.validate()
    assert manager.registry["schema"] == {"b": 2}
    assert manager.registry["setup_args"] == {"a": 1}
    assert (
        manager.adata_uuid
        == manager.adata_uuid
        != Manager(mdata, model_name="X", method="set_up", setup_args={}, schema={}).adata_uuid
    )
    assert fingerprint(mdata) == before


def test_a_model_forgets_its_data_when_asked(mosaic):
    mdata = mosaic(30)
    scvcell.CSL.setup_mudata(mdata)
    model = scvcell.CSL(mdata)
    assert model.get_anndata_manager(mdata) is not None
    assert model.get_anndata_manager(mdata.copy()) is None
    assert model.__getstate__()["_adata"] is None
    assert model.adata is mdata
    model.forget()
    assert model.adata is None
