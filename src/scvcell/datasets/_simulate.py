"""A mosaic of assays drawn from a known world: z, M, batches and missing assays are the answer key."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from scvcell.datasets._world import Cells, Measure, World, WorldParameters

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from scvcell._types import Array, Rows

CHUNK = 2_000_000
"""Number of matrix entries drawn at a time."""
STEMS = {"rna": "gene", "adt": "protein", "atac": "peak"}
SPACING, REACH, WIDTH, PER_CHROMOSOME = 1_000_000, 100_000, 500, 50
"""Distance of genes, of a peak from its gene at most, width of a peak (bp); genes of a chromosome."""


def simulate(
    n_cells: int = 1000,
    *,
    n_genes: int = 500,
    n_proteins: int = 30,
    n_peaks: int = 0,
    n_types: int = 6,
    latent_dim: int = 5,
    n_batches: int = 2,
    paired: float = 0.5,
    batch_effect: float = 0.3,
    depth: float = 1000.0,
    background: bool = True,
    panel: float = 1.0,
    keep_truth: bool = True,
    seed: int = 0,
) -> MuData:
    """Simulate a mosaic of RNA, proteins and, with `n_peaks`, chromatin, whose truth is known.

    Cell types are Gaussian clouds of z. RNA is negative binomial around depth times a softmax of a linear function of
    z and batch; proteins are a mixture of foreground and background whose foreground probability depends on z. A cell
    that lacks an assay has no row in that modality. A peak lies within 100 kb of a gene and opens with it.

    Parameters
    ----------
    n_cells
        Number of cells. Counts are drawn in chunks into sparse matrices, so memory is that of the result.
    n_genes, n_proteins
        Number of features of ``"rna"`` and ``"adt"``.
    n_peaks
        Number of features of ``"atac"``; without any there is no such modality. The genome has a gene every megabase,
        50 to a chromosome.
    n_types
        Number of cell types.
    latent_dim
        Dimension of z.
    n_batches
        Number of batches, of equal size and with the same types.
    paired
        Share of cells with two assays, in [0, 1]. The rest is split between RNA only and protein only. With peaks,
        half of the cells with two have RNA and proteins, half RNA and chromatin, and the rest is split in three: no
        cell has all.
    batch_effect
        Standard deviation of the log-scale shift of each feature in each batch.
    depth
        Median RNA counts of a cell.
    background
        Whether proteins have a background; if not, each is one negative binomial, log-linear in z.
    panel
        Share of the features of each modality that a batch measures. Below 1 the panels of batches differ, what is
        not measured is zero, and ``.varm["observed"]`` of the modality (features x batches) says what was measured.
    keep_truth
        Whether true rates are stored as dense float32 layers. Switch it off for large data.
    seed
        Seed of world and cells.

    Returns
    -------
    MuData with modalities ``"rna"``, ``"adt"`` and ``"atac"`` (``X`` csr, int32) and

    - ``.obsm["z"]``: true states, ``(cells, latent_dim)``
    - ``.obs``: ``cell_type``, ``batch``, also in the obs of each modality, whose obs have the true ``size`` too
    - ``.mod[m].layers["rate"]``: mean of the negative binomial that each count was drawn from
    - ``.mod["adt"].layers``: ``foreground`` (True where a cell carries the protein; rate is conditional on it) and
      ``expected`` (mean given z alone); only with `background`
    - ``.mod["rna"].var``: ``chrom``, ``tss``; ``.mod["atac"].var``: ``chrom``, ``start``, ``end`` (bp), ``gene`` (the
      gene a peak follows); only with `n_peaks`
    - ``.mod[m].var["dispersion"]``: variance is ``rate + rate**2 / dispersion``
    - ``.uns["simulation"]``: the arguments, from which `World.of` rebuilds states and measurement functions

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> mdata = scvcell.datasets.simulate(2000, paired=0.2, seed=1)
    >>> mdata["adt"].layers["foreground"].mean()
    """
    if n_cells < 1 or not 0 <= paired <= 1:
        raise ValueError(f"n_cells must be at least 1 and paired in [0, 1]; got {n_cells} and {paired}.")
    parameters = WorldParameters(
        n_genes, n_proteins, n_peaks, n_types, latent_dim, n_batches, batch_effect, depth, background, panel, seed
    )
    world = World.draw(parameters)
    rng = np.random.default_rng([seed, 1])
    types, z = world.states.sample(rng, n_cells)
    cells = world.sample_cells(rng, n_cells)
    rows = _missingness(rng, n_cells, paired, peaks=n_peaks > 0)
    obs = pd.DataFrame(
        {"cell_type": _category("type", types, n_types), "batch": _category("batch", cells.batch, n_batches)},
        index=_names("cell", n_cells),
    )
    modalities = {}
    for name, measure in world.measures.items():
        if len(rows[name]) > 0:
            table = _measure(rng, measure, z[rows[name]], cells[rows[name]], keep_truth)
            table.obs = obs.iloc[rows[name]].assign(size=cells.size[name][rows[name]])
            table.var.index = _names(STEMS[name], table.n_vars)
            if panel < 1:
                table.varm["observed"] = pd.DataFrame(
                    measure.panel.T, index=table.var_names, columns=obs["batch"].cat.categories.astype(str)
                )
            modalities[name] = table
    if n_peaks:
        _place(modalities, world)
    mdata = MuData(modalities)
    mdata.obs = obs.loc[mdata.obs_names]
    mdata.obsm["z"] = z[obs.index.get_indexer(mdata.obs_names)]
    mdata.uns["simulation"] = {"n_cells": n_cells, "paired": paired, "world": asdict(parameters)}
    return mdata


def _missingness(rng: Generator, n: int, paired: float, *, peaks: bool) -> dict[str, Rows]:
    """Draw the row numbers of the cells that each modality measures, ascending."""
    order = rng.permutation(n)
    n_paired = round(paired * n)
    two, one = order[:n_paired], order[n_paired:]
    if not peaks:
        first, rest = np.split(one, [(len(one) + 1) // 2])
        rows = {"rna": [two, first], "adt": [two, rest]}
    else:
        (with_adt, with_atac), (rna, adt, atac) = np.array_split(two, 2), np.array_split(one, 3)
        rows = {"rna": [two, rna], "adt": [with_adt, adt], "atac": [with_atac, atac]}
    return {name: np.sort(np.concatenate(parts)) for name, parts in rows.items()}


def _place(modalities: dict[str, AnnData], world: World) -> None:
    """Give genes and peaks their positions in the genome."""
    rng = np.random.default_rng([world.parameters.seed, 2])
    n_genes, near = world.parameters.n_genes, world.near
    gene = np.arange(n_genes)
    chrom = np.array([f"chr{i // PER_CHROMOSOME + 1}" for i in gene])
    tss = SPACING * (gene % PER_CHROMOSOME + 1)
    if "rna" in modalities:
        modalities["rna"].var["chrom"], modalities["rna"].var["tss"] = chrom, tss
    if "atac" in modalities:
        start = tss[near] + rng.integers(-REACH, REACH - WIDTH, len(near))
        names = _names(STEMS["rna"], n_genes)[near].astype(str)
        positions = {"chrom": chrom[near], "start": start, "end": start + WIDTH, "gene": names}
        modalities["atac"].var = modalities["atac"].var.assign(**positions)


def _measure(rng: Generator, measure: Measure, z: Array, cells: Cells, keep_truth: bool) -> AnnData:
    """Draw a modality chunk by chunk."""
    n, n_features = len(z), measure.panel.shape[1]
    step = max(1, CHUNK // n_features)
    rows = _SparseRows(n_features)
    layers: dict[str, NDArray[Any]] = {}
    for start in range(0, n, step):
        here = slice(start, start + step)
        drawn = measure.sample(rng, z[here], cells[here])
        rows.append(drawn.counts)
        for name, values in drawn.truth.items() if keep_truth else ():
            dtype = bool if values.dtype == bool else np.float32
            layers.setdefault(name, np.empty((n, n_features), dtype=dtype))[here] = values
    table = AnnData(rows.finish(), layers=layers)
    table.var["dispersion"] = measure.dispersion
    return table


class _SparseRows:
    """A csr matrix that grows in place, so that its peak memory is its own size."""

    def __init__(self, n_columns: int) -> None:
        self.n_columns = n_columns
        self.data = np.empty(0, dtype=np.int32)
        self.indices = np.empty(0, dtype=np.int32)
        self.counts: list[Rows] = []
        self.used = 0

    def append(self, block: NDArray[np.int32]) -> None:
        """Add dense rows."""
        row, column = np.nonzero(block)
        stop = self.used + len(column)
        if stop > len(self.data):
            self._resize(int(1.5 * stop))
        self.data[self.used : stop] = block[row, column]
        self.indices[self.used : stop] = column
        self.counts.append(np.bincount(row, minlength=len(block)))
        self.used = stop

    def finish(self) -> sp.csr_matrix:
        """Return the matrix; nothing can be added after it."""
        self._resize(self.used)
        indptr = np.concatenate([[0], np.cumsum(np.concatenate(self.counts))])
        matrix = sp.csr_matrix((len(indptr) - 1, self.n_columns), dtype=np.int32)
        # Index arrays of one type are taken as they are; mixed types would be copied by scipy.
        matrix.data, matrix.indices = self.data, self.indices
        matrix.indptr = indptr.astype(np.int32 if self.used <= np.iinfo(np.int32).max else np.int64)
        return matrix

    def _resize(self, size: int) -> None:
        # realloc moves pages instead of copying them, and untouched pages cost nothing.
        self.data.resize(size, refcheck=False)
        self.indices.resize(size, refcheck=False)


def _names(stem: str, n: int) -> pd.Index:
    """``stem001`` ... ``stemNNN``, so that lexical and numerical order agree."""
    width = len(str(n))
    return pd.Index([f"{stem}{i:0{width}d}" for i in range(1, n + 1)])


def _category(stem: str, codes: Rows, n: int) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, categories=_names(stem, n))
