"""The contract of readouts: a row in, a row out, whatever the order of rows and features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scvcell.score import METRICS
from scvcell.testing._require import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell.risk import Readout

ROWS = 5


def check_readout(readout: Readout, features: Sequence[str] | None = None) -> None:
    """Run a readout through its contract.

    Checked are: a name; metrics that are registered; as many rows as were given; values that are left as they are; the
    same for a row alone as among others, for rows in another order, and for features in another order.

    Parameters
    ----------
    readout
        The readout.
    features
        Names of features that it can read; twenty made-up ones by default.

    Raises
    ------
    AssertionError
        If a check fails; the message says which.

    Examples
    --------
    >>> scvcell.testing.check_readout(scvcell.risk.Activity(network), network["target"].unique())
    """
    names = pd.Index([f"gene{i}" for i in range(20)] if features is None else list(features))
    require(isinstance(readout.name, str) and bool(readout.name), "a readout must have a name, which is text")
    unknown = [metric for metric in readout.metrics if metric not in METRICS]
    require(not unknown, f"metrics must be registered in scvcell.score.METRICS; {unknown} are not")
    require(bool(readout.reads), "a readout must read something: effects, cells or both")
    rng = np.random.default_rng(0)
    values = rng.gamma(2.0, 0.5, (ROWS, len(names)))
    before = values.copy()
    found = np.asarray(readout(values, names))
    require(np.array_equal(values, before), "a readout must leave the values as they are")
    require(len(found) == ROWS, f"a readout must give as many rows as it was given, {ROWS}, not {len(found)}")
    order, rows = rng.permutation(len(names)), rng.permutation(ROWS)
    require(_same(found[rows], readout(values[rows], names)), "rows in another order must read the same")
    alone = np.concatenate([np.asarray(readout(values[[row]], names)) for row in range(ROWS)])
    require(_same(found, alone), "a row must read the same alone as among others")
    mixed = np.asarray(readout(values[:, order], names[order]))
    if found.shape == values.shape and not _same(found, mixed):
        mixed = mixed[:, np.argsort(order)]  # one value per feature, in the order of the features
    require(_same(found, mixed), "features in another order must read the same")


def _same(one: object, other: object) -> bool:
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape:
        return False
    return bool(np.allclose(a, b, equal_nan=True)) if a.dtype.kind == "f" else bool((a == b).all())
