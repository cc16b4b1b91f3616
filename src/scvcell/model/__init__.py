"""z: the cell-state latent model."""

from scvcell._moved import moved
from scvcell.model._bulk import FEWEST, Bulk, evenly, jackknife_variance
from scvcell.model._check import check_layer, raw_counts
from scvcell.model._csl import CSL
from scvcell.model._de import differential_expression
from scvcell.model._drift import Drift
from scvcell.model._fuse import Posterior, fuse
from scvcell.model._normalized import normalized_expression
from scvcell.model._origin import Origin, trace
from scvcell.model._predict import Decoded, bridge, context, decode, own_depth
from scvcell.model._query import load_query_data
from scvcell.model._recognise import annotation, proteins_in_obsm
from scvcell.model._respond import Unit, conditions, make_flow, train_flow
from scvcell.model._response import Effect, Response
from scvcell.model._size_factor import warn_by_names
from scvcell.model._steer import kinetics_of
from scvcell.model._store import load, save
from scvcell.model._train import Diverged, Terminated, TrainConfig
from scvcell.model._transport import potential

__all__ = [
    "CSL",
    "FEWEST",
    "Bulk",
    "Decoded",
    "Diverged",
    "Drift",
    "Effect",
    "Origin",
    "Posterior",
    "Response",
    "Terminated",
    "TrainConfig",
    "Unit",
    "annotation",
    "bridge",
    "check_layer",
    "conditions",
    "context",
    "decode",
    "differential_expression",
    "evenly",
    "fuse",
    "jackknife_variance",
    "kinetics_of",
    "load",
    "load_query_data",
    "make_flow",
    "normalized_expression",
    "own_depth",
    "potential",
    "proteins_in_obsm",
    "raw_counts",
    "save",
    "trace",
    "train_flow",
    "warn_by_names",
]

__getattr__ = moved(__name__, {"baselines": "scvcell.risk:baselines"})
