"""What nobody has to learn."""

import numpy as np

from scvcell import risk
from scvcell.risk import Place, Translate
from scvcell.risk.axes import Modality
from scvcell.risk.baselines import Chance


def test_chance_is_the_mean_and_half_of_the_way(mosaic):
    mdata = mosaic(300)
    split = risk.hide_pairing(mdata, "rna", "adt", share=0.9)
    axis = Modality("rna", "adt", n_blocks=1)
    found = risk.ask(Chance(), axis, mdata, split).set_index(["test", "metric"])["value"]
    assert abs(found["match rna and adt", "foscttm"] - 0.5) < 0.08
    assert found["rna to adt", "pearson"] == 0
    chance, seen = Chance(), axis.hide(mdata, split)
    chance.fit(seen, split, 0)
    cells = seen["rna"].obs_names[:3]
    point = chance.predict(Translate("rna", "adt", cells)).point
    np.testing.assert_allclose(np.log1p(point), np.tile(np.log1p(seen["adt"].to_df()).mean(), (3, 1)), rtol=1e-5)
    states = chance.predict(Place({"rna": cells, "adt": seen["adt"].obs_names[:5]})).of
    assert {m: x.shape for m, x in states.items()} == {"rna": (3, 8), "adt": (5, 8)}
    assert chance.predict(Translate("rna", "atac", cells)) is None
