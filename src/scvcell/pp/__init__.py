"""Preparation of data."""

from scvcell.pp._background import background_prior

__all__ = ["background_prior"]
