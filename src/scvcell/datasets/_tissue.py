"""Tissue drawn from a known world: cells in niches, spots that hold them, donors whose outcome is in an arrangement."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.spatial import KDTree

from scvcell._containers import circles
from scvcell.datasets._simulate import _category, _names
from scvcell.datasets._world import World, WorldParameters, negative_binomial

if TYPE_CHECKING:
    from scvcell._types import Array, Rows
    from scvcell.datasets._world import Counts

CELL_AREA = 365.0
"""Area of tissue for one cell, in um2, as of the Xenium breast section."""
CELL_RADIUS = 6.0
SPOT_RADIUS, SPOT_DISTANCE = 27.5, 100.0
"""Visium's, in um."""
PATCHES = 3
"""Patches of each niche in a section."""
JITTER = 0.35
"""Standard deviation of a cell's place around its point of the grid, in grid steps."""
STATE_OF_NICHE = 0.4
"""Size of the part of the state that a niche gives all of its cells, per dimension."""
PAIR = 2
"""Types that live in the zone whose arrangement drives the outcome, and nowhere else."""
ACTION = "A1"


def simulate_tissue(
    n_cells: int = 1500,
    *,
    n_donors: int = 2,
    n_niches: int = 3,
    n_types: int = 6,
    n_genes: int = 300,
    latent_dim: int = 5,
    depth: float = 400.0,
    platform: float = 0.3,
    action: bool = False,
    effect: float = 1.0,
    niche_effect: float = 0.0,
    as_anndata: bool = True,
    seed: int = 0,
) -> Any:
    r"""Simulate tissue sections, cell by cell and spot by spot, whose every truth is known.

    A section is patches of niches, each with its own composition of cell types and a shift of the state of all of its
    cells. Spots sum the cells under their disc, on another platform:

    .. math:: x_{rg} \sim \mathrm{NB}\Big(m_g \sum_c A_{rc}\, \mu_{cg},\ \theta_g\Big)

    One zone of each section holds two types that live nowhere else, half of each, *mixed* or *apart* in patches. The
    outcome of a donor is whether most of it is mixed, so that it follows from neighbours and not from composition. With
    an action every donor has a second section, all of whose cells had it:

    .. math:: z' = z + (1 + \eta\, s_n)\, d, \qquad s_n = \pm 1

    by turns over niches n, with :math:`\eta` = `niche_effect`.

    Parameters
    ----------
    n_cells
        Cells of a section.
    n_donors
        Number of donors.
    n_niches
        Niches beside the zone of the pair.
    n_types
        Number of cell types, of which two are the pair.
    n_genes, latent_dim, depth
        As `simulate`.
    platform
        Standard deviation of :math:`\log m_g`.
    action
        Whether each donor has a second section, treated.
    effect
        Size of the shift d of the state, as `simulate_actions` has it.
    niche_effect
        How far the effect depends on the niche, from 0 (not at all) to 1 (none in every other niche).
    as_anndata
        Whether tables are returned instead of a SpatialData.
    seed
        Seed of world and tissue.

    Returns
    -------
    ``{"cells": AnnData, "spots": AnnData}`` with raw counts, or a SpatialData with these tables, and circles
    ``"SECTION_cells"``, ``"SECTION_spots"``, of several sections each in a coordinate system of its own. Of both tables

    - ``.obs``: ``section``, ``donor``, ``action`` (``"control"``, ``"A1"``; only with `action`), and of the donor
      ``outcome`` (``"mixed"``, ``"apart"``), ``time`` and ``event`` (exponential, the sooner the more is mixed; a third
      is censored)
    - ``.obsm["spatial"]``: coordinates in um, of each section on its own
    - ``.layers["rate"]``: mean of the negative binomial of each count
    - ``.var``: ``dispersion``; of spots also ``platform``, the factor :math:`m_g`

    of cells

    - ``.obs``: ``cell_type``, ``niche`` (``"niche1"``, ..., ``"mixed"``, ``"apart"``)
    - ``.obsm["z"]``: true states; ``.obsm["z0"]``: those before the action

    and of spots

    - ``.obs["n_cells"]``; ``.obsm["membership"]``: A, csr ``(spots, cells)``; ``.obsm["composition"]``: shares of types
      W; ``.obsm["niche"]``: shares of niches.

    ``.uns["simulation"]`` of both holds the arguments, the shift ``direction`` d, its ``strength`` in each niche, and
    the share of the zone that is ``mixed`` in each donor.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    ImportError
        If a SpatialData is asked for and spatialdata is not installed.

    Examples
    --------
    >>> tissue = scvcell.datasets.simulate_tissue(seed=1)
    >>> model = scvcell.tl.fit(tissue["cells"])
    >>> found = scvcell.tl.lift(tissue["spots"], model, labels_key="cell_type", groups_key="donor")
    """
    given = {"n_cells": n_cells, "n_donors": n_donors, "n_niches": n_niches, "n_types": n_types}
    _check(given, platform, niche_effect)
    world = World.draw(WorldParameters(n_genes, 1, 0, n_types, latent_dim, 1, 0.0, depth, seed=seed))
    rng = np.random.default_rng([seed, 5])
    plan = _Plan.draw(rng, world, n_niches, niche_effect)
    direction = rng.standard_normal(latent_dim)
    direction *= effect * np.sqrt(latent_dim) / 2 / np.linalg.norm(direction)
    factor = np.exp(platform * rng.standard_normal(n_genes))
    donors = _donors(rng, n_donors)
    cells, spots = [], []
    for number, donor in enumerate(donors.index):
        for what in ("control", ACTION)[: 1 + action]:
            about = {"section": f"{donor}_{what}" if action else donor, "donor": donor}
            about |= ({"action": what} if action else {}) | donors.loc[donor, ["outcome", "time", "event"]].to_dict()
            own = np.random.default_rng([seed, 6, number, int(what == ACTION)])
            shift = direction if what == ACTION else 0 * direction
            section = _cells(own, world, plan, n_cells, donors["mixed"].iloc[number], shift, about)
            cells.append(section)
            spots.append(_spots(own, world, plan, section, factor, about))
    tables = {"cells": _joined("cell", cells), "spots": _joined("spot", spots)}
    tables["spots"].obsm["membership"] = sp.csr_matrix(sp.block_diag([part.uns["A"] for part in spots]), dtype=float)
    simulation = given | {"platform": platform, "niche_effect": niche_effect, "world": asdict(world.parameters)}
    simulation |= {"direction": direction, "strength": dict(zip(plan.names, plan.strength.tolist(), strict=True))}
    simulation["mixed"] = donors["mixed"].to_dict()
    for table in tables.values():
        table.uns["simulation"] = simulation
    if as_anndata:
        return tables
    regions = {name: [f"{section}_{name}" for section in table.obs["section"]] for name, table in tables.items()}
    radius = {"cells": CELL_RADIUS, "spots": SPOT_RADIUS}
    systems = {f"{section}_{name}": str(section) for name in tables for section in tables[name].obs["section"]}
    radii = {name: np.full(tables[name].n_obs, radius[name]) for name in tables}
    return circles(tables, regions, radii, systems if n_donors > 1 else None)


