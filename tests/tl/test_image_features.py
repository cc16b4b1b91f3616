"""Features of images as one more assay: a third of the spots has an image only, and its genes are predicted."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV
from spatialdata.models import Image2DModel

import scvcell


def per_gene(truth, predicted):
    """Mean over genes of the correlation over spots, of log counts."""
    pairs = zip(np.log1p(truth).T, np.log1p(predicted).T, strict=True)
    return float(np.mean([np.corrcoef(one, other)[0, 1] for one, other in pairs]))


@pytest.fixture(scope="module")
def stained():
    """A section whose stain shows what its spots hold; squidpy measures the colours of each spot."""
    squidpy = pytest.importorskip("squidpy")
    sdata = scvcell.datasets.simulate_tissue(4000, n_donors=1, n_genes=60, as_anndata=False, seed=1)
    spots = sdata.tables["spots"]
    xy, shares = spots.obsm["spatial"], spots.obsm["composition"].to_numpy()
    rng = np.random.default_rng(0)
    colour = shares @ rng.dirichlet(np.ones(3), shares.shape[1]) + 0.02 * rng.normal(size=(len(xy), 3))
    size = int(np.ceil(xy.max() + 40))
    image = np.zeros((3, size, size), np.uint8)
    down, across = np.mgrid[:size, :size]
    for place, shade in zip(xy, np.clip(255 * colour, 0, 255), strict=True):
        image[:, (across - place[0]) ** 2 + (down - place[1]) ** 2 <= 27.5**2] = shade[:, None]
    sdata.images["stain"] = Image2DModel.parse(image, dims=("c", "y", "x"))
    squidpy.experimental.im.calculate_image_features(
        sdata, image_key="stain", shapes_key="donor1_spots", features=["squidpy:summary"], adata_key_added="image"
    )
    return sdata


def test_genes_of_spots_that_have_an_image_only(stained):
    spots, image = stained.tables["spots"], stained.tables["image"]
    rest = np.random.default_rng(1).permutation(spots.n_obs) % 3 == 0
    stained.tables["measured"] = spots[~rest].copy()
    model = scvcell.tl.fit(
        stained, table_key={"rna": "measured", "image": "image"}, measure={"image": "profile"}, max_epochs=150
    )
    found = scvcell.tl.translate(stained, model, to="rna", source=["image"])
    assert found.n_obs == spots.n_obs
    names = found.obs["instance"].tolist()
    order = [names.index(each) for each in spots.obs["instance"]]
    colours = image.X[[image.obs["label_id"].tolist().index(each) for each in spots.obs["instance"]]]
    counts = spots.X.toarray()
    ridge = RidgeCV(np.logspace(-3, 3, 7)).fit(colours[~rest], np.log1p(counts[~rest]))
    ours = per_gene(counts[rest], found.X[order][rest])
    theirs = per_gene(counts[rest], np.expm1(ridge.predict(colours[rest])))
    assert ours > 0.3
    assert ours > theirs, "of few spots a ridge of colours knows less than a state of both assays"
