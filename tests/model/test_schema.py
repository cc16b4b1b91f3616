"""A schema and its inverse; design and batches of cells by it."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import scvcell
from scvcell._containers._read import view
from scvcell.model._schema import Schema
from scvcell.model._set_up import read_schema


class TestBuild:
    def test_is_plain_and_comes_back(self, mosaic):
        schema = read_schema(
            view(mosaic()),
            batch_key="batch",
            covariates=("celltype", "age"),
            measure={"rna": ("counts", {"likelihood": "zinb"})},
        )
        again = Schema.from_dict(json.loads(json.dumps(schema.as_dict())))
        assert again == schema
        assert schema.batches == ["b0", "b1"]
        assert schema.categorical == {"celltype": ["alpha", "beta", "gamma"]}
        assert schema.n_context == 2 + 3 + 1

    def test_design_is_one_hot_and_standardised(self, mosaic):
        mdata = mosaic()
        seen = view(mdata)
        design, batch = read_schema(seen, batch_key="batch", covariates=("celltype", "age")).context(seen)
        obs, design = mdata.obs, design[:]
        np.testing.assert_array_equal(batch, (obs["batch"] == "b1").astype(int))
        np.testing.assert_array_equal(design[:, :2], np.eye(2)[batch])
        np.testing.assert_array_equal(design[:, 2:5], pd.get_dummies(obs["celltype"].astype(str)).to_numpy(float))
        np.testing.assert_allclose(design[:, 5], (obs["age"] - obs["age"].mean()) / obs["age"].std(ddof=0), rtol=1e-4)

    def test_constant_covariate(self, mosaic):
        mdata = mosaic()
        mdata.obs["age"] = 3.0
        seen = view(mdata)
        assert (read_schema(seen, covariates=("age",)).context(seen)[0][:][:, -1] == 0).all()

    def test_columns_only_in_the_modalities(self, mosaic, quick):
        mdata = mosaic(90)
        expected = mdata.obs["batch"].astype(str).tolist()
        mdata.obs = mdata.obs[[]]
        model = scvcell.tl.fit(mdata, batch_key="batch", covariates=("age",), train=quick)
        _, batch = model.schema.context(view(mdata))
        assert [model.schema.batches[b] for b in batch] == expected


AS_HELD = {
    "float": lambda s: s.astype(float),
    "float32": lambda s: s.astype("float32"),
    "Int64": lambda s: s.astype("Int64"),
    "object": lambda s: s.astype(object),
    "text": lambda s: s.astype(str),
    "string": lambda s: s.astype(str).astype("string"),
    "category": lambda s: s.astype("category"),
    "category of floats": lambda s: s.astype(float).astype("category"),
}


@pytest.mark.parametrize("place", ["container", "modalities"])
@pytest.mark.parametrize("held", list(AS_HELD))
def test_whole_numbers_are_the_same_batches_and_covariates_in_every_type(mosaic, held, place):
    mdata, number = mosaic(), np.arange(150) % 3
    schema = read_schema(view(mdata), batch_key="batch")
    schema = replace(schema, batch_key="lane", batches=["0", "1", "2"])
    columns = pd.DataFrame({"lane": number, "donor": number, "dose": number}, index=mdata.obs_names)
    columns["lane"] = AS_HELD[held](columns["lane"])
    columns["donor"] = AS_HELD[held](columns["donor"]).astype("category")
    for part in (mdata,) if place == "container" else mdata.mod.values():
        for name in columns:
            part.obs[name] = columns[name].loc[part.obs_names]
    found = read_schema(view(mdata), batch_key="lane", covariates=["donor", "dose"])
    assert found.batches == ["0", "1", "2"]
    assert found.categorical == {"donor": ["0", "1", "2"]}
    assert list(found.continuous) == ["dose"]
    assert schema.context(view(mdata))[1].tolist() == number.tolist()
    assert schema.unseen_batches(view(mdata)) == []
    text = scvcell.pp.modality_from_obs(mdata, "donor")
    assert text.var_names.tolist() == ["0", "1", "2"]
    assert text.X.argmax(1).tolist() == number.tolist()


def test_panels_are_found_by_the_labels_of_batches(mosaic):
    mdata = mosaic()
    adt = mdata["adt"]
    for columns in ([0, 1], [0.0, 1.0], ["0", "1"], pd.CategoricalIndex([0, 1])):
        frame = pd.DataFrame(True, index=adt.var_names, columns=columns)
        frame.iloc[2, 1] = False
        adt.varm["observed"] = frame.set_axis(columns, axis=1)
        assert np.argwhere(~view(mdata).panel("adt", ["0", "1"])).tolist() == [[1, 2]]


def test_unknown_categories_are_named(mosaic):
    mdata = mosaic()
    schema = read_schema(view(mdata), batch_key="batch", covariates=("celltype",))
    for key, new in (("batch", "b9"), ("celltype", "delta")):
        other = mdata.copy()
        other.obs[key] = new
        with pytest.raises(ValueError, match=rf"obs\['{key}'\] has categories the model does not know: \['{new}'\]"):
            schema.context(view(other))
