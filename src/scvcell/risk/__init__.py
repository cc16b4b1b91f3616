"""R: where a model may be trusted. Metrics of the modality axis and calibration of intervals."""

from scvcell.risk._calibrate import Conformal, coverage
from scvcell.risk._modality import (
    VOTES,
    cca,
    correlation,
    foscttm,
    match_recall,
    mixing,
    trusted,
    votes,
)

__all__ = [
    "VOTES",
    "Conformal",
    "cca",
    "correlation",
    "coverage",
    "foscttm",
    "match_recall",
    "mixing",
    "trusted",
    "votes",
]
