"""Simple predictors that every table must contain: mean, PCA + ridge, PCA + kNN, CCA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating]

COMPONENTS = 30


def normalise_counts(x: Any) -> Array:
    """log1p of counts per 10,000, dense, ``(cells, genes)``."""
    dense = x.toarray() if sp.issparse(x) else np.asarray(x)
    return np.log1p(dense / np.maximum(dense.sum(1, keepdims=True), 1) * 1e4)


def clr(x: Any) -> Array:
    """Centred log-ratio of each cell: ``log1p(x)`` minus its mean over features."""
    dense = np.log1p(x.toarray() if sp.issparse(x) else np.asarray(x))
    return dense - dense.mean(1, keepdims=True)


def mean_profile(x_train: Array, y_train: Array, x_new: Array) -> Array:
    """The mean of the training targets for every cell."""
    return np.tile(y_train.mean(0), (len(x_new), 1))


def pca_ridge(x_train: Array, y_train: Array, x_new: Array) -> Array:
    """Ridge regression on principal components, penalty by leave-one-out."""
    pca = PCA(min(COMPONENTS, *x_train.shape), random_state=0).fit(x_train)
    return RidgeCV(np.logspace(0, 4, 9)).fit(pca.transform(x_train), y_train).predict(pca.transform(x_new))


def pca_knn(x_train: Array, y_train: Array, x_new: Array, k: int = 30) -> Array:
    """Mean of the nearest training cells in principal components."""
    pca = PCA(min(COMPONENTS, *x_train.shape), random_state=0).fit(x_train)
    model = KNeighborsRegressor(min(k, len(x_train))).fit(pca.transform(x_train), y_train)
    return model.predict(pca.transform(x_new))


TRANSLATORS = {"mean profile": mean_profile, "PCA + kNN": pca_knn, "PCA + ridge": pca_ridge}
"""Baselines of translation: functions of training inputs, training targets and new inputs."""
