"""z: the cell-state latent model."""

from scvcell.model._csl import CSL
from scvcell.model._fuse import Posterior, fuse
from scvcell.model._train import TrainConfig

__all__ = ["CSL", "Posterior", "TrainConfig", "fuse"]
