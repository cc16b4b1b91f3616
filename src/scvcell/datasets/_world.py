"""z, c and M of the simulator: a state sampler and one measurement function per modality, all of them known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

if TYPE_CHECKING:
    from mudata import MuData
    from numpy.random import Generator
    from numpy.typing import NDArray

    from scvcell._types import Array, Mask, Rows

    type Floats = Array
    type Bools = Mask

SIZE_SD = {"rna": 0.35, "adt": 0.25, "atac": 0.35}
"""Standard deviation of log cell size, per modality."""
FRAGMENTS = 0.3
"""Median chromatin counts of a cell, per peak."""
NOISE = 0.3
"""Variance of a peak's own loadings, relative to those it has from its gene."""


@dataclass(frozen=True)
class WorldParameters:
    """Plain numbers from which a `World` is drawn; the arguments of `simulate` explain them.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    n_genes: int = 500
    n_proteins: int = 30
    n_peaks: int = 0
    n_types: int = 6
    latent_dim: int = 5
    n_batches: int = 2
    batch_effect: float = 0.3
    depth: float = 1000.0
    background: bool = True
    panel: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_genes", "n_proteins", "n_types", "latent_dim", "n_batches"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}.")
        if self.n_peaks < 0:
            raise ValueError(f"n_peaks must be at least 0, not {self.n_peaks}.")
        if self.batch_effect < 0 or self.depth <= 0:
            raise ValueError("batch_effect must be at least 0 and depth above 0.")
        if not 0 < self.panel <= 1 or self.panel * self.n_batches < 1:
            raise ValueError(
                f"panel={self.panel} is out of range: a share in (0, 1], and at least 1 / n_batches "
                f"(= {1 / self.n_batches:.3g}) so that every feature is measured in some batch."
            )


@dataclass(frozen=True)
class Cells:
    """Context c of some cells: batch number ``(cells,)``, and per modality the size ``(cells,)`` (depth of RNA)."""

    batch: Rows
    size: dict[str, Floats]

    def __getitem__(self, rows: Rows | slice) -> Cells:
        return Cells(self.batch[rows], {name: size[rows] for name, size in self.size.items()})


@dataclass(frozen=True)
class Measured:
    """Counts ``(cells, features)`` and the truth behind them, arrays of the same shape by name."""

    counts: NDArray[np.int32]
    truth: dict[str, NDArray[np.generic]] = field(default_factory=dict)


class Measure(Protocol):
    """M_m: what a modality reads of a state in a context."""

    @property
    def panel(self) -> Bools:
        """Which features each batch measures, ``(batches, features)``."""

    @property
    def dispersion(self) -> Floats:
        """Inverse dispersion of the counts, ``(features,)``."""

    def expected(self, z: Floats, cells: Cells) -> Floats:
        """Compute the expected counts given state and context, ``(cells, features)``."""

    def sample(self, rng: Generator, z: Floats, cells: Cells) -> Measured:
        """Draw counts given state and context."""


@dataclass(frozen=True)
class States:
    """Sampler of z: a mixture of Gaussians, one per cell type.

    ``centres`` is ``(types, latent)``, ``weights`` ``(types,)``, ``spread`` the standard deviation within a type.
    """

    centres: Floats
    weights: Floats
    spread: float = 0.45

    def sample(self, rng: Generator, n: int) -> tuple[Rows, Floats]:
        """Draw type numbers ``(cells,)`` and states ``(cells, latent)`` of `n` cells."""
        types = rng.choice(len(self.weights), size=n, p=self.weights)
        z = self.centres[types] + self.spread * rng.standard_normal((n, self.centres.shape[1]))
        return types, z.astype(np.float32)


@dataclass(frozen=True)
class Counts:
    r"""M for RNA and chromatin: :math:`x \sim \mathrm{NB}(l\,\mathrm{softmax}(a + W z + s_b), \theta)`.

    ``intercept`` and ``dispersion`` are ``(features,)``, ``loading`` ``(latent, features)``, ``shift`` and ``panel``
    ``(batches, features)``; ``assay`` says whose size of the cell is l.
    """

    intercept: Floats
    loading: Floats
    shift: Floats
    dispersion: Floats
    panel: Bools
    assay: str = "rna"

    def expected(self, z: Floats, cells: Cells) -> Floats:
        """Compute the expected counts, ``(cells, features)``; their sum over all features is the size of the cell."""
        logits = self.intercept + z @ self.loading + self.shift[cells.batch]
        rho = np.exp(logits - logits.max(1, keepdims=True))
        rate = rho * (cells.size[self.assay][:, None] / rho.sum(1, keepdims=True))
        return rate * self.panel[cells.batch]

    def sample(self, rng: Generator, z: Floats, cells: Cells) -> Measured:
        """Draw counts, with the truth ``rate`` (their negative binomial mean)."""
        rate = self.expected(z, cells)
        return Measured(negative_binomial(rng, rate, self.dispersion), {"rate": rate})


@dataclass(frozen=True)
class Proteins:
    r"""M for proteins: a cell either carries a protein or shows the background of its antibody.

    .. math::
        f \sim \mathrm{Bernoulli}(\pi(z)), \quad y \sim \mathrm{NB}(l\,\beta_b\,\alpha(z)^f, \theta), \quad
        \alpha(z) = 1 + e^{a + V z}, \quad \mathrm{logit}\,\pi(z) = k\,(U z - t)

    With ``mixture`` off every cell carries every protein and y is one negative binomial, of mean
    :math:`l\,\beta_b\,e^{U z}`. ``log_background``, ``shift`` and ``panel`` are ``(batches or 1, proteins)``,
    ``fold``, ``threshold`` and ``dispersion`` ``(proteins,)``, ``loading`` (U) and ``fold_loading`` (V)
    ``(latent, proteins)``.
    """

    log_background: Floats
    shift: Floats
    fold: Floats
    fold_loading: Floats
    loading: Floats
    threshold: Floats
    dispersion: Floats
    panel: Bools
    mixture: bool
    steepness: float = 4.0

    def background(self, cells: Cells) -> Floats:
        """Compute the expected background counts, ``(cells, proteins)``."""
        beta = np.exp(self.log_background + self.shift[cells.batch])
        return beta * cells.size["adt"][:, None] * self.panel[cells.batch]

    def foreground_probability(self, z: Floats) -> Floats:
        """Compute the probability that a cell in state z carries each protein, ``(cells, proteins)``."""
        return 1 / (1 + np.exp(-self.steepness * (z @ self.loading - self.threshold)))

    def _fold_change(self, z: Floats) -> Floats:
        """Compute the counts of a carrying cell relative to the background, ``(cells, proteins)``."""
        return 1 + np.exp(self.fold + z @ self.fold_loading)

    def expected(self, z: Floats, cells: Cells) -> Floats:
        """Compute the expected counts, over carrying and background cells in the same state."""
        if not self.mixture:
            return self.background(cells) * np.exp(z @ self.loading)
        return self.background(cells) * (1 + self.foreground_probability(z) * (self._fold_change(z) - 1))

    def sample(self, rng: Generator, z: Floats, cells: Cells) -> Measured:
        """Draw counts; truth: ``expected``, ``foreground`` (who carries what) and ``rate`` (the mean given it)."""
        expected = self.expected(z, cells)
        if not self.mixture:
            return Measured(negative_binomial(rng, expected, self.dispersion), {"rate": expected})
        foreground = rng.random(expected.shape, dtype=np.float32) < self.foreground_probability(z)
        rate = self.background(cells) * np.where(foreground, self._fold_change(z), 1)
        counts = negative_binomial(rng, rate, self.dispersion)
        return Measured(counts, {"rate": rate, "expected": expected, "foreground": foreground})


@dataclass(frozen=True)
class World:
    """Everything that is true in a simulation.

    A state-changing operator is a function of z before `measures` reads it (Delta), an aggregation a function of
    expected counts after it (P), whose members are the answer of a lift (L); so all of them share this z and M.

    Attributes
    ----------
    parameters
        The numbers it was drawn from; the same parameters give the same world.
    states
        Sampler of z.
    measures
        M by modality name; chromatin only where there are peaks.
    near
        Number of the gene that each peak lies near and follows, ``(peaks,)``.
    """

    parameters: WorldParameters
    states: States
    measures: dict[str, Measure]
    near: Rows

    @classmethod
    def draw(cls, parameters: WorldParameters) -> Self:
        """Draw types, loadings, batch shifts and panels from the seed in `parameters`."""
        rng = np.random.default_rng([parameters.seed, 0])
        p = parameters
        centres = 0.9 * rng.standard_normal((p.n_types, p.latent_dim))
        states = States(centres - centres.mean(0), rng.dirichlet(np.full(p.n_types, 8.0)))
        rna = _draw_counts(rng, p)
        measures: dict[str, Measure] = {"rna": rna, "adt": _draw_proteins(rng, p)}
        near = rng.permutation(np.arange(p.n_peaks) % p.n_genes)
        if p.n_peaks:
            measures["atac"] = _draw_peaks(rng, p, rna.loading[:, near])
        return cls(parameters, states, measures, near)

    @classmethod
    def of(cls, mdata: MuData) -> Self:
        """Rebuild the world behind a simulated MuData from ``.uns["simulation"]``.

        Raises
        ------
        ValueError
            If `mdata` was not made by `simulate`.
        """
        if "simulation" not in mdata.uns:
            raise ValueError("No .uns['simulation']: make the data with `scvcell.datasets.simulate()` first.")
        stored = mdata.uns["simulation"]["world"]
        return cls.draw(WorldParameters(**{k: v.item() if hasattr(v, "item") else v for k, v in stored.items()}))

    def sample_cells(self, rng: Generator, n: int) -> Cells:
        """Draw the context of `n` cells: batches of equal size in random order, log-normal sizes."""
        batch = rng.permutation(np.arange(n) % self.parameters.n_batches)
        middle = {"rna": self.parameters.depth, "adt": 1.0, "atac": FRAGMENTS * self.parameters.n_peaks}
        size = {name: middle[name] * np.exp(SIZE_SD[name] * rng.standard_normal(n)) for name in self.measures}
        return Cells(batch, {name: values.astype(np.float32) for name, values in size.items()})


def negative_binomial(rng: Generator, mean: Floats, dispersion: Floats) -> NDArray[np.int32]:
    """Draw counts with mean m and variance m + m^2 / dispersion, as a gamma-Poisson mixture."""
    gamma = rng.standard_gamma(np.broadcast_to(dispersion, mean.shape).astype(np.float32), dtype=np.float32)
    return rng.poisson(gamma * (mean / dispersion)).astype(np.int32)


def _draw_counts(rng: Generator, p: WorldParameters) -> Counts:
    return Counts(
        intercept=rng.normal(0, 1.2, p.n_genes).astype(np.float32),
        loading=rng.normal(0, p.latent_dim**-0.5, (p.latent_dim, p.n_genes)).astype(np.float32),
        shift=rng.normal(0, p.batch_effect, (p.n_batches, p.n_genes)).astype(np.float32),
        dispersion=rng.uniform(2, 10, p.n_genes).astype(np.float32),
        panel=_draw_panel(rng, p, p.n_genes),
    )


def _draw_peaks(rng: Generator, p: WorldParameters, loading: Floats) -> Counts:
    """Peaks that open with the gene they are near, each with something of its own."""
    own = rng.normal(0, (NOISE / p.latent_dim) ** 0.5, loading.shape)
    return Counts(
        intercept=rng.normal(0, 1, p.n_peaks).astype(np.float32),
        loading=(loading + own).astype(np.float32),
        shift=rng.normal(0, p.batch_effect, (p.n_batches, p.n_peaks)).astype(np.float32),
        dispersion=rng.uniform(5, 20, p.n_peaks).astype(np.float32),
        panel=_draw_panel(rng, p, p.n_peaks),
        assay="atac",
    )


def _draw_proteins(rng: Generator, p: WorldParameters) -> Proteins:
    direction = rng.standard_normal((p.latent_dim, p.n_proteins))
    return Proteins(
        log_background=rng.normal(np.log(5), 0.6, (1, p.n_proteins)).astype(np.float32),
        shift=rng.normal(0, p.batch_effect, (p.n_batches, p.n_proteins)).astype(np.float32),
        fold=rng.normal(np.log(15), 0.6, p.n_proteins).astype(np.float32),
        fold_loading=rng.normal(0, 0.4 * p.latent_dim**-0.5, (p.latent_dim, p.n_proteins)).astype(np.float32),
        loading=(direction / np.linalg.norm(direction, axis=0)).astype(np.float32),
        threshold=rng.normal(0.4, 0.4, p.n_proteins).astype(np.float32),
        dispersion=rng.uniform(3, 10, p.n_proteins).astype(np.float32),
        panel=_draw_panel(rng, p, p.n_proteins),
        mixture=p.background,
    )


def _draw_panel(rng: Generator, p: WorldParameters, n: int) -> Bools:
    """Draw which features each batch measures, ``(batches, n)``: the same number in each, every feature in some."""
    panel = np.zeros((p.n_batches, n), dtype=bool)
    n_measured = max(round(p.panel * n), -(-n // p.n_batches))
    for row, own in zip(panel, np.array_split(rng.permutation(n), p.n_batches), strict=True):
        rest = np.setdiff1d(np.arange(n), own)
        row[own] = True
        row[rng.choice(rest, n_measured - len(own), replace=False)] = True
    return panel
