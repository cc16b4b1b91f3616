"""A corpus that is opened for a fit holds no names and no column that nobody asked for."""

import anndata
import numpy as np
import pandas as pd
import pytest

from scvcell import _keys
from scvcell._containers import Corpus, open_corpus, view

pytest.importorskip("dask")


@pytest.fixture
def paths(tmp_path):
    rng, out = np.random.default_rng(0), []
    for number, genes in enumerate((["x", "y", "z"], ["z", "x"])):
        obs = pd.DataFrame(
            {"donor": f"d{number}", "age": 3.5, "extra": "e"}, index=[f"c{i + 5 * number}" for i in range(5)]
        )
        x = rng.poisson(2, (5, len(genes)))
        data = anndata.AnnData(x, obs, pd.DataFrame(index=genes), layers={"counts": x + 1})
        out.append(tmp_path / f"{number}.h5ad")
        data.write_h5ad(out[-1])
    return out


@pytest.mark.parametrize("layer", [None, "counts"])
def test_cells_are_known_by_number_and_columns_are_those_asked_for(paths, layer):
    corpus = open_corpus(paths, batch_key="donor", columns=["age"], optional=["absent"], layers=layer)
    assert isinstance(corpus, Corpus)
    assert list(corpus.obs) == ["donor", "age"]
    assert (corpus.obs["age"] == 3.5).all()
    seen = view(corpus)
    assert list(seen.names(np.array([0, 7]))) == ["c0", "c7"]
    truth = anndata.concat([anndata.read_h5ad(path) for path in paths], join="outer", fill_value=0)
    expected = truth.to_df(layer)[["x", "y", "z"]].to_numpy()
    np.testing.assert_array_equal(seen.matrix("rna", layer).dense(np.arange(10)), expected)
    assert list(corpus.varm[_keys.OBSERVED_MASK].loc["y"]) == [True, False]


def test_names_that_two_files_share_begin_with_the_file(paths):
    one = anndata.read_h5ad(paths[1])
    one.obs_names = [f"c{i}" for i in range(5)]
    one.write_h5ad(paths[1])
    seen = view(open_corpus(paths, batch_key="donor"))
    assert list(seen.names(np.array([0, 7]))) == ["0:c0", "1:c2"]
    assert seen.among(["1:c2", "c2"]).sum() == 1
    one.obs_names = ["c0", "c0", "c1", "c2", "c3"]
    one.write_h5ad(paths[1])
    with pytest.raises(ValueError, match=r"1\.h5ad.*two cells of one name"):
        open_corpus(paths, batch_key="donor")


def test_unlike_features_need_a_batch(paths):
    with pytest.raises(ValueError, match="batch_key='file'"):
        open_corpus(paths, batch_key=None)
    assert list(open_corpus(paths, batch_key="file").obs["file"].unique()) == ["0", "1"]
    assert _keys.OBSERVED_MASK not in open_corpus(paths[:1], batch_key=None).varm
    with pytest.raises(ValueError, match=r"'donr'.*donor"):
        open_corpus(paths, batch_key="donr")