def _check(given: dict[str, int], platform: float, niche_effect: float) -> None:
    least = {"n_cells": 200, "n_donors": 1, "n_niches": 1, "n_types": PAIR + 1}
    for name, value in given.items():
        if value < least[name]:
            raise ValueError(f"{name} must be at least {least[name]}, not {value}.")
    if platform < 0 or not 0 <= niche_effect <= 1:
        raise ValueError(f"platform is from 0 on, niche_effect from 0 to 1; got {platform} and {niche_effect}.")


@dataclass(frozen=True)
class _Plan:
    """What niches are: names, ``composition`` and ``shift`` of the state of each, ``strength`` of the action in it.

    The last two are the zone of the pair, mixed and apart, which differ in the arrangement of their cells alone.
    """

    names: list[str]
    composition: Array
    shift: Array
    strength: Array

    @classmethod
    def draw(cls, rng: np.random.Generator, world: World, n_niches: int, niche_effect: float) -> _Plan:
        types, latent = world.states.centres.shape
        composition = np.zeros((n_niches + 2, types))
        composition[:-2, PAIR:] = rng.dirichlet(np.full(types - PAIR, 1.0), n_niches)
        composition[-2:, :PAIR] = 1 / PAIR
        shift = STATE_OF_NICHE * rng.standard_normal((n_niches + 1, latent))
        sign = np.where(np.arange(n_niches + 1) % 2, -1.0, 1.0)
        zone = [*range(n_niches), n_niches, n_niches]
        names = [*_names("niche", n_niches), "mixed", "apart"]
        return cls(names, composition, shift[zone], (1 + niche_effect * sign)[zone])


