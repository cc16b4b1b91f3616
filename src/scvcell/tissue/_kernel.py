"""P across platforms: how wide, and how far off, the cells are whose sums a spot of another platform measured."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from scvcell.objective import nb_deviance
from scvcell.score import correlation
from scvcell.tissue._blocks import blocks

if TYPE_CHECKING:
    import scipy.sparse as sp

    from scvcell._containers import Membership, Space
    from scvcell._types import Array, Mask, Rows

logger = logging.getLogger("scvcell")

N_BLOCKS = 5
"""Blocks of each section; each is asked about once, after all was chosen on the others."""
WIDTHS = (0.25, 0.35, 0.5, 0.65, 0.8, 0.95, 1.1, 1.3, 1.6, 2.0)
"""Widths that are tried, over the distance between neighbouring spots."""
STEPS = (0.4, 0.2, 0.1)
"""Steps of the search for the offset, over the same distance."""
MAX_MOVES = 4
"""Steps of one length at most."""
MIN_GAIN = 0.02
"""Share of the deviance that a step must take away; less is noise, as sections do not match cell by cell."""
BACKGROUNDS = (0.0, 0.05, 0.1, 0.2)
"""Shares of a spot that may come from the whole section, as reads that spread before they are bound do."""
NOMINAL = 0.275
"""Radius of a spot over the distance of spots where nothing is fitted: that of Visium, 55 of 100 um across."""
DISPERSION = 10.0
"""Inverse dispersion of all that are compared; one for each would favour those that are far off."""
MAX_SPOTS = 2000
"""Spots, evenly from all, by which the kernel is found at most."""
MAX_FEATURES = 1000
"""Features, those with most counts, by which it is found at most."""


class Kernel(NamedTuple):
    """Width and offset in the unit of the coordinates, and share of the section's mean profile in every spot."""

    width: float
    offset: tuple[float, ...]
    background: float


@dataclass(frozen=True, eq=False, repr=False)
class KernelFit:
    """A kernel with what it is worth.

    Attributes
    ----------
    kernel
        The one chosen by all blocks.
    factor
        How much better the spots' platform sees each feature, geometric mean 1, ``(features,)``.
    profile
        Shares of features in all cells, ``(features,)``.
    membership
        Weights of cells in all spots.
    scores
        By predictor, deviance and correlation of held-out blocks.
    """

    kernel: Kernel
    factor: Array
    profile: Array
    membership: Membership
    scores: dict[str, dict[str, float]]

    def expected(self, sums: Array, depth: Array) -> Array:
        """What the spots' platform is expected to count at a depth, from sums of cells, ``(spots, features)``."""
        found = _shares(sums, self.profile)
        found = ((1 - self.kernel.background) * found + self.kernel.background * self.profile) * self.factor
        return found / found.sum(1, keepdims=True) * depth[:, None]  # type: ignore[no-any-return]


def shifted(space: Space, offset: tuple[float, ...]) -> Space:
    """The same units, moved."""
    return replace(space, xy=space.xy + np.asarray(offset))


