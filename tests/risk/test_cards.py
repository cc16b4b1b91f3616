"""Facts beside a report are those of what was asked."""

import json
from types import SimpleNamespace

from scvcell import risk
from scvcell.risk import RiskConfig
from scvcell.risk._cards import cards
from scvcell.risk.axes import Modality


def test_facts_are_plain_and_true(mosaic):
    mdata = mosaic(90)
    split = risk.hide_pairing(mdata, "rna", "adt")
    world = SimpleNamespace(data=mdata, splits=[split], axes={"modality": Modality()}, readouts=[])
    found = cards(world, {"mine": risk.LinearMatch()}, {"modality": "chance"}, RiskConfig(n_boot=7))
    assert json.loads(json.dumps(found)) == found
    assert found["data"]["cells"] == mdata.n_obs
    assert found["data"]["features"] == {"rna": 60, "adt": 6}
    assert found["data"]["splits"][0]["cells"]["test"] == len(split.test)
    assert (found["run"]["n_boot"], found["run"]["baselines"]) == (7, {"modality": "chance"})
    assert found["run"]["quantiles"] == [0.05, 0.25, 0.5, 0.75, 0.95]
    assert list(found["model"]) == ["mine"]
