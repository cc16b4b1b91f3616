"""What tests of containers share."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData


@pytest.fixture(scope="session")
def check_rows():
    """Each cell's row of each modality has the cell's own name; cells without it have -1."""

    def check(seen, data):
        """Each cell's row of each modality has the cell's own name; cells without it have -1."""
        for name, adata in seen.modalities.items():
            for cell, row in zip(seen.obs_names, seen.rows[name], strict=True):
                assert (row >= 0) == (cell in adata.obs_names)
                if row >= 0:
                    assert adata.obs_names[row] == cell
        assert list(seen.obs_names) == list(data.obs_names)
        assert seen.source is data

    return check


RNA, STAINS = [f"gene{i:03d}" for i in range(60)], [f"protein{i}" for i in range(6)]


def cells(n, seed=0, prefix="cell"):
    """Ids, places and counts of cells."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=n)
    rate = np.where(np.arange(60) % 3 == kind[:, None], 8.0, 2.0)
    return [f"{prefix}{i}" for i in range(n)], rng.random((n, 2)) * 100, rng.poisson(rate).astype(np.float32), kind


def annotating_table(x, names, ids, region, features, **columns):
    """A table of instances `ids` of `region` (one, or one for each row)."""
    from spatialdata.models import TableModel

    obs = pd.DataFrame({"region": region, "id": ids, **columns}, index=list(names))
    table = AnnData(sp.csr_matrix(x), obs=obs, var=pd.DataFrame(index=features))
    return TableModel.parse(table, region=sorted(set(obs["region"])), region_key="region", instance_key="id")


def circle_shapes(xy, ids):
    """Circles of radius 1."""
    from spatialdata.models import ShapesModel

    return ShapesModel.parse(np.asarray(xy), geometry=0, radius=1.0, index=pd.Index(ids))


@pytest.fixture
def annotating():
    return annotating_table


@pytest.fixture
def circles():
    return circle_shapes


@pytest.fixture
def scene():
    """120 cells in two sections, RNA of all and proteins of most; the rows of each table in an order of its own."""
    from spatialdata import SpatialData

    rng, elements, rna = np.random.default_rng(1), {}, []
    truth = {}
    for section, seed in (("left", 0), ("right", 1)):
        ids, xy, x, kind = cells(60, seed)
        elements[section] = circle_shapes(xy, ids)
        truth |= {(section, i): (place, counts) for i, place, counts in zip(ids, xy, x, strict=True)}
        protein = rng.poisson(np.where(np.arange(6) % 3 == kind[:, None], 40, 8)).astype(np.float32)
        rna += [(section, i, row, p, k) for i, row, p, k in zip(ids, x, protein, kind, strict=True)]
    stains = [rna[i] for i in rng.permutation(120)[:100]]
    rna = [rna[i] for i in rng.permutation(120)]
    tables = {}
    for name, rows, what, features in (("cells", rna, 2, RNA), ("stains", stains, 3, STAINS)):
        region, ids, *_ = zip(*rows, strict=True)
        names = [f"{name}-{i}" for i in range(len(rows))]
        kinds = [f"k{row[4]}" for row in rows]
        tables[name] = annotating_table(
            np.array([row[what] for row in rows]), names, list(ids), region, features, kind=kinds
        )
    return SpatialData(shapes=elements, tables=tables), truth
