"""What predictors have seen before they are asked: their record of the fit, calibration, and pretraining."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scvcell.risk._adapters import ModelPredictor
from scvcell.risk.leakage._base import CHECKS, Case, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from scvcell.risk._predictor import Predictor

CLEAN = ("none", "disjoint", "no test cells")
"""What may be declared of pretraining so that nothing is open."""


@CHECKS.register("fitted models")
def fitted(case: Case) -> Iterator[Finding]:
    """Test cells among those that a fitted model was trained on, or that set its intervals."""
    for predictor in case.predictors:
        record = split_of(predictor)
        if record is None:
            continue
        name, test = predictor.name, case.split.test
        sets = [name for part in ("validation", "calibration") for name in record.get(part, [])]
        for cells, check, does in (
            (record.get("train", []), "trained on test cells", "was trained on"),
            (sets, "calibrated on test cells", "set its intervals, or stopped its training, by"),
        ):
            shared = test.intersection(cells)
            value = len(shared) / len(test)
            says = f"{name} {does} {len(shared)} test cells, e.g. {shared[0]!r}." if value else ""
            says = says or f"The record of the fit of {name} has no test cell."
            yield Finding(check, value, 0.0, "red" if value else "green", says, "cell", name)


@CHECKS.register("stopping")
def stopping(case: Case) -> Iterator[Finding]:
    """Whether the cells that set the intervals of a cell-state latent also chose when its training stopped."""
    for predictor in case.predictors:
        record, name = split_of(predictor), predictor.name
        fits = isinstance(predictor, ModelPredictor) and record is None
        if not fits and not (record and ("validation" in record or "calibration" in record)):
            continue
        apart = record is not None and len(record.get("calibration", [])) > 0
        says = f"The cells that set the intervals of {name} chose nothing else."
        if not apart:
            says = f"The cells that set the intervals of {name} also chose when its training stopped."
        yield Finding("stopped by calibration cells", float(not apart), 0.0, "green", says, "intervals", name)


@CHECKS.register("pretraining")
def pretraining(case: Case) -> Iterator[Finding]:
    """What is declared of data that a predictor saw before these."""
    for predictor in case.predictors:
        own = case.declared.get(predictor.name)
        said = own.get("pretraining") if isinstance(own, Mapping) else case.declared.get("pretraining")
        said = getattr(predictor, "pretraining", None) if said is None else said
        if said is None:
            continue
        text, check, name = str(said), "pretraining", predictor.name
        if text.casefold() in CLEAN:
            says = f"Declared of {name}: {text}."
            yield Finding(check, 0.0, 0.0, "green", says, "pretraining", name)
        elif text.casefold() in ("test", "all", "test cells"):
            says = f"It is declared that {name} saw test cells before."
            yield Finding(check, 1.0, 0.0, "red", says, "pretraining", name)
        else:
            says = f"{name} was pretrained on {text}; it cannot be ruled out that test cells were among it."
            yield Finding(check, float("nan"), 0.0, "amber", says, "pretraining", name)


def split_of(predictor: Predictor) -> dict[str, Any] | None:
    """The record of which cells a fitted model has seen, its own or that of its model; None where there is none."""
    for each in (predictor, getattr(predictor, "model", None)):
        record: dict[str, pd.Index] | None = getattr(each, "split_", None)
        if isinstance(record, Mapping) and record:
            return dict(record)
    return None
