"""Preparation of data."""

from scvcell.pp._background import background_prior
from scvcell.pp._links import link_features

__all__ = ["background_prior", "link_features"]
