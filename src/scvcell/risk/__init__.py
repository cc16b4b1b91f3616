"""R: where a model may be trusted. Metrics of the modality axis and calibration of intervals."""

from scvcell._stats import Conformal, cca
from scvcell.risk import baselines
from scvcell.score import VOTES, correlation, coverage, foscttm, match_recall, mixing, trusted, votes

__all__ = [
    "VOTES",
    "Conformal",
    "baselines",
    "cca",
    "correlation",
    "coverage",
    "foscttm",
    "match_recall",
    "mixing",
    "trusted",
    "votes",
]
