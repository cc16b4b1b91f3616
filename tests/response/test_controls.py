"""Actions as users name them, treated cells and their controls, and cells that an action starts from."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from scvcell import Action, PerturbationKeys
from scvcell.errors import OutOfSupport
from scvcell.perturb import AffineFlow, Design
from scvcell.response import Controls, Response, as_target, asked, asked_each, compared, learned, show_action, treated

KEYS = PerturbationKeys("drug", ("none", "DMSO"), dose="dose", context="line")


@pytest.fixture
def response():
    flow = AffineFlow(3, ("A", "B", "1"), {"A": 10.0}, 24.0)
    actions = (Action({"A": "10 uM"}, 24), Action({"A": "2 uM", "B": None}, 6))
    return Response(KEYS, flow, actions, {"A": "uM"})


def test_what_a_user_says_is_the_action_of_the_fit(response):
    largest = Action({"A": "10 uM"}, 24)
    for given in ("A", " A", ["A"], {"A": None}, Action("A"), {"A": 10}, {"A": "10000 nM"}, "A+DMSO", str(largest)):
        assert asked(response, given) == largest, given
    both = asked(response, "B+A")
    assert both == asked(response, {"A": 10.0, "B": None}) == asked(response, ("A", "B"))
    assert both.doses == {"A": 10.0, "B": None}
    assert asked(response, str(response.actions[1])) == response.actions[1]
    for number in (1, 1.0, np.int64(1), [1], {1: None}):
        assert asked(response, number).targets == ("1",)
    for nothing in ("none", "DMSO", "control", [], Action()):
        assert not asked(response, nothing).pulses
    assert asked_each(response, None) is None
    assert asked_each(response, "A") == [largest]
    assert asked_each(response, ["A", {"A": 10}]) == [largest] * 2


def test_targets_are_named_as_text():
    assert [as_target(name) for name in (" A", 1.0, np.int64(3), np.float32(0.5))] == ["A", "1", "3", "0.5"]
    assert as_target(None) is None


def test_an_action_is_shown_unless_the_fit_reads_that_column(response):
    obs = pd.DataFrame({"action": ["x", "y"]})
    assert show_action(obs, "A 10 uM", response)["action"].tolist() == ["A 10 uM"] * 2
    taken = replace(response, keys=PerturbationKeys("action", "none"))
    assert show_action(obs, "A 10 uM", taken)["action"].tolist() == ["x", "y"]
    assert obs["action"].tolist() == ["x", "y"]


@pytest.fixture
def design():
    """Two lines with controls, one without, and cells of no line."""
    code = np.repeat([-1, 0, 1, -1, 0, 0, 1, -2], [12, 15, 11, 14, 4, 20, 3, 5])
    context = np.repeat([0, 0, 0, 1, 1, 2, -1, 0], [12, 15, 11, 14, 4, 20, 3, 5])
    return Design((Action("A"), Action("B")), code, ("x", "y", "z"), context, {})


def test_treated_cells_without_controls_of_their_own_are_left_out(design, response, caplog):
    found = compared(design, response)
    assert "20 of 53 treated cells have no control of their own obs['line']" in caplog.text
    assert "3 of 84 cells have no label in obs['line']" in caplog.text
    lost = design.context == 2
    assert (found.code[lost] == -2).all()
    np.testing.assert_array_equal(found.code[~lost], design.code[~lost])
    units = treated(found, found.actions)
    assert {name: (len(u.treated), len(u.controls)) for name, u in units.items()} == {
        ("A", "x"): (15, 12),
        ("B", "x"): (11, 12),
    }
    assert "1 of 3 conditions have fewer than 10 treated or control cells, e.g. A in y" in caplog.text
    assert set(treated(found, [Action("B")])) == {("B", "x")}


def test_data_that_cannot_be_compared_are_refused(design, response):
    with pytest.raises(ValueError, match=r"have no column obs\['drug'\]"):
        compared(None, response)
    for code, message in (
        (np.where(design.code == -1, -2, design.code), "No cell is a control"),
        (np.where(design.code >= 0, -2, design.code), "Every cell is a control"),
        (np.where((design.code >= 0) & (design.context != 2), -2, design.code), "No treated cell has a control of its"),
    ):
        with pytest.raises(ValueError, match=message):
            compared(replace(design, code=code), response)
    with pytest.raises(ValueError, match="No cell of the data was given 'C'; cells were given A, B"):
        treated(design, [Action("C")])
    few = replace(design, code=np.where(np.arange(len(design.code)) % 4, -2, design.code))
    with pytest.raises(ValueError, match="No action has 10 treated and 10 control cells"):
        treated(few, few.actions)


@pytest.fixture
def acted(small):
    """The shared model with an operator that was made by hand, on data of which a third was treated."""
    model, data = copy.copy(small.model), small.mdata.copy()
    data.obs["drug"] = np.where(np.arange(data.n_obs) % 3 == 0, "A", "none")
    data.obs.loc[data.obs_names[:2], "drug"] = None
    flow = AffineFlow(model.n_latent, ("A",))
    response = Response(PerturbationKeys("drug", "none", context="celltype"), flow, (Action("A"),), {})
    response.anchors = dict.fromkeys(["rna"])
    model.parts = {"response": response}
    return data, model


def test_an_action_starts_from_untreated_cells_by_group(acted):
    data, model = acted
    start = Controls(data, model)
    untreated = data.obs["drug"].eq("none").to_numpy()
    np.testing.assert_array_equal(start.index, np.flatnonzero(untreated))
    torch.testing.assert_close(start.latent, model.posterior(model.view(data)).mean[start.index], atol=1e-5, rtol=1e-4)
    found = {name: set(start.index[cells]) for name, cells in start.groups()}
    kinds = data.obs["celltype"].to_numpy()
    assert found == {k: set(np.flatnonzero(untreated & (kinds == k))) for k in sorted(set(kinds))}
    some = Controls(data, model, cells=data.obs_names[:9], groupby=[])
    np.testing.assert_array_equal(some.index, np.flatnonzero(untreated[:9]))
    ((name, cells),) = some.groups()
    assert name == "all"
    assert len(cells) == len(some.index)


def test_cells_are_in_the_states_of_their_own_values(acted):
    data, model = acted
    start = Controls(data, model)
    bulk = start.bulks["rna"]
    has = np.flatnonzero(bulk.rows >= 0)[[5, 2, 2, 9]]
    values = {"rna": bulk.readout.dense(has)}
    found = start.encode(start.index[has], values)
    alone = model.posterior(model.view(data), modalities="rna").mean[start.index[has]]
    torch.testing.assert_close(found, alone, atol=1e-4, rtol=1e-3)


def test_models_and_data_that_say_nothing_of_actions_are_refused(acted, small):
    data, model = acted
    with pytest.raises(TypeError, match=r"model must be a CSL.*The data come first"):
        learned(data)
    with pytest.raises(ValueError, match="learned no perturbation"):
        learned(small.model)
    with pytest.raises(ValueError, match=r"have no column obs\['drug'\].*or say by cells= which cells are untreated"):
        Controls(small.mdata, model)
    with pytest.raises(ValueError, match="all 2 of cells= were treated"):
        Controls(data, model, cells=data.obs_names[[3, 6]])
    with pytest.raises(ValueError, match="No cell is known to be untreated"):
        Controls(data, model, cells=data.obs_names[:1])
    with pytest.raises(OutOfSupport, match="Nothing is known of the target 'Z'"):
        learned(model).check(Action("Z"))
