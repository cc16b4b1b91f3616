"""Names that have moved."""

import importlib

import pytest

import scvcell
from scvcell._moved import moved


def test_a_name_that_moved_warns_and_is_the_same_object():
    get = moved("old", {"Registry": "scvcell._registry:Registry"})
    with pytest.warns(FutureWarning, match=r"old\.Registry is now scvcell\._registry\.Registry"):
        found = get("Registry")
    from scvcell._registry import Registry

    assert found is Registry


def test_others_are_unknown():
    with pytest.raises(AttributeError, match="module 'old' has no attribute 'nothing'"):
        moved("old", {})("nothing")


FORMER = {
    "perturb": "BASELINES PERTURBATIONS SHIFTS Action AffineFlow Anchor Baseline Design Perturbation PerturbationKeys "
    "Pulse Units as_action hidden label_cells prior_weights read_design shifts stack_weights",
    "risk": "VOTES Conformal cca correlation coverage foscttm match_recall mixing trusted votes",
    "model": "CSL FEWEST Bulk Diverged Drift Effect Origin Posterior Response Terminated TrainConfig Unit baselines "
    "conditions differential_expression evenly fuse jackknife_variance kinetics_of load load_query_data make_flow "
    "normalized_expression potential save trace train_flow",
}
"""What faces exported before there were folders for what was learned on a model."""


@pytest.mark.parametrize(("face", "name"), [(face, name) for face, names in FORMER.items() for name in names.split()])
def test_every_name_of_before_is_found(face, name):
    module = importlib.import_module(f"scvcell.{face}")
    if name in vars(module):
        assert name in module.__all__
        return
    with pytest.warns(FutureWarning, match=rf"scvcell\.{face}\.{name} is now scvcell\."):
        assert getattr(module, name) is not None


def test_the_former_ways_to_learn(small):
    with (
        pytest.warns(FutureWarning, match=r'is now learn\("drift", data\)'),
        pytest.raises(ValueError, match="no kinetics"),
    ):
        small.model.learn_drift(small.mdata)
    keys = scvcell.PerturbationKeys("celltype", control="no such label")
    with (
        pytest.warns(FutureWarning, match=r'is now learn\("response", keys\)'),
        pytest.raises(ValueError, match="control"),
    ):
        small.model.learn_actions(keys)


def test_calibrations_by_their_former_name(small):
    with pytest.warns(FutureWarning, match=r"calibration_ is now calibration\.arrays"):
        assert small.model.calibration_ is small.model.calibration.arrays


def test_parts_are_attributes(small):
    import copy

    model = copy.copy(small.model)
    model.parts = dict(model.parts)
    assert model.calibration is model.parts["calibration"]
    assert model.drift is None
    model.drift = field = object()
    assert model.parts["drift"] is field
    model.drift = None
    assert "drift" not in model.parts
    assert "drift" not in vars(model)
