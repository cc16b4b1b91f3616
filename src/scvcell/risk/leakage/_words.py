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
    "new context of an action": ("context", "cell"),
    "new pair of action and context": ("pair", "cell"),
    "unseen dose": ("dose", "cell"),
    "unseen time": ("time", "cell"),
    "intervals set on cells that chose nothing else": ("intervals",),
}
"""Words -> kinds of findings of which at least one must be there and none may be above its limit."""

LACKING = {"similar target": "it was not said how alike targets are; give similarity=, such as fingerprints."}
"""What is said where there is no finding of a kind."""


def words(case: Case, findings: Iterable[Finding]) -> Mapping[str, str]:
    """For each of the words that data or split speak of, ``"allowed: why"`` or ``"not allowed: why"``.

    What is wrong with some predictors alone, whose scores are not shown, does not limit what is said of the others.
    """
    known = [finding for finding in findings if finding.kind]
    red = {finding.predictor for finding in known if finding.predictor and finding.verdict == "red"}
    if len(red) < len(case.predictors):
        known = [finding for finding in known if finding.predictor not in red]
    found: dict[str, list[Finding]] = {}
    for finding in known:
        found.setdefault(finding.kind, []).append(finding)
    own = {f"unseen {kind}": (kind, "cell") for kind in case.claims.columns if kind in found}
    return {
        phrase: _judge(needs, found)
        for phrase, needs in {**WORDS, **own}.items()
        if needs[0] in found or needs[0] in case.claims.kinds
    }


def _judge(needs: tuple[str, ...], found: Mapping[str, list[Finding]]) -> str:
    checks = []
    for kind in needs:
        here = found.get(kind, [])
        if not here and kind != "cell":
            return f"not allowed: {LACKING.get(kind, f'nothing in the data says of which {kind} a cell is.')}"
        bad = next((finding for finding in here if finding.over or np.isnan(finding.value)), None)
        if bad is not None:
            return f"not allowed: {bad.says}"
        checks += [finding.check for finding in here if kind != "cell"]
    return f"allowed: nothing found by {', '.join(map(repr, dict.fromkeys(checks)))}." if checks else _CELLS


_CELLS = "allowed: no test cell is among the training cells under another name."
