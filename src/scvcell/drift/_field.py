"""A vector field on states, dz/dt = f(z), and where it carries cells."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.spatial.distance import cdist

if TYPE_CHECKING:
    from typing import Self

    from scvcell._types import Array, Mask


N_LANDMARKS = 300
KERNEL_WIDTH = 0.5
"""Width of the kernel, in median distances of landmarks."""
PRIOR_WEIGHT = 1.0
"""Weight of the prior of the field against one observed velocity."""
CELLS_PER_BLOCK = 256
TRUSTED_CONFIDENCE = 0.5
"""Confidence from which the direction of a cell is trusted."""
MIN_TRUSTED_SHARE = 0.05
"""Share of trusted cells that may be chance: where there are fewer, none is."""
N_LOOKS = 5
"""Times on the way at which it is asked how much the data say."""


@dataclass(frozen=True, eq=False, repr=False)
class Field:
    r"""A vector field on states, linear in kernel features, several times over.

    .. math:: \frac{dz}{dt} = f(z) = \sum_l w_l\, e^{-\|z - z_l\|^2 / 2 h^2}

    Each member is fitted to a bootstrap sample of the evidence; their mean is the field, their spread what is not known
    of it. Away from the data the field falls to 0.

    Attributes
    ----------
    landmarks
        Cells at which kernels sit, ``(landmarks, latent)``.
    width
        Width of the kernels.
    coef
        Weights of each member, ``(members, landmarks, latent)``.
    cover
        Matrix behind `support`, ``(landmarks, landmarks)``.
    unit
        Unit of time.
    time_key, clone_key
        Columns of time and clone of the cells, if that is what it was learned from; else empty.
    told
        Weights of how well the evidence tells the direction, ``(landmarks,)``; empty where that was not asked.
    """

    landmarks: Array
    width: float
    coef: Array
    cover: Array
    unit: str
    time_key: str
    clone_key: str = ""
    told: Array = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def fit(
        cls,
        places: Array,
        evidence: list[tuple[Array, Array]],
        seed: int,
        unit: str,
        *keys: str,
        told: Array | None = None,
    ) -> Self:
        """Kernel ridge regression of velocities on states, in closed form.

        Parameters
        ----------
        places
            States of the data, ``(cells, latent)``.
        evidence
            States and velocities of each member.
        seed
            Landmarks are drawn.
        unit, *keys
            Unit, columns of time and clone, see above.
        told
            How well the evidence tells the direction at each of the places, 0 to 1, ``(cells,)``.
        """
        rng = np.random.default_rng(seed)
        landmarks = places[rng.permutation(len(places))[:N_LANDMARKS]]
        apart = cdist(landmarks, landmarks)
        width = KERNEL_WIDTH * float(np.median(apart[apart > 0])) if (apart > 0).any() else 1.0
        prior = np.exp(-((apart / width) ** 2) / 2) + 1e-6 * np.eye(len(landmarks))
        time_key, clone_key = (*keys, "")[:2]
        empty = cls(landmarks, width, np.zeros((0, *landmarks.shape)), prior, unit, time_key, clone_key)

        def precision(z: Array) -> Array:
            k = empty.features(z)
            return k.T @ k + PRIOR_WEIGHT * prior

        coef = [np.linalg.solve(precision(z), empty.features(z).T @ velocity) for z, velocity in evidence]
        cover = np.linalg.inv(prior) - PRIOR_WEIGHT * np.linalg.inv(precision(places))
        found = cls(landmarks, width, np.array(coef), cover, unit, time_key, clone_key)
        if told is None:
            return found
        found = replace(found, told=np.linalg.solve(precision(places), empty.features(places).T @ told))
        return found if found.trusted(places).mean() >= MIN_TRUSTED_SHARE else replace(found, told=0 * found.told)

    def __repr__(self) -> str:
        learned = f"cells at several {self.time_key!r}" if self.time_key else "kinetics"
        return f"{type(self).__name__} from {learned}: {len(self.landmarks)} landmarks, time in {self.unit}."

    def features(self, z: Array) -> Array:
        """Kernel features, ``(cells, landmarks)``."""
        return np.exp(-((cdist(z, self.landmarks) / self.width) ** 2) / 2)

    def velocity(self, z: Array) -> Array:
        """Velocity of cells, ``(cells, latent)``."""
        return self.features(z) @ self.coef.mean(0)

    def members(self, z: Array) -> Array:
        """Velocity by each member, ``(members, cells, latent)``."""
        return self.features(z) @ self.coef

    def confidence(self, z: Array) -> Array:
        """How far the direction of cells can be relied on, ``(cells,)``; trusted from one half.

        The mean cosine between the velocity and that of the members, and of kinetics no more than how well they tell
        it. A field that was learned from kinetics before that was asked has none.
        """
        ahead, members = self.velocity(z), self.members(z)
        lengths = np.linalg.norm(members, axis=2) * np.linalg.norm(ahead, axis=1)
        agreement = ((members * ahead).sum(2) / np.maximum(lengths, 1e-12)).mean(0)
        if self.time_key:
            return agreement  # type: ignore[no-any-return]
        told = np.clip(self.features(z) @ self.told, 0, 1) if len(self.told) else np.zeros(len(z))
        return np.minimum(agreement, told)  # type: ignore[no-any-return]

    def trusted(self, z: Array) -> Mask:
        """Whether the direction of cells is to be followed, ``(cells,)``: the one place where that is decided."""
        return self.confidence(z) >= TRUSTED_CONFIDENCE  # type: ignore[no-any-return]

    def support(self, z: Array) -> Array:
        """Share of the field's prior variance that the data explain, ``(cells,)``: 1 amid the data, 0 far from them."""
        k = self.features(z)
        return np.clip(((k @ self.cover) * k).sum(1), 0, 1)

    def flow(self, z: Array, time: float) -> tuple[Array, Array, Array]:
        """Carry cells along the field, by an adaptive Runge-Kutta method of order 5.

        Returns
        -------
        States after `time`, ``(cells, latent)``; those by each member, ``(members, cells, latent)``; and the least
        support on the way, ``(cells,)``.
        """
        coef = np.concatenate([self.coef.mean(0)[None], self.coef])
        ends, supports = [], []
        for start in range(0, len(z), CELLS_PER_BLOCK):
            here = z[start : start + CELLS_PER_BLOCK]
            path = self._solve(np.repeat(here[None], len(coef), 0), coef, time)
            ends.append(path[-1])
            supports.append(np.min([self.support(look[0]) for look in path], axis=0))
        states = np.concatenate(ends, 1)
        return states[0], states[1:], np.concatenate(supports)

    def _solve(self, z: Array, coef: Array, time: float) -> Array:
        """States of each member at some times on the way, ``(looks, members, cells, latent)``."""
        if time == 0:
            return z[None]

        def slope(_: float, flat: Array) -> Array:
            k = self.features(flat.reshape(-1, z.shape[2])).reshape(*z.shape[:2], -1)
            return (k @ coef).ravel()

        looks = np.linspace(0, time, N_LOOKS)
        found = solve_ivp(slope, (0, time), z.ravel(), t_eval=looks, rtol=1e-5, atol=1e-6)
        return found.y.T.reshape(-1, *z.shape)

    def as_arrays(self) -> dict[str, Any]:
        """Plain arrays, from which ``Field(**arrays)`` makes it again."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any]) -> Self:
        """Inverse of `as_arrays`."""
        return cls(**{name: value.item() if value.ndim == 0 else value for name, value in arrays.items()})
