"""What makes an axis, and which scores can be given."""

import numpy as np
import pytest

from scvcell.risk.axes import AXES, Axis, StressTest, scores


def test_an_axis_has_to_hide_ask_and_score():
    class Half(Axis):
        name = "half"

        def hide(self, data, split):
            return data

    with pytest.raises(TypeError, match="stress_tests"):
        Half()
    assert all(issubclass(AXES[name], Axis) for name in AXES)


def test_a_stress_test_does_not_show_its_truth():
    test = StressTest("a", "b", "c", 0.5, "d", None, lambda: "secret")
    assert "truth" not in repr(test)
    assert test == StressTest("a", "b", "c", 0.5, "d", None, lambda: "another")


def test_metrics_are_given_what_they_take():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 30, 4))
    found = scores(("rmse", "foscttm", "coverage"), {"values": (a, b), "intervals": (a, b - 9, b + 9)})
    assert found == {"rmse": pytest.approx(np.sqrt(((a - b) ** 2).mean())), "coverage": 1}
    assert scores(("foscttm",), {"values": (a, b)}) == {}
