"""Simple predictions to beat: of one assay from another, and of what an action does."""

from scvcell._moved import moved
from scvcell.risk.baselines._actions import BASELINES, Baseline
from scvcell.risk.baselines._chance import Chance
from scvcell.risk.baselines._pooled import PooledMean
from scvcell.risk.baselines._predictors import EffectBaseline, action_baselines
from scvcell.risk.baselines._translation import TRANSLATORS, mean_profile, pca_knn, pca_ridge

__all__ = [
    "BASELINES",
    "TRANSLATORS",
    "Baseline",
    "Chance",
    "EffectBaseline",
    "PooledMean",
    "action_baselines",
    "mean_profile",
    "pca_knn",
    "pca_ridge",
]

__getattr__ = moved(__name__, {"clr": "scvcell.score:clr", "normalise_counts": "scvcell.score:log_cp10k"})
