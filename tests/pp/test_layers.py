"""Two layers of counts of the same genes as one modality of coupled counts."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import scvcell


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    adata = AnnData(np.zeros((5, 3)), pd.DataFrame({"k": list("abcde")}, index=list("vwxyz")))
    adata.var_names = ["g0", "g1", "g2"]
    adata.layers["spliced"] = sp.csc_matrix(rng.poisson(2.0, (5, 3)))
    adata.layers["unspliced"] = rng.poisson(1.0, (5, 3)).astype(np.int16)
    return adata


def test_mature_counts_come_first_and_names_say_the_layer(cells, fingerprint):
    before = fingerprint(cells)
    found = scvcell.pp.modality_from_layers(cells)
    assert fingerprint(cells) == before
    assert found.var_names.tolist() == [f"g{i}:{layer}" for layer in ("spliced", "unspliced") for i in range(3)]
    np.testing.assert_array_equal(
        found.X.toarray(), np.hstack([cells.layers["spliced"].toarray(), cells.layers["unspliced"]])
    )
    assert found.obs.equals(cells.obs)
    turned = scvcell.pp.modality_from_layers(cells, "unspliced", "spliced")
    np.testing.assert_array_equal(turned.X.toarray(), found.X.toarray()[:, [3, 4, 5, 0, 1, 2]])


@pytest.mark.parametrize(("time", "options"), [(None, {}), (2, {"time": 2.0})])
def test_the_modality_says_what_measures_it(cells, time, options):
    found = scvcell.pp.modality_from_layers(cells, time=time).uns["csl_measure"]
    assert found == {"operator": "kinetics", "options": options}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"nascent": "unspiced"}, KeyError, r"No layer 'unspiced'. Did you mean 'unspliced'\? Layers: spliced"),
        ({"nascent": "spliced"}, ValueError, "both 'spliced'; they are two layers"),
        ({"time": 0}, ValueError, "labelling time above 0, not 0"),
        ({"time": float("inf")}, ValueError, "labelling time above 0"),
    ],
)
def test_refused(cells, arguments, error, message):
    with pytest.raises(error, match=message):
        scvcell.pp.modality_from_layers(cells, **arguments)
