"""The audit of leakage of a report, told before predictors are fitted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scvcell.risk import leakage
from scvcell.risk._columns import COLUMNS
from scvcell.risk._plan import keys_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell.risk._predictor import Predictor
    from scvcell.risk._task import World

logger = logging.getLogger("scvcell")


def leaks(world: World, asked: Mapping[str, Predictor], seed: int) -> tuple[pd.DataFrame, dict[str, str]]:
    """What the audit of leakage found on any fold, the worst of each check, and which words it allows.

    What is red is a warning at once: a reader may stop before long fits. Checks of all folds that fit nothing come
    first. Predictors that have to be fitted for it are looked at on the first fold, with few cells.

    Parameters
    ----------
    world
        Data, folds and axes.
    asked
        Name -> predictor.
    seed
        Seed of samples and small fits.
    """
    keys = keys_of(asked, world.axes.values())
    called = {str(getattr(each, "name", name)): name for name, each in asked.items()}
    told: set[tuple[str, str]] = set()

    def tell(finding: leakage.Finding) -> None:
        who = called.get(finding.predictor, finding.predictor)
        if finding.verdict == "red" and (who, finding.check) not in told:
            told.add((who, finding.check))
            logger.warning(
                "Leakage (%s): %s R of %s will not be told. This was found before predictors are fitted to all data.",
                *(finding.check, finding.says, who or "anyone"),
            )

    audits: dict[int, leakage.Audit] = {}
    for k in reversed(range(len(world.splits))):
        known = [each for each in asked.values() if k == 0 or leakage.split_of(each) is not None]
        case = leakage.case_of(world.data, world.splits[k], keys, predictors=known, seed=seed)
        audits[k] = leakage.look(case, tell)
    tables: list[pd.DataFrame] = []
    words: dict[str, str] = {}
    for k, found in sorted(audits.items()):
        fold = f" (fold {k + 1})" if len(world.splits) > 1 else ""
        tables.append(found.table.assign(says=found.table["says"] + fold))
        for phrase, why in found.words.items():
            if phrase not in words or words[phrase].startswith("allowed"):
                words[phrase] = why
    every = pd.concat(tables, ignore_index=True)
    every["predictor"] = every["predictor"].map(lambda name: called.get(name, name))
    order = every["verdict"].map({"red": 0, "amber": 1, "green": 2}).to_numpy()
    worst = every.iloc[np.argsort(order, kind="stable")].drop_duplicates(["predictor", "check"])
    return worst.reset_index(drop=True)[COLUMNS["leakage"]], words
