"""Where states go by themselves."""

from scvcell.drift._expected import change_of_counts, expected_values
from scvcell.drift._fate import absorbed, fates_differ, terminal_groups
from scvcell.drift._learn import Drift, kinetics_of

__all__ = [
    "Drift",
    "absorbed",
    "change_of_counts",
    "expected_values",
    "fates_differ",
    "kinetics_of",
    "terminal_groups",
]