def _donors(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Share of the zone that is mixed, and what follows from it; half of the donors have most of it mixed."""
    high = rng.permutation(np.arange(n) % 2 == 0)
    mixed = np.where(high, 1 - 0.3 * rng.random(n), 0.3 * rng.random(n))
    time = rng.exponential(np.exp(-4 * (mixed - 0.5)))
    censored = rng.random(n) < 1 / 3
    return pd.DataFrame(
        {
            "mixed": mixed,
            "outcome": np.where(high, "mixed", "apart"),
            "time": np.where(censored, time * rng.random(n), time),
            "event": ~censored,
        },
        index=_names("donor", n),
    )


def _cells(
    rng: np.random.Generator, world: World, plan: _Plan, n: int, mixed: float, shift: Array, about: dict[str, Any]
) -> ad.AnnData:
    """One section: places, niches, types, states and counts of its cells."""
    side = int(np.ceil(np.sqrt(n)))
    grid = np.stack(np.divmod(rng.choice(side**2, n, replace=False), side), 1)
    xy = (grid + 0.5 + JITTER * rng.standard_normal((n, 2))) * np.sqrt(CELL_AREA)
    xy = np.clip(xy, 0, side * np.sqrt(CELL_AREA))
    niche, types = _arranged(rng, plan, xy, mixed)
    drawn = world.states.spread * rng.standard_normal((n, plan.shift.shape[1]))
    before = (world.states.centres[types] + plan.shift[niche] + drawn).astype(np.float32)
    after = (before + plan.strength[niche][:, None] * shift).astype(np.float32)
    measure, sizes = world.measures["rna"], world.sample_cells(rng, n)
    counts = measure.sample(rng, after, sizes)
    obs = pd.DataFrame(
        {"cell_type": _category("type", types, len(world.states.weights)), "niche": _niches(plan, niche)}
    ).assign(**about)
    obs.index = obs.index.astype(str)
    table = ad.AnnData(sp.csr_matrix(counts.counts.astype(np.float32)), obs=obs)
    table.layers["rate"] = counts.truth["rate"].astype(np.float32)
    table.obsm.update({"spatial": xy, "z": after} | ({"z0": before} if "action" in about else {}))
    table.var["dispersion"] = measure.dispersion
    return table


def _arranged(rng: np.random.Generator, plan: _Plan, xy: Array, mixed: float) -> tuple[Rows, Rows]:
    """Niche and type of cells: patches around random points, each of one niche or of the zone of the pair."""
    zone = len(plan.names) - 2
    of = np.repeat(np.arange(zone + 1), PATCHES)
    of = np.append(of, zone)  # the zone has one patch more, so that its arrangement is well seen
    centre = xy.max(0) * rng.random((len(of), 2))
    patch = KDTree(centre).query(xy)[1]
    niche = of[patch].copy()
    types = (plan.composition.cumsum(1)[niche, :-1] < rng.random((len(xy), 1))).sum(1)
    inside = np.flatnonzero(niche == zone)
    # the share of cells that are mixed is that of the donor: those nearest to one side of the zone
    order = inside[np.argsort(xy[inside] @ rng.standard_normal(2))]
    first = round(mixed * len(order))
    half = np.arange(first) % PAIR
    types[order[:first]] = rng.permutation(half)
    apart = order[first:]
    niche[apart] = zone + 1
    across = apart[np.argsort(xy[apart] @ rng.standard_normal(2))]
    types[across] = np.arange(len(across)) * PAIR // max(len(across), 1)
    return niche, types


def _spots(
    rng: np.random.Generator, world: World, plan: _Plan, cells: ad.AnnData, factor: Array, about: dict[str, Any]
) -> ad.AnnData:
    """Spots in a hexagonal grid, whole inside of the section, and the counts of the cells under them."""
    xy = cells.obsm["spatial"]
    low, high = xy.min(0) + SPOT_RADIUS, xy.max(0) - SPOT_RADIUS
    rows = np.arange(low[1], high[1], SPOT_DISTANCE * np.sqrt(3) / 2)
    starts = low[0] + np.arange(len(rows)) % 2 * SPOT_DISTANCE / 2
    lines = [np.arange(start, high[0], SPOT_DISTANCE) for start in starts]
    centres = np.array([(x, y) for y, line in zip(rows, lines, strict=True) for x in line])
    found = KDTree(xy).query_ball_point(centres, SPOT_RADIUS)
    kept = [k for k, each in enumerate(found) if each]
    size = np.array([len(found[k]) for k in kept])
    columns = np.concatenate([np.sort(found[k]) for k in kept])
    ends = np.append(0, np.cumsum(size))
    weights = sp.csr_matrix((np.ones(len(columns)), columns, ends), (len(kept), len(xy)))
    measure: Counts = world.measures["rna"]  # type: ignore[assignment]
    rate = (weights @ cells.layers["rate"]) * factor
    dispersion = np.multiply.outer(size, measure.dispersion)
    table = ad.AnnData(sp.csr_matrix(negative_binomial(rng, rate, dispersion).astype(np.float32)))
    table.obs = pd.DataFrame({"n_cells": size}, index=table.obs_names).assign(**about)
    table.layers["rate"] = rate.astype(np.float32)
    table.obsm["spatial"] = centres[kept]
    for key, column in (("composition", "cell_type"), ("niche", "niche")):
        one = pd.get_dummies(cells.obs[column]).to_numpy(float)
        names = list(map(str, cells.obs[column].cat.categories))
        table.obsm[key] = pd.DataFrame((weights @ one) / size[:, None], index=table.obs_names, columns=names)
    table.var["dispersion"], table.var["platform"] = measure.dispersion, factor
    table.uns["A"] = weights
    return table


def _niches(plan: _Plan, niche: Rows) -> pd.Categorical:
    return pd.Categorical.from_codes(niche, categories=pd.Index(plan.names, dtype=object))


def _joined(stem: str, sections: list[ad.AnnData]) -> ad.AnnData:
    """All sections in one table, under names of their own."""
    out = ad.concat(sections, merge="same", index_unique="-", keys=[str(k) for k in range(len(sections))])
    out.obs_names = _names(stem, out.n_obs)
    out.var_names = _names("gene", out.n_vars)
    for key, frame in out.obsm.items():
        if isinstance(frame, pd.DataFrame):
            out.obsm[key] = frame.set_axis(out.obs_names)
    for key in ("section", "donor", "action", "outcome"):
        if key in out.obs:
            out.obs[key] = pd.Categorical(out.obs[key])
    return out
