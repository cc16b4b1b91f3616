"""Cells of which training and test hold the same barcode, with another suffix or prefix."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import binom

from scvcell.risk.leakage._base import CHECKS, Case, Finding, share

if TYPE_CHECKING:
    from collections.abc import Iterator

KNOWN = 737_280
"""Barcodes of the smallest list in wide use; two lanes share a barcode by chance as often as that says."""
BY_CHANCE = 0.999
"""Quantile of the number of barcodes that are shared by chance."""
_SEQUENCE = re.compile(r"(?<![A-Za-z])[ACGTN]{8,}(?![A-Za-z])")


@CHECKS.register("barcodes")
def barcodes(case: Case) -> Iterator[Finding]:
    """Share of test cells whose barcode a training cell has, too, beyond what lanes share by chance."""
    names = pd.Series(case.seen.obs_names.astype(str))
    code = names.map(sequence)
    train, test = code.iloc[case.train].dropna(), code.iloc[case.test].dropna()
    if not len(train) or not len(test):
        return
    known = set(train)
    shared = test.isin(known).to_numpy()
    length = int(test.map(len).median())
    limit = float(binom.ppf(BY_CHANCE, len(test), min(len(known) / min(4.0**length, KNOWN), 1.0)) / len(test))
    value = share(shared)
    if value > limit:
        first = test.index[np.flatnonzero(shared)[0]]
        says = (
            f"{value:.1%} of the test cells have the barcode of a training cell, e.g. {names[first]!r}; lanes share up "
            f"to {limit:.1%} by chance. The same cells seem to be on both sides under other names."
        )
    else:
        says = "Training and test share no more barcodes than two lanes do by chance."
    yield Finding("same barcode", value, limit, "red" if value > limit else "green", says, "cell")


def sequence(name: str) -> str | None:
    """The barcode in the name of a cell, without what stands before and after it; None where there is none."""
    found = _SEQUENCE.findall(name.upper() if name.islower() else name)
    return "-".join(found) if found else None
