"""Simple translations from one assay to another, which a model has to beat: mean, PCA + kNN, PCA + ridge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor

if TYPE_CHECKING:
    from scvcell._types import Array

COMPONENTS = 30


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
