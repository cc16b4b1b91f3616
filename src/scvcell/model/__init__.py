"""One fitted state: set up, train, keep, extend, read out."""

from scvcell._moved import moved
from scvcell.errors import Diverged, Terminated
from scvcell.model._check import check_layer, raw_counts
from scvcell.model._config import TrainConfig
from scvcell.model._csl import CSL
from scvcell.model._de import differential_expression
from scvcell.model._fitted import Fitted
from scvcell.model._normalized import normalized_expression
from scvcell.model._parts import PARTS, Part
from scvcell.model._query import load_query_data
from scvcell.model._readout import Decoded, Readout
from scvcell.model._recognise import annotation, proteins_in_obsm
from scvcell.model._references import references
from scvcell.model._size_factor import warn_by_names
from scvcell.model._store import load, save
from scvcell.model._translate import Calibration, calibration, depths, interval_scale

__all__ = [
    "CSL",
    "PARTS",
    "Calibration",
    "Decoded",
    "Diverged",
    "Fitted",
    "Part",
    "Readout",
    "Terminated",
    "TrainConfig",
    "annotation",
    "calibration",
    "check_layer",
    "depths",
    "differential_expression",
    "interval_scale",
    "load",
    "load_query_data",
    "normalized_expression",
    "proteins_in_obsm",
    "raw_counts",
    "references",
    "save",
    "warn_by_names",
]

__getattr__ = moved(
    __name__,
    {
        "FEWEST": "scvcell.response:FEWEST_CELLS",
        "Bulk": "scvcell.response:Bulk",
        "Drift": "scvcell.drift:Drift",
        "Effect": "scvcell.response:Effect",
        "Origin": "scvcell.screen:Origin",
        "Posterior": "scvcell.state:Posterior",
        "Response": "scvcell.response:Response",
        "Unit": "scvcell.response:Contrast",
        "baselines": "scvcell.risk:baselines",
        "conditions": "scvcell.response:contrasts",
        "evenly": "scvcell.response:evenly",
        "fuse": "scvcell.state:fuse",
        "jackknife_variance": "scvcell._stats:jackknife_variance",
        "kinetics_of": "scvcell.drift:kinetics_of",
        "make_flow": "scvcell.response:make_flow",
        "potential": "scvcell.screen:potential",
        "trace": "scvcell.screen:fit_origin",
        "train_flow": "scvcell.response:train_flow",
    },
)
