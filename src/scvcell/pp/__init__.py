"""Preparation of data."""

from scvcell._calm import calm_down
from scvcell.pp import splits
from scvcell.pp._background import background_prior
from scvcell.pp._corpus import read_corpus
from scvcell.pp._layers import modality_from_layers
from scvcell.pp._links import link_features
from scvcell.pp._obs import modality_from_obs
from scvcell.pp._obsm import modality_from_obsm
from scvcell.pp._panel import panels
from scvcell.pp._query import prepare_query
from scvcell.pp._scperturb import read_scperturb
from scvcell.pp._sdata import to_spatialdata
from scvcell.pp._split import split_modalities
from scvcell.pp._tokenize import tokenize
from scvcell.pp.splits import Split, split

__all__ = [
    "Split",
    "background_prior",
    "link_features",
    "modality_from_layers",
    "modality_from_obs",
    "modality_from_obsm",
    "panels",
    "prepare_query",
    "read_corpus",
    "read_scperturb",
    "split",
    "split_modalities",
    "splits",
    "to_spatialdata",
    "tokenize",
]

calm_down(globals())
