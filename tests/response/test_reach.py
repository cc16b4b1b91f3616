"""Where training of actions ends: doses, times, schedules, few cells; and intervals of screens with one context."""

from dataclasses import replace

import numpy as np
import pytest

import scvcell
from scvcell import Action, PerturbationKeys
from scvcell.response._reach import USUAL_STEP, Reach

DOSES = (0.1, 1.0, 10.0)


def test_steps_are_those_of_the_targets_own_doses():
    actions = [Action({"A": d}, 6) for d in DOSES] + [Action({"B": 2.0}, 24), Action({"A": 10.0, "B": 2.0}, 6)]
    for given in (actions, actions[::-1]):
        reach = Reach(given, {"A": 10.0, "B": 2.0}, 24.0)
        assert reach.step == pytest.approx({"A": 10.0, "B": 10.0})
        assert reach.time_step == pytest.approx(4.0)
    assert Reach([Action({"A": 5.0})], {"A": 5.0}, None).step == {"A": USUAL_STEP}


@pytest.mark.parametrize("name", ["dose", "time"])
def test_support_falls_and_effects_stop_with_steps_beyond(name):
    reach = Reach([Action({"A": d}, t) for d in DOSES for t in (6, 24)], {"A": 10.0}, 24.0)
    grid = np.geomspace(1e-3, 1e6, 60)
    asked = [Action({"A": x}, 24) if name == "dose" else Action({"A": 1.0}, x) for x in grid]
    share = np.array([reach.share(action) for action in asked])
    assert (np.diff(share) <= 0).all()
    limit = 10.0 if name == "dose" else 24.0
    assert (share[grid <= limit] == 1).all()
    assert (share[grid > 1.2 * limit * (10 if name == "dose" else 4)] < 0.5).all()
    assert share[-1] < 1e-6
    held = {(a.pulses[0].dose, a.time) for a in map(reach.held, asked)}
    assert max(d for d, _ in held) <= 100.0 + 1e-9
    assert max(t for _, t in held) <= 96.0 + 1e-9


def test_what_training_had_none_of_is_refused():
    plain = Reach([Action("A")], {}, None)
    for action in (Action("A", 5), Action.schedule([("A", None, 0, 6), ("B", None, 6, 12)])):
        with pytest.raises(ValueError, match="time or a schedule, but training had none"):
            plain.check(action)
    with pytest.raises(ValueError, match="has a dose of 'A', but training had none of it"):
        plain.check(Action({"A": 1.0}))
    plain.check(Action("A"))
    some = Reach([Action("A"), Action({"B": 1.0})], {"B": 1.0}, None)
    some.check(Action({"B": 5.0}))
    with pytest.raises(ValueError, match="has a dose of 'A'"):
        some.check(Action({"A": 1.0}))


def test_doses_measured_twice_are_no_step_and_schedules_end():
    doses = (0.1, 1.0, 10.0, 10.02)
    reach = Reach([Action({"A": d}, t) for d in doses for t in (6, 24)], {"A": 10.02}, 24.0)
    assert reach.step["A"] == pytest.approx(10.02)
    held = reach.held(Action.schedule([("A", 1.0, 0, 6), ("A", 1.0, 500, 1000)]))
    assert held.time == pytest.approx(96)
    assert max(pulse.stop or 0 for pulse in held.pulses) <= 96


def test_which_targets_were_given_together():
    reach = Reach([Action("A"), Action("B"), Action("C"), Action("A+B")], {}, None)
    assert reach.together(Action("B+A"))
    assert reach.together(Action("C"))
    assert not reach.together(Action("A+C"))
    assert not reach.together(Action("A+B+C"))


@pytest.fixture(scope="module")
def dosed(flows):
    adata = scvcell.datasets.simulate_actions(700, n_genes=80, n_types=2, doses=DOSES, pairs=False, seed=0)
    keys = PerturbationKeys("action", control="control", dose="dose", context="cell_type")
    config = scvcell.TrainConfig(max_epochs=8, progress=False)
    return adata, scvcell.tl.fit(adata, perturbation=keys, train=config)


