"""AnnData | MuData | SpatialData -> one `View`: modalities, row maps and obs; nothing of the user's is changed."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scvcell import _keys
from scvcell._containers._annotation import column_of, numbers_of
from scvcell._containers._matrix import Matrix
from scvcell._labels import joined, label, labels, unlike
from scvcell._registry import near_miss

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from scvcell._containers._corpus import StoredNames
    from scvcell._containers._membership import Membership
    from scvcell._containers._sdata import Place
    from scvcell._types import Array, Mask, Rows


type Container = AnnData | MuData | Any
"""What users have: AnnData, MuData or SpatialData."""

logger = logging.getLogger("scvcell")


@dataclass(frozen=True)
class View:
    """What scvcell reads of a container.

    Attributes
    ----------
    source
        The user's object itself; results are written to it, measurements never.
    obs_names
        Names of all cells, in the container's order.
    modalities
        One AnnData per modality, in the container's order.
    rows
        Per modality, for every cell the row of its AnnData or -1 where the cell was not measured.
    positions
        Position of every cell in the source; None where the cells are all of the source's, in its order.
    tables
        Where several tables of a SpatialData were joined: by modality, the user's own table and the cell of each of its
        rows. The source is the joined MuData then.
    place
        Element and instance of every cell of the source, of a SpatialData.
    stored
        Names of the cells of a corpus, whose `obs_names` are numbers; None where these are the names.
    """

    source: AnnData | MuData
    obs_names: pd.Index
    modalities: dict[str, AnnData]
    rows: dict[str, Rows]
    positions: Rows | None = None
    tables: dict[str, tuple[AnnData, Rows]] = field(default_factory=dict)
    place: Place | None = None
    stored: StoredNames | None = None
    _told: set[str] = field(default_factory=set, compare=False, repr=False)

    @property
    def n_obs(self) -> int:
        """Number of cells."""
        return len(self.obs_names)

    def present(self, modality: str) -> Mask:
        """Boolean mask of the cells that have `modality`, shape ``(cells,)``."""
        return self.rows[modality] >= 0

    def measured(self, names: Iterable[str] | None = None) -> Mask:
        """Boolean mask of the cells that have any of some modalities, all by default, shape ``(cells,)``."""
        given = self.rows if names is None else names
        return np.logical_or.reduce([np.zeros(self.n_obs, bool), *map(self.present, given)])

    def matrix(
        self,
        modality: str,
        layer: str | None = None,
        check: Callable[[Any], None] | None = None,
        depth: NDArray[np.float32] | None = None,
    ) -> Matrix:
        """Count matrix of a modality, wherever it lives.

        `check` sees all that is read of it; `depth` is the depth of its rows, where that is given.
        """
        adata = self.modalities[modality]
        return Matrix(adata.X if layer is None else adata.layers[layer], check, depth)

    def subset(self, cells: Rows) -> View:
        """A view of cells at positions `cells`, in any order, some twice; `source` stays the whole container."""
        positions = cells if self.positions is None else self.positions[cells]
        rows = {m: r[cells] for m, r in self.rows.items()}
        stored = None if self.stored is None else self.stored.subset(cells)
        return replace(self, obs_names=self.obs_names[cells], rows=rows, positions=positions, stored=stored)

    def among(self, names: Iterable[str]) -> Mask:
        """Which cells have one of some names, ``(cells,)``."""
        return self.obs_names.isin(names) if self.stored is None else self.stored.mask(names)  # type: ignore[arg-type]

    def find(self, names: pd.Index) -> Rows:
        """Position of each of some names, -1 of those that no cell has, ``(names,)``."""
        found = self.obs_names.get_indexer(names) if self.stored is None else self.stored.find(names)
        return found.astype(np.int64)

    def names_with(self, cells: Rows, before: Sequence[str]) -> Sequence[str]:
        """Names of cells at some positions, and after them those of `before` that are no such cells."""
        if self.stored is not None and not len(before):
            return self.stored.subset(cells)
        own = list(self.names(cells))
        return [*own, *sorted(set(before).difference(own))]

    def names(self, cells: Rows) -> Sequence[str]:
        """Names of cells at some positions; those of a corpus are read when they are asked for."""
        return self.obs_names[cells].astype(str).tolist() if self.stored is None else self.stored.subset(cells)

    def holder(self, modality: str) -> AnnData:
        """The user's own table of a modality."""
        if modality in self.tables:
            return self.tables[modality][0]
        return self.source.mod[modality] if isinstance(self.source, MuData) else self.source

    @property
    def holders(self) -> list[AnnData | MuData]:
        """The user's objects that results are written to: the source, or each table that was joined."""
        return [table for table, _ in self.tables.values()] or [self.source]

    def check_key_added(self, key_added: Any, columns: Iterable[str], *, default: str = "", obsm: bool = False) -> None:
        """Refuse a key under which the user's object holds something of the user's, see `_keys.check_key_added`."""
        for holder in self.holders:
            _keys.check_key_added(holder, key_added, columns, default=default, obsm=obsm)

    def write(
        self,
        *,
        obs: Mapping[str, Any] | None = None,
        obsm: Mapping[str, Any] | None = None,
        uns: Mapping[str, Any] | None = None,
    ) -> None:
        """Write results of all cells, in their order, to the user's object, or to each table that was joined.

        Parameters
        ----------
        obs
            Columns, ``(cells,)`` each.
        obsm
            Arrays, ``(cells, width)`` each.
        uns
            Values of the whole.
        """
        for holder, cells in ((self.source, None), *self.tables.values()):
            for key, column in (obs or {}).items():
                holder.obs[key] = column if cells is None else pd.Series(column).iloc[cells].array
            for key, values in (obsm or {}).items():
                holder.obsm[key] = values if cells is None else values[cells]
            holder.uns.update(uns or {})

    def as_table[T: (AnnData, MuData)](self, out: T) -> T:
        """New cells, one for each of these, in this order; of a SpatialData as tables that can be put into it."""
        place = self.own_place
        if place is not None:
            place.annotate(out)
        return out

    def inside(self, element: str, *, area: bool = False) -> tuple[Membership, Place]:
        """Which shapes of a SpatialData's element hold which cells, see `Place.inside`."""
        place = self.own_place
        if place is None:
            raise ValueError(f"The cells are of no element of a SpatialData, so that none is inside of {element!r}.")
        return place.inside(element, self.obs_names, area=area)

    def only(self, names: Sequence[str]) -> View:
        """A view of some of the modalities."""
        names = [name for name in self.modalities if name in names]
        return replace(self, modalities={m: self.modalities[m] for m in names}, rows={m: self.rows[m] for m in names})

    @property
    def own_place(self) -> Place | None:
        """Element and instance of each of these cells, of a SpatialData."""
        return self.place if self.place is None or self.positions is None else self.place.of_units(self.positions)

    @property
    def columns(self) -> list[str]:
        """Names of all columns of cell annotation, the container's first."""
        return list(dict.fromkeys(c for part in (self.source, *self.modalities.values()) for c in part.obs))

    def obs(self, cells: Rows | None = None, keep: Iterable[str] = ()) -> pd.DataFrame:
        """Every column of cell annotation, each of the type it has, of all cells or those at positions `cells`.

        A column of which modalities say different things comes once for each, as ``"rna:column"``, but for those in
        `keep`, which are read as `column` reads them.
        """
        part, out, keep = self if cells is None else self.subset(cells), {}, set(keep)
        for key in self.columns:
            parts = part._parts(key)
            if len(parts) == 1 or key in keep or not self._differing(self._parts(key)):
                out[key] = part._merge(parts)
                continue
            for name, each in zip(part._holding(key), parts, strict=True):
                out.setdefault(f"{name}:{key}", part._merge([each]))
        return pd.DataFrame(out, index=part.obs_names)

    def column(self, key: str) -> pd.Series:
        """One column of cell annotation, from the container's obs first and each modality's obs after it.

        Where modalities say different things of one cell, the first one counts, and a warning says so.

        Raises
        ------
        KeyError
            If no obs has the column; the message lists those that exist.
        """
        if not isinstance(key, Hashable):
            raise TypeError(f"A column is named by text, not {key!r}.")
        parts = self._parts(key)
        if key not in self._told:
            self._told.add(key)
            self._warn_different(parts)
        return self._merge(parts)

    def _parts(self, key: str) -> list[pd.Series]:
        """The container's column, or else that of each modality that has it; indexed by the place of the cells here."""
        if key in self.source.obs:
            column = column_of(self.source.obs, key)
            column = column if self.positions is None else column.iloc[self.positions]
            return [column.set_axis(np.arange(self.n_obs))]
        parts = []
        for name, own in self._holding(key).items():
            cells = np.flatnonzero(self.present(name))
            part = self.modalities[name].obs[own].iloc[self.rows[name][cells]]
            parts.append(part.set_axis(cells).rename(key))
        return parts

    def _merge(self, parts: list[pd.Series]) -> pd.Series:
        """One value per cell, of the first part that has one."""
        rest, lacking = [], np.ones(self.n_obs, bool)
        for part in parts if len(parts) > 1 else ():
            part = part[part.notna().to_numpy() & lacking[part.index]]
            lacking[part.index] = False
            rest += [part] if len(part) else []
        found = joined(rest) if rest else parts[0]
        if len(found) < self.n_obs and isinstance(found.dtype, np.dtype) and found.dtype.kind in "iub":
            found = found.convert_dtypes()  # integers and booleans stay what they are beside missing ones
        return found.reindex(np.arange(self.n_obs)).set_axis(self.obs_names)

    def _differing(self, parts: list[pd.Series]) -> tuple[Rows, Any, Any] | None:
        """Cells of which a part says something else than those before it, and both values of the first; None: none."""
        for k, part in enumerate(parts[1:], 1):
            taken = self._merge(parts[:k]).iloc[part.index]
            differ = np.flatnonzero(unlike(taken, part))
            if len(differ):
                return part.index[differ].to_numpy(), taken.iloc[differ[0]], part.iloc[differ[0]]
        return None

    def _warn_different(self, parts: list[pd.Series]) -> None:
        found = self._differing(parts)
        if found is not None:
            cells, taken, other = found
            logger.warning(
                "obs[%r]: modalities say different things of %d cells, e.g. of %r %r, which is taken, and %r. "
                "Put the right column into the obs of the MuData.",
                *(parts[0].name, len(cells), self.obs_names[cells[0]], taken, other),
            )

    def _holding(self, key: str) -> dict[str, str]:
        """Modalities whose obs have the column `key`, and its name there; ``"rna:batch"`` is that of one modality."""
        held = {name: key for name, adata in self.modalities.items() if key in adata.obs}
        for name, adata in self.modalities.items():
            column = key.removeprefix(f"{name}:") if isinstance(key, str) else key
            if not held and column != key and column in adata.obs:
                held = {name: column}
        if not held:
            columns = sorted({str(c) for c in self.columns})
            hint = near_miss(str(key), columns)
            one = next((f"{m}:{a.obs.columns[0]}" for m, a in self.modalities.items() if len(a.obs.columns)), "")
            also = f" That of one modality alone is written like {one!r}." if one and len(self.modalities) > 1 else ""
            raise KeyError(f"No obs column {key!r}.{hint} Columns: {', '.join(columns) or 'none'}.{also}")
        return held

    def disagreeing(self, key: str) -> Mask:
        """Cells of which the container and its modalities hold different values of the column `key`, ``(cells,)``."""
        taken, out = self.column(key), np.zeros(self.n_obs, bool)
        for name, adata in self.modalities.items():
            if key in adata.obs and isinstance(self.source, MuData):
                here = np.flatnonzero(self.present(name))
                own, top = adata.obs[key].iloc[self.rows[name][here]], taken.iloc[here]
                known = own.notna().to_numpy() & top.notna().to_numpy()
                out[here] |= known & (labels(own).to_numpy() != labels(top).to_numpy())
        return out

    def array(self, key: str) -> Array | None:
        """Numbers in ``.obsm`` of the cells, of the container or of the first modality of each cell that has them.

        Returns
        -------
        ``(cells, width)``, NaN of cells without them; None where nothing has the key.

        Raises
        ------
        ValueError
            If they are no numbers, or modalities have them in different widths.
        """
        if key in self.source.obsm:
            every = numbers_of(self.source, key)
            return every if self.positions is None else every[self.positions]
        found = {name: numbers_of(adata, key) for name, adata in self.modalities.items() if key in adata.obsm}
        if not found:
            return None
        wide = {values.shape[1] for values in found.values()}
        if len(wide) > 1:
            raise ValueError(f"Modalities have obsm[{key!r}] of {sorted(wide)} dimensions; give the same.")
        out = np.full((self.n_obs, wide.pop()), np.nan)
        for name, values in found.items():
            cells = np.flatnonzero(self.present(name) & np.isnan(out).all(1))
            out[cells] = values[self.rows[name][cells]]
        return out

    def panel(self, modality: str, batches: list[str]) -> Mask | None:
        """Which features each batch measured, from the boolean frame ``.varm['observed']`` (one column per batch).

        Returns
        -------
        Mask of shape ``(batches, features)``, or None where every batch measured every feature.
        """
        frame = self.modalities[modality].varm.get(_keys.OBSERVED_MASK)
        if frame is None:
            return None
        if not isinstance(frame, pd.DataFrame):
            raise TypeError(f"{modality!r}: varm['observed'] must be a DataFrame with one boolean column per batch.")
        frame = frame.set_axis(list(map(label, frame.columns)), axis=1)
        if not frame.columns.isin(batches).any():
            raise ValueError(
                f"{modality!r}: the columns of varm['observed'] are {list(frame.columns)}; the batches are {batches}."
            )
        mask = frame.reindex(columns=batches).astype("boolean").fillna(True).to_numpy(dtype=bool).T
        return None if mask.all() else mask
