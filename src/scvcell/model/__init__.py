"""z: the cell-state latent model."""

from scvcell.model._check import check_layer, raw_counts
from scvcell.model._config import TrainConfig
from scvcell.model._csl import CSL
from scvcell.model._de import differential_expression
from scvcell.model._normalized import normalized_expression
from scvcell.model._pairs import Matches
from scvcell.model._predict import Decoded, bridge, context, decode, own_depth
from scvcell.model._query import load_query_data
from scvcell.model._recognise import annotation, proteins_in_obsm
from scvcell.model._size_factor import warn_by_names
from scvcell.model._store import load, save
from scvcell.model._train import Diverged, Terminated

__all__ = [
    "CSL",
    "Decoded",
    "Diverged",
    "Matches",
    "Terminated",
    "TrainConfig",
    "annotation",
    "bridge",
    "check_layer",
    "context",
    "decode",
    "differential_expression",
    "load",
    "load_query_data",
    "normalized_expression",
    "own_depth",
    "proteins_in_obsm",
    "raw_counts",
    "save",
    "warn_by_names",
]
