"""M: measurement operators, one file per kind of assay."""

from scvcell.measure._base import MEASUREMENTS, Context, Decoder, Measurement, Scale, Summary
from scvcell.measure._counts import Counts
from scvcell.measure._protein import Protein
from scvcell.measure._show import show

__all__ = ["MEASUREMENTS", "Context", "Counts", "Decoder", "Measurement", "Protein", "Scale", "Summary", "show"]