def fit_kernel(spots: Space, cells: Space, measured: sp.csr_matrix, counts: sp.csr_matrix) -> KernelFit:
    r"""Find the kernel by which sums of cells say what spots measured.

    .. math:: x_{rg} \approx l_r\, \frac{m_g p_{rg}}{\sum_h m_h p_{rh}}, \qquad
        p_{rg} = (1 - b) \frac{(A x)_{rg}}{\sum_h (A x)_{rh}} + b\, \bar p_g, \qquad
        A_{rc} = e^{-|s_r + o - s_c|^2 / 2 \sigma^2}

    Width, offset and background are chosen by the deviance of blocks for which the factors m were found by other
    blocks; the scores are those of further blocks, which neither choice nor factors have seen.

    Parameters
    ----------
    spots, cells
        Where they are.
    measured, counts
        Counts of spots and of cells, of the same features.

    Raises
    ------
    ValueError
        If there are too few spots, or no cell lies near any.
    """
    search = _Search.of(spots, cells, measured, counts)
    expected = {name: np.zeros_like(search.x) for name in ("kernel", "nominal spot", "mean profile", "6 neighbours")}
    nominal = search.shares(search.spots.within(NOMINAL * search.pitch, other=cells))
    around = search.spots.nearest(6, itself=False).mean(search.x / search.depth) * search.depth
    for block in np.unique(search.block):
        out, given = search.block == block, search.block != block
        flat = search.x[given].sum(0) + 1
        mean = np.broadcast_to(flat / flat.sum(), search.x.shape)
        spread = search.background(nominal, given)
        for name, share in (
            ("kernel", search.blended(search.choose(given))),
            ("nominal spot", search.blend(nominal, spread)),
            ("mean profile", mean),
        ):
            expected[name][out] = search.expected(share, given)[out]
        expected["6 neighbours"][out] = around[out]
    kernel = search.choose(np.ones(len(search.x), bool))
    if kernel.width >= max(WIDTHS) * search.pitch:
        logger.warning("The widest kernel that was tried, %.4g, is the best one: the fit says little.", kernel.width)
    membership = shifted(spots, kernel.offset).kernel(kernel.width, other=cells)
    factor = _all_factors(membership, kernel.background, measured, counts)
    return KernelFit(
        kernel, factor, profile(counts), membership, {name: search.scores(mu) for name, mu in expected.items()}
    )


def _all_factors(membership: Membership, background: float, measured: sp.csr_matrix, counts: sp.csr_matrix) -> Array:
    """Factors of all features by all spots, without a dense table of them."""
    sums = membership.sum(counts)
    total, depth = (np.asarray(each.sum(1), dtype=float).ravel() for each in (sums, measured))
    some = total > 0
    expected = np.asarray(sums[some].T @ (depth[some] / total[some])).ravel()
    expected = (1 - background) * expected + background * depth[some].sum() * profile(counts)
    return _factor(expected, np.asarray(measured[some].sum(0), dtype=float).ravel())


