"""Which words a report may use, by what the audit found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell.risk.leakage._base import COLUMN_KINDS, OF_ACTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scvcell.risk.leakage._base import Case, Finding

WORDS: dict[str, tuple[str, ...]] = {
    "unseen cells": ("cell",),
    **{f"unseen {kind}": (kind, "cell") for kind in COLUMN_KINDS if kind not in OF_ACTIONS},
    "unseen target": ("target", "cell"),
    "unseen drug": ("target", "similar target", "cell"),
    "unseen scaffold": ("scaffold", "target", "cell"),
    "unseen mechanism": ("mechanism", "cell"),
    "unseen pathway": ("pathway", "cell"),
    "unseen combination": ("combination", "cell"),
    "unseen action": ("action", "cell"),
    "unseen dose": ("dose", "cell"),
    "unseen time": ("time", "cell"),
    "intervals set on cells that chose nothing else": ("intervals",),
}
"""Words -> kinds of findings of which at least one must be there and none may be above its limit."""


def words(case: Case, findings: Iterable[Finding]) -> Mapping[str, str]:
    """For each of the words that data or split speak of, ``"allowed: why"`` or ``"not allowed: why"``."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.kind, []).append(finding)
    table = dict(WORDS)
    for column in case.claims.columns:
        kinds = [kind for kind in found if kind == column]
        table |= {f"unseen {kind}": (kind, "cell") for kind in kinds}
    out = {}
    for phrase, needs in table.items():
        about = needs[0] if phrase != "unseen drug" else "similar target"
        claimed = about in case.claims.kinds
        if about in found or claimed:
            out[phrase] = _judge(needs, found)
    return out


def _judge(needs: tuple[str, ...], found: Mapping[str, list[Finding]]) -> str:
    reasons = []
    for kind in needs:
        here = found.get(kind, [])
        if not here and kind != "cell":
            return f"not allowed: nothing in the data says which {kind} a cell is of."
        bad = [f for f in here if f.over or np.isnan(f.value)]
        if bad:
            return f"not allowed: {bad[0].says}"
        reasons += [f.check for f in here if kind != "cell"]
    return f"allowed: nothing found by {', '.join(dict.fromkeys(reasons)) or 'the checks of cells'}."
