"""Learn the drift from kinetics (what is made and what decays), or from cells of several times and their clones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell._containers import View
from scvcell.drift._field import Field
from scvcell.drift._times import between, clones_of, times_of
from scvcell.drift._turnover import MAX_CELLS, N_MEMBERS, by_turnover
from scvcell.measure import Kinetics
from scvcell.model import Part

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import NDArray

    from scvcell._containers import Container
    from scvcell._types import Mask
    from scvcell.model import Fitted


def kinetics_of(model: Fitted) -> str | None:
    """Name of the modality whose operator is `Kinetics`; None without one."""
    operators = model.network.operators
    return next((name for name in model.schema.modalities if isinstance(operators[name], Kinetics)), None)


class Drift(Field, Part):
    """Where the cells of a fitted model are going: a vector field on its states, see `Field`."""

    what = "velocities"
    relearn = "scvcell.tl.velocity(data, model)"
    absent = "This model has no velocity yet. Run `scvcell.tl.velocity(data, model)` first."

    @classmethod
    def learn(  # type: ignore[override]
        cls,
        model: Fitted,
        data: Container | View | None = None,
        *,
        time_key: str | None = None,
        clone_key: str | None = None,
        seed: int = 0,
    ) -> Self:
        """Learn the field from kinetics, or from cells of several times.

        Parameters
        ----------
        model
            Trained model.
        data
            Container, or a view that ``model.view`` made; the fitted data by default. Training cells are used, where
            there are any.
        time_key
            Column of the time of each cell; without it, kinetics tell.
        clone_key
            Column of the clone of each cell, missing where it is not known.
        seed
            Seed.

        Raises
        ------
        ValueError
            If there are neither kinetics nor times, or too few of them; or no clone has cells at consecutive times.
        """
        seen = data if isinstance(data, View) else model.view(data)
        if time_key is not None:
            return cls._by_times(model, seen, time_key, clone_key, seed)
        if clone_key is not None:
            raise ValueError("clone_key= needs time_key=: sister cells tell where they are going by their times.")
        return cls._by_kinetics(model, seen, seed)

    @classmethod
    def _by_times(cls, model: Fitted, data: View, time_key: str, clone_key: str | None, seed: int) -> Self:
        rng, seen, time = np.random.default_rng(seed), _trained_on(model, data), times_of(data, time_key)
        cells = np.flatnonzero(seen & np.isfinite(time)) if seen.any() else np.flatnonzero(np.isfinite(time))
        part, time = data.subset(cells), time[cells]
        clone = clones_of(part, clone_key, time)
        z = model.posterior(part).mean.numpy().astype(float)
        pairs = [between(z, time, clone, rng) for _ in range(N_MEMBERS)]
        return cls.fit(z, pairs, seed, f"unit of {time_key}", time_key, clone_key or "")

    @classmethod
    def _by_kinetics(cls, model: Fitted, data: View, seed: int) -> Self:
        rng, seen, name = np.random.default_rng(seed), _trained_on(model, data), kinetics_of(model)
        if name is None or name not in data.modalities:
            where = "model measures" if name is None else "data have"
            raise ValueError(
                f"The {where} no kinetics, so that nothing tells where cells are going. Fit with spliced and unspliced "
                "(or old and new) counts made by scvcell.pp.modality_from_layers, or give time_key=, a column of times."
            )
        cells = np.flatnonzero(data.present(name) & (seen | ~seen.any()))
        cells = np.sort(rng.permutation(cells)[:MAX_CELLS])
        part = data.subset(cells)
        readout = model.readout(part, name)
        z, velocities, told = by_turnover(readout, model.posterior(part).mean.numpy(), rng)
        unit = "lifetime of a typical mRNA" if readout.operator.time is None else "unit of the labelling time"
        return cls.fit(z, [(z, velocity) for velocity in velocities], seed, unit, "", told=told)

    def dump(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Nothing plain, and all fields as arrays."""
        return {}, self.as_arrays()

    @classmethod
    def restore(cls, plain: dict[str, Any], arrays: dict[str, NDArray[Any]], n_latent: int) -> Self:
        """Inverse of `dump`."""
        return cls.from_arrays(arrays)

    @property
    def references(self) -> tuple[str, ...]:
        """Sources to cite."""
        if not self.time_key:
            return ("La Manno et al., RNA velocity of single cells, Nature 2018",)
        return (
            "Tong et al., Improving and generalizing flow-based generative models with minibatch optimal transport, "
            "TMLR 2024",
        )


def _trained_on(model: Fitted, data: View) -> Mask:
    """Which cells the model was trained on, ``(cells,)``."""
    return data.among(model.split_["train"])