@dataclass(frozen=True, eq=False, repr=False)
class _Search:
    """Some of the spots and features, and sums of cells by every kernel that was tried."""

    spots: Space
    cells: Space
    x: Array
    depth: Array
    counts: sp.csr_matrix
    block: Rows
    pitch: float
    tried: dict[tuple[float, tuple[float, ...]], Array]

    @classmethod
    def of(cls, spots: Space, cells: Space, measured: sp.csr_matrix, counts: sp.csr_matrix) -> _Search:
        """What the kernel is found by."""
        block = blocks(spots, N_BLOCKS)
        some = np.flatnonzero((block >= 0) & (np.asarray(measured.sum(1)).ravel() > 0))
        if len(some) < 4 * N_BLOCKS:
            raise ValueError(
                f"A kernel is fitted by {4 * N_BLOCKS} spots or more that have coordinates and counts; there are "
                f'{len(some)}. Give width= as a number instead of "fit".'
            )
        apart = spots.spacing
        some = some[np.unique(np.linspace(0, len(some) - 1, min(len(some), MAX_SPOTS)).astype(int))]
        total = np.asarray(measured.sum(0)).ravel()
        kept = np.sort(np.argsort(-total, kind="stable")[:MAX_FEATURES])
        x = np.asarray(measured[some][:, kept].toarray(), dtype=float)
        few = replace(spots, names=spots.names[some], xy=spots.xy[some], section=spots.section[some])
        return cls(few, cells, x, x.sum(1, keepdims=True), counts[:, kept], block[some], apart, {})

    def shares(self, membership: Membership) -> Array:
        """Shares of features in the sums of spots."""
        return _shares(np.asarray(membership.sum(self.counts).toarray(), dtype=float), profile(self.counts))

    def blend(self, share: Array, background: float) -> Array:
        """Shares of features where some of each spot comes from the whole section."""
        return (1 - background) * share + background * profile(self.counts)

    def blended(self, kernel: Kernel) -> Array:
        """Shares of features in the spots by a kernel."""
        key = (kernel.width, kernel.offset)
        if key not in self.tried:
            moved = shifted(self.spots, kernel.offset)
            self.tried[key] = self.shares(moved.kernel(kernel.width, other=self.cells))
        return self.blend(self.tried[key], kernel.background)

    def background(self, share: Array, given: Mask) -> float:
        """Share of the section's mean that serves shares best."""
        return min(BACKGROUNDS, key=lambda each: float(self.deviance(self.blend(share, each), given).mean()))

    def expected(self, share: Array, by: Mask) -> Array:
        """Expected counts of all spots at their depth, by the factors that some of them say."""
        found = share * _factor((share[by] * self.depth[by]).sum(0), self.x[by].sum(0))
        return found / np.maximum(found.sum(1, keepdims=True), 1e-12) * self.depth

    def deviance(self, share: Array, given: Mask) -> Array:
        """Mean deviance of each block of some spots, by factors that the others of them say, ``(blocks,)``."""
        found = []
        for block in np.unique(self.block[given]):
            asked = given & (self.block == block)
            found.append(_deviance(self.x[asked], self.expected(share, given & ~asked)[asked]).mean())
        return np.array(found)

    def choose(self, given: Mask) -> Kernel:
        """The kernel of least deviance; it is moved only where that is clearly better, and for every block."""
        still = (0.0,) * self.spots.xy.shape[1]
        widths = [self.pitch * width for width in WIDTHS]
        best = self._best([Kernel(width, still, BACKGROUNDS[1]) for width in widths], given)
        for step in STEPS:
            moves = np.vstack([np.eye(len(still)), -np.eye(len(still))]) * step * self.pitch
            for _ in range(MAX_MOVES):
                now = self.deviance(self.blended(best), given)
                tries = [best._replace(offset=tuple(np.round(np.add(best.offset, m), 9).tolist())) for m in moves]
                found = self._best(tries, given)
                then = self.deviance(self.blended(found), given)
                if not (then < now).all() or then.mean() > (1 - MIN_GAIN) * now.mean():
                    break
                best = found
        best = self._best([best._replace(width=width) for width in widths], given)
        return self._best([best._replace(background=share) for share in BACKGROUNDS], given)

    def _best(self, tries: list[Kernel], given: Mask) -> Kernel:
        return min(tries, key=lambda kernel: float(self.deviance(self.blended(kernel), given).mean()))

    def scores(self, expected: Array) -> dict[str, float]:
        """Deviance and mean correlation of features, both of them at the depth of spots and without it."""

        def logs(x: Array) -> Array:
            return np.log1p(x / np.maximum(x.sum(1, keepdims=True), 1e-12) * np.median(self.depth))

        return {
            "deviance": float(_deviance(self.x, expected).mean()),
            "pearson": float(correlation(logs(expected), logs(self.x)).mean()),
            "pearson_with_depth": float(correlation(np.log1p(expected), np.log1p(self.x)).mean()),
        }


def profile(counts: sp.csr_matrix) -> Array:
    """Shares of features in all cells."""
    total = np.asarray(counts.sum(0), dtype=float).ravel() + 1e-9
    return total / total.sum()  # type: ignore[no-any-return]


def _shares(sums: Array, mean: Array) -> Array:
    """Shares of features in each unit; the mean ones in a unit without counts."""
    total = sums.sum(1, keepdims=True)
    return np.where(total > 0, sums / np.maximum(total, 1e-300), mean)  # type: ignore[no-any-return]


def _factor(expected: Array, total: Array) -> Array:
    factor = (total + 1) / (expected + 1)
    return factor / np.exp(np.log(factor).mean())  # type: ignore[no-any-return]


def _deviance(x: Array, expected: Array) -> Array:
    theta = torch.full((x.shape[1],), DISPERSION, dtype=torch.float64)
    return nb_deviance(torch.from_numpy(x), torch.from_numpy(np.ascontiguousarray(expected)), theta).numpy()
