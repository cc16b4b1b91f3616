"""Where units are: coordinates and sections of a view, and the memberships that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from scipy.spatial import KDTree

from scvcell._checks import is_number, whole_number
from scvcell._containers._membership import Membership
from scvcell._labels import labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from scvcell._containers._view import View
    from scvcell._types import Array, Mask, Rows

COORDINATES = "spatial"
"""Key of ``.obsm`` with coordinates, as squidpy has it."""


@dataclass(frozen=True, eq=False, repr=False)
class Space:
    """Coordinates of units; sections share no neighbours.

    Attributes
    ----------
    names
        Names of the units.
    xy
        Coordinates, NaN where they are not known, ``(units, 2 or 3)``.
    section
        Code of the section of each unit, ``(units,)``.
    sections
        Names of the sections.
    """

    names: pd.Index
    xy: Array
    section: Rows
    sections: list[str]

    def __repr__(self) -> str:
        known = int(self.placed.sum())
        return f"Space of {len(self.xy)} units, {known} with coordinates, in {len(self.sections)} sections."

    @classmethod
    def of(cls, view: View, section_key: str | None = None, key: str = COORDINATES) -> Space:
        """Coordinates of a view's units: of the elements of a SpatialData, else of ``.obsm``.

        Parameters
        ----------
        view
            The data.
        section_key
            Column of the section; without it the elements of a SpatialData, else one section.
        key
            Key of ``.obsm``.

        Raises
        ------
        ValueError
            If there are no coordinates, or some that are no numbers.
        """
        place, given = view.own_place, None if section_key is None else labels(view.column(section_key))
        xy = view.array(key) if place is None else place.coordinates(given)
        if xy is None:
            raise ValueError(
                f"The data have no coordinates: no obsm[{key!r}]. Put them there, one row per unit: "
                f"adata.obsm[{key!r}] = adata.obs[['x', 'y']].to_numpy()."
            )
        code, sections = np.zeros(view.n_obs, np.int64), ["all"]
        text = place.region.astype(str) if given is None and place is not None else given
        if text is not None:
            sections = sorted(set(text.dropna()))
            code = np.array([sections.index(each) if each in sections else -1 for each in text], np.int64)
            xy = np.where(code[:, None] >= 0, xy, np.nan)
        if not np.isfinite(xy).all(1).any():
            raise ValueError(f"No unit has coordinates: obsm[{key!r}] holds no finite row.")
        return cls(view.obs_names, xy, code, sections)

    @classmethod
    def if_any(cls, view: View, section_key: str | None = None) -> Space | None:
        """As `of`; None where nothing in the data says where units are."""
        held = (view.source, *view.modalities.values())
        there = view.place is not None or any(COORDINATES in each.obsm for each in held)
        return cls.of(view, section_key) if there else None

    @property
    def placed(self) -> Mask:
        """Units with coordinates, ``(units,)``."""
        return np.isfinite(self.xy).all(1)  # type: ignore[no-any-return]

    @property
    def spacing(self) -> float:
        """Median distance to the nearest unit at another place of the section; NaN where there is none."""
        near = self.nearest(1, itself=False).matrix.tocoo()
        apart = np.sqrt(((self.xy[near.row] - self.xy[near.col]) ** 2).sum(1))
        return float(np.median(apart[apart > 0])) if (apart > 0).any() else float("nan")

    def nearest(self, k: int, *, other: Space | None = None, itself: bool = True) -> Membership:
        """The `k` nearest units of the same section, each with weight 1; fewer where the section has fewer.

        Parameters
        ----------
        k
            Number of units.
        other
            Where they are taken from; these units themselves by default.
        itself
            Whether a unit is one of its own neighbours, where there is no `other`.
        """
        k, of = whole_number("k", k, 1), self if other is None else other
        skip = other is None and not itself
        parts = []
        for here, there in self._by_section(of):
            tree = KDTree(of.xy[there])
            n = min(k + skip, len(there))
            near = tree.query(self.xy[here], k=n)[1].reshape(len(here), n)
            row, column = np.repeat(here[:, None], n, 1), there[near]
            if other is None:  # of units at one place a unit itself may be missing: then the farthest one goes
                lacking = ~(row == column).any(1)
                column[lacking, -1] = here[lacking]
            kept = row != column if skip else np.ones(row.shape, bool)
            parts.append((row[kept], column[kept], np.ones(int(kept.sum()))))
        return self._membership(of, parts, "niche")

    def within(self, radius: float, *, other: Space | None = None) -> Membership:
        """All units of the same section within a radius, each with weight 1."""
        of, radius = self if other is None else other, _positive("radius", radius)
        parts = []
        for here, there in self._by_section(of):
            found = KDTree(of.xy[there]).query_ball_point(self.xy[here], radius)
            size = np.array([len(each) for each in found])
            columns = there[np.concatenate([np.asarray(each, int) for each in found])] if size.sum() else there[:0]
            parts.append((np.repeat(here, size), columns, np.ones(int(size.sum()))))
        return self._membership(of, parts, "spot")

    def kernel(self, width: float, *, other: Space | None = None, reach: float = 3.0) -> Membership:
        r"""Gaussian weights :math:`e^{-d^2 / 2 \sigma^2}` up to `reach` widths, in the same section."""
        of, width = self if other is None else other, _positive("width", width)
        found = self.within(_positive("reach", reach) * width, other=of)
        matrix = found.matrix.tocoo()
        apart = ((self.xy[matrix.row] - of.xy[matrix.col]) ** 2).sum(1)
        data = np.exp(-apart / (2 * width**2))
        return Membership(
            sp.csr_array((data, (matrix.row, matrix.col)), matrix.shape), found.coarse, found.fine, "spot"
        )

    def _by_section(self, other: Space) -> list[tuple[Rows, Rows]]:
        """Units of this space and of the other one that are in one section and have coordinates."""
        if self.xy.shape[1] != other.xy.shape[1]:
            raise ValueError(f"Coordinates have {self.xy.shape[1]} and {other.xy.shape[1]} dimensions; give the same.")
        both = len(self.sections) == len(other.sections) == 1
        if not both and not set(self.sections) & set(other.sections):
            raise ValueError(
                f"No section is in both: one has {_some(self.sections)}, the other {_some(other.sections)}. Give both "
                "the same column of sections (section_key=), with the same names, or neither of them one."
            )
        parts = []
        for code, name in enumerate(self.sections):
            if both:
                match = 0
            elif name in other.sections:
                match = other.sections.index(name)
            else:
                continue
            here = np.flatnonzero((self.section == code) & self.placed)
            there = np.flatnonzero((other.section == match) & other.placed)
            if len(here) and len(there):
                parts.append((here, there))
        return parts

    def _membership(self, of: Space, parts: Sequence[tuple[Rows, Rows, Array]], unit: str) -> Membership:
        shape = (len(self.xy), len(of.xy))
        if not parts:
            return Membership(sp.csr_array(shape, dtype=float), self.names, of.names, unit)
        row, column, data = (np.concatenate(each) for each in zip(*parts, strict=True))
        return Membership(sp.csr_array((data, (row, column)), shape), self.names, of.names, unit)


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (" ..." if len(names) > 3 else "")


def _positive(what: str, value: float) -> float:
    if not is_number(value) or not 0 < float(value) < np.inf:
        unit = "in widths" if what == "reach" else "in the unit of the coordinates"
        raise ValueError(f"{what} must be a number above 0, {unit}, not {value!r}.")
    return float(value)
