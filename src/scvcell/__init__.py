"""scvcell: AI virtual cells for scverse. One cell-state latent from whatever assays you have.

Everything is imported on first use: ``import scvcell`` itself costs no torch, no scvi-tools and no spatialdata.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scvcell import datasets, errors, measure, perturb, pl, pp, prior, risk, scale, score, testing, tl
    from scvcell._cite import cite
    from scvcell.model import CSL, TrainConfig
    from scvcell.objective import Weights
    from scvcell.perturb import Action, PerturbationKeys

__version__ = version("scvcell")

_MODULES = ("datasets", "errors", "measure", "perturb", "pl", "pp", "prior", "risk", "scale", "score", "testing", "tl")
_NAMES = {
    "Action": "scvcell.perturb",
    "CSL": "scvcell.model",
    "PerturbationKeys": "scvcell.perturb",
    "TrainConfig": "scvcell.model",
    "Weights": "scvcell.objective",
    "cite": "scvcell._cite",
}

__all__ = ["CSL", "Action", "PerturbationKeys", "TrainConfig", "Weights", "__version__", "cite", *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES or name in _NAMES:
        # before what imports tqdm for the first time and is told, in every notebook, that there are no widgets
        importlib.import_module("scvcell._calm")
    if name in _MODULES:
        return importlib.import_module(f"scvcell.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'scvcell' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
