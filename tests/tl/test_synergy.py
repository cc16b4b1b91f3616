"""What a combination does beyond its parts, from the effects of each."""

import numpy as np
import pandas as pd
import pytest

import scvcell

COMBINATION = {"T1": 2, "T2": "10 uM"}


def test_interaction_is_the_effect_of_both_less_the_effects_of_each(dosed):
    data, model = dosed.data, dosed.model
    table = scvcell.tl.synergy(data, model, COMBINATION, level=0.8)
    whole = scvcell.tl.effects(data, model, COMBINATION, level=0.8)
    parts = [scvcell.tl.effects(data, model, {target: dose}) for target, dose in COMBINATION.items()]
    keys = ["group", "modality", "feature"]
    pd.testing.assert_frame_equal(table[keys], whole[keys])
    np.testing.assert_allclose(table["lfc"], whole["lfc"])
    np.testing.assert_allclose(table["additive"], parts[0]["lfc"] + parts[1]["lfc"])
    np.testing.assert_allclose(table["interaction"], table["lfc"] - table["additive"])
    np.testing.assert_allclose(table["upper"] - table["lower"], whole["upper"] - whole["lower"])
    finite = np.isfinite(table["upper"])
    middle = (table["lower"] + table["upper"])[finite] / 2
    np.testing.assert_allclose(middle, table["interaction"][finite], atol=1e-9)


def test_the_order_of_targets_does_not_matter(dosed):
    turned = dict(reversed(COMBINATION.items()))
    one, other = (scvcell.tl.synergy(dosed.data, dosed.model, action) for action in (COMBINATION, turned))
    pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize("action", ["T1", "control", {"T1": 1, "T2": 0}])
def test_one_target_has_no_synergy(dosed, action):
    with pytest.raises(ValueError, match=r"at least two targets, as in 'A\+B'; '.*' has [01]"):
        scvcell.tl.synergy(dosed.data, dosed.model, action)
