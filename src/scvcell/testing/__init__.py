"""Contract tests of what other packages bring: operators of measurements, predictors, axes, readouts."""

from scvcell.testing._axis import check_axis
from scvcell.testing._measurement import check_measurement, example_summary
from scvcell.testing._predictor import check_predictor
from scvcell.testing._readout import check_readout

__all__ = ["check_axis", "check_measurement", "check_predictor", "check_readout", "example_summary"]