def test_support_is_monotone_in_the_dose_and_trust_ends(dosed):
    adata, model = dosed
    frames = [scvcell.tl.effects(adata, model, {"T1": dose}) for dose in (1.0, 10.0, 30.0, 200.0, 1e4, 1e6)]
    support = np.array([frame.groupby("group")["support"].first() for frame in frames])
    assert (np.diff(support[1:], axis=0) <= 1e-9).all()
    assert frames[1]["trusted"].any()
    assert not any(frame["trusted"].any() for frame in frames[3:])
    size = [np.sqrt((frame["lfc"] ** 2).mean()) for frame in frames]
    assert max(size[3:]) == pytest.approx(size[3])
    assert size[3] < 2.5 * size[1]
    for action in (Action({"T1": 10.0}, time=1000), Action.schedule([("T1", 10.0, 0, 6), ("T2", 10.0, 6, 12)])):
        for verb in (scvcell.tl.effects, scvcell.tl.perturb):
            with pytest.raises(ValueError, match="training had none"):
                verb(adata, model, action)


def test_support_is_monotone_toward_no_dose_and_in_the_cells_of_a_condition(dosed):
    _, model = dosed
    response = model.response
    place = next(iter(response.anchors.values())).conditions.place[0]
    grid = np.geomspace(1e-9, min(DOSES), 12)
    for target in sorted({action.targets[0] for action in response.actions}):
        support = [response.support(Action({target: dose}), place) for dose in grid]
        assert np.ptp(support) < 1e-9
        assert support[0] == pytest.approx(response.support(Action({target: min(DOSES)}), place))
    one, (name, cells) = response.actions[0], next(iter(response.cells.items()))
    few = [replace(response, cells={name: cells * share}).support(one, place) for share in (0.01, 0.05, 0.2, 1, 5, 50)]
    assert (np.diff(few) >= 0).all()
    assert few[0] < 0.5 < few[-1]
    assert replace(response, cells={}).support(one, place) >= few[-1]


def test_a_far_context_has_less_support(dosed):
    _, model = dosed
    response = model.response
    place = next(iter(response.anchors.values())).conditions.place[0]
    one = next(action for action in response.actions if action.targets == ("T1",))
    apart = [response.support(one, place + far * (1 + np.abs(place))) for far in (0, 1, 3, 10, 100)]
    assert (np.diff(apart) <= 1e-9).all()
    assert apart[-1] < 0.5


@pytest.fixture(scope="module")
def screen(flows):
    """One context, single targets, of which the last has hardly any cells."""
    adata = scvcell.datasets.simulate_actions(900, seed=1)
    adata = adata[(adata.obs["cell_type"] == adata.obs["cell_type"].iloc[0]).to_numpy()].copy()
    single = adata[~adata.obs["action"].astype(str).str.contains("+", regex=False).to_numpy()].copy()
    target = sorted(set(single.obs["action"].astype(str)) - {"control"})[-1]
    few = np.flatnonzero(single.obs["action"] == target)[4:]
    single = single[np.setdiff1d(np.arange(single.n_obs), few)].copy()
    return single, target


def test_measured_conditions_of_a_screen_have_intervals(screen, caplog):
    adata, few = screen
    keys = PerturbationKeys("action", control="control")
    config = scvcell.TrainConfig(max_epochs=8, progress=False)
    with caplog.at_level("WARNING", logger="scvcell"):
        model = scvcell.tl.fit(adata, perturbation=keys, train=config)
    assert caplog.text.count("hold sampling error only") == 1
    targets = [str(action) for action in model.response.actions]
    frames = {target: scvcell.tl.effects(adata, model, target) for target in targets}
    for target, frame in frames.items():
        assert np.isfinite(frame[["lower", "upper"]]).all(axis=None)
        assert frame["trusted"].all() == (target != few)
    unseen = scvcell.tl.effects(adata, model, "+".join(targets[:2]))
    assert np.isinf(unseen["upper"]).all()
    assert not unseen["trusted"].any()
    assert unseen["support"].max() < min(frames[target]["support"].min() for target in targets[:2])
    fewer = scvcell.tl.effects(adata, model, targets[0], n_cells=5)
    width = [frame["upper"] - frame["lower"] for frame in (frames[targets[0]], fewer)]
    assert (width[1] > width[0]).all()
    ranked = scvcell.tl.rank_actions(adata, model, "action == 'control'", n_boot=3).set_index("action")
    assert ranked.loc[few, ["progress", "lower", "upper"]].isna().all()
    assert ranked.drop(index=few)["progress"].notna().all()
