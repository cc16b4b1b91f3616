"""Users can catch what they mean; whoever caught Python's own exceptions still does."""

import numpy as np
import pytest

import scvcell
from scvcell import errors


@pytest.mark.parametrize(
    ("kind", "python"),
    [
        ("NotTrained", RuntimeError),
        ("NotLearned", ValueError),
        ("OutOfSupport", ValueError),
        ("Damaged", ValueError),
        ("Diverged", RuntimeError),
        ("Terminated", SystemExit),
    ],
)
def test_each_is_one_of_pythons_own(kind, python):
    assert issubclass(getattr(errors, kind), python)
    assert kind in errors.__all__


def test_what_was_not_learned(small):
    for name in ("response", "drift"):
        with pytest.raises(errors.NotLearned):
            small.model.part(name)
    with pytest.raises(errors.NotLearned, match="no velocity yet"):
        scvcell.tl.forecast(small.mdata, small.model, time=1.0)


def test_a_model_that_is_not_trained(mosaic, tmp_path):
    mdata = mosaic(60)
    scvcell.CSL.setup_mudata(mdata)
    model = scvcell.CSL(mdata)
    with pytest.raises(errors.NotTrained):
        model.get_latent_representation()
    with pytest.raises(errors.NotTrained):
        model.save(tmp_path / "m")


def test_a_damaged_folder(small, tmp_path):
    folder = small.model.save(tmp_path / "m")
    raw = bytearray((folder / "model.pt").read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / "model.pt").write_bytes(bytes(raw))
    with pytest.raises(errors.Damaged):
        scvcell.CSL.load(folder)


def test_an_action_of_which_nothing_can_be_said():
    from scvcell.response._reach import Reach

    reach = Reach([scvcell.Action(["A"])], {}, None)
    with pytest.raises(errors.OutOfSupport, match="training had none"):
        reach.check(scvcell.Action(["A"], time=3.0))
    assert np.isfinite(reach.share(scvcell.Action(["A"])))
