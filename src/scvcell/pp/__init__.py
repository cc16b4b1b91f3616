"""Preparation of data."""

from scvcell.pp._background import background_prior
from scvcell.pp._links import link_features
from scvcell.pp._obsm import modality_from_obsm
from scvcell.pp._tokenize import tokenize

__all__ = ["background_prior", "link_features", "modality_from_obsm", "tokenize"]
