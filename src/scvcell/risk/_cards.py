"""Plain facts that stand beside a report: of the data, the predictors and the run."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from scvcell._containers import view
from scvcell.risk._plan import digest_of, settings_of
from scvcell.risk._predictor import QUANTILES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell.risk._plan import RiskConfig
    from scvcell.risk._predictor import Predictor
    from scvcell.risk._task import World


def cards(
    world: World, asked: Mapping[str, Predictor], anchors: Mapping[str, str], config: RiskConfig
) -> dict[str, dict[str, Any]]:
    """Plain facts about data, predictors and run."""
    seen = view(world.data)
    data: dict[str, Any] = {"cells": int(seen.n_obs), "digest": digest_of(world.data)}
    data["features"] = {name: int(adata.n_vars) for name, adata in seen.modalities.items()}
    parts = ("train", "calibration", "test")
    data["splits"] = [
        {"reason": s.reason, "how": dict(s.how), "cells": {part: len(getattr(s, part)) for part in parts}}
        for s in world.splits
    ]
    run: dict[str, Any] = {"n_boot": config.n_boot, "level": float(config.level), "seed": int(config.seed)}
    run |= {
        "asked": list(asked),
        "baselines": dict(anchors),
        "axes": {name: repr(axis) for name, axis in world.axes.items()},
        "quantiles": list(QUANTILES),
    }
    run |= {"readouts": [readout.name for readout in world.readouts], "version": version("scvcell")}
    return {"data": data, "model": {name: settings_of(each) for name, each in asked.items()}, "run": run}
