"""A perturbation operator as plain values and arrays, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from scvcell.perturb import Action, AffineFlow, PerturbationKeys
from scvcell.prior import TargetKernel
from scvcell.response._anchor import Anchor
from scvcell.response._conditions import Conditions
from scvcell.response._delta import Delta

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNITS = ("exposure", "level", "time", "place")
NUMBERS = ("y", "noise", "scale")
LEARNED = ("spread", "weights", "shape", "nugget", "stack")
ON_DISK = {"offset": "shift"}
"""What arrays of the flow are called in files, where that is not their name."""
FLOW = "//flow/"
"""Before the arrays of the flow: no modality has an empty name. Earlier versions wrote ``flow/``."""


def dump(delta: Delta) -> tuple[dict[str, Any], dict[str, Any]]:
    """Plain values and arrays of a perturbation operator."""
    flow, kernel = delta.flow, delta.kernel
    plain = {
        "keys": asdict(delta.keys),
        "targets": flow.targets,
        "largest": flow.largest,
        "span": flow.span,
        "rank": flow.out.shape[2],
        "actions": [action.as_dict() for action in delta.actions],
        "units": delta.dose_units,
        "anchors": {m: {name: getattr(a, name) for name in LEARNED} for m, a in delta.anchors.items()},
        "kernel": None if kernel is None else {"names": list(kernel.names), "ridge": kernel.ridge},
    }
    state = flow.state_dict().items()
    arrays = {f"{FLOW}{ON_DISK.get(name, name)}": value.detach().cpu().numpy() for name, value in state}
    for m, anchor in delta.anchors.items():
        arrays |= {f"{m}/{name}": getattr(anchor, name) for name in NUMBERS}
        arrays |= {f"{m}/{name}": getattr(anchor.conditions, name) for name in UNITS}
        arrays[f"{m}/spread"] = delta.spread[m]
        if m in delta.cells:
            arrays[f"{m}/cells"] = delta.cells[m]
        if m in delta.calibration:
            arrays[f"{m}/calibration"] = delta.calibration[m]
    if kernel is not None:
        arrays["kernel"] = kernel.table.to_numpy(float)
    return plain, arrays


def restore[D: Delta](kind: type[D], plain: dict[str, Any], arrays: dict[str, NDArray[Any]], n_latent: int) -> D:
    """Inverse of `dump`, of a kind of operator."""
    keys: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in plain["keys"].items()}
    flow = AffineFlow(n_latent, tuple(plain["targets"]), plain["largest"], plain["span"], plain["rank"])
    prefix = FLOW if any(name.startswith(FLOW) for name in arrays) else "flow/"
    names = {f"{prefix}{ON_DISK.get(name, name)}": name for name in flow.state_dict()}
    flow.load_state_dict({names[key]: torch.from_numpy(arrays[key]) for key in names})
    kernel = plain["kernel"]
    delta = kind(
        PerturbationKeys(**keys),
        flow,
        tuple(dict.fromkeys(Action.from_dict(entry).in_units(plain["units"]) for entry in plain["actions"])),
        plain["units"],
        None
        if kernel is None
        else TargetKernel(pd.DataFrame(arrays["kernel"], kernel["names"]), ridge=kernel["ridge"]),
    )
    for m, fields in plain["anchors"].items():
        numbers: dict[str, Any] = {name: arrays[f"{m}/{name}"] for name in NUMBERS}
        delta.anchors[m] = Anchor(Conditions(*(arrays[f"{m}/{name}"] for name in UNITS)), **numbers, **fields)
        delta.spread[m] = arrays[f"{m}/spread"]
        if f"{m}/cells" in arrays:
            delta.cells[m] = arrays[f"{m}/cells"]
        if f"{m}/calibration" in arrays:
            delta.calibration[m] = arrays[f"{m}/calibration"]
    return delta
