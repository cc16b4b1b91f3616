"""pl.velocity: where cells are going, as streams or arrows on their embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.neighbors import NearestNeighbors

from scvcell import _keys
from scvcell._stats import neighbours, walk
from scvcell.pl import _style, _tables
from scvcell.pl._embedding import cells, coordinates

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from mudata import MuData

    from scvcell._types import Array, Mask


GRID, ARROWS = 40, 25
"""Points of the grid in either direction, for streams and for arrows."""
MARGIN = 0.05
"""Share of the width by which the grid is wider than the cells."""
NEAR = 30
"""Cells whose arrows make that of a point of the grid."""


def velocity(
    data: AnnData | MuData,
    *,
    kind: Literal["stream", "arrows"] = "stream",
    basis: str | None = None,
    key: str = _keys.LATENT,
    color: str | None = None,
    size: float | None = None,
    legend: Literal["right", "on data"] | None = "right",
    ax: Axes | None = None,
    seed: int = 0,
) -> Axes:
    r"""Draw where cells are going on the UMAP of their latent.

    .. math:: v_i = \sum_j (p_{ij} - 1 / n_i)\, (e_j - e_i) / \|e_j - e_i\|

    over the neighbours j of a cell in the latent, with positions e in the embedding and p the steps of
    :func:`scvcell.tl.fate`. Lengths are not speeds, and an embedding of two dimensions can bend what it shows: read
    numbers from :func:`scvcell.tl.fate` and :func:`scvcell.tl.forecast`.

    Parameters
    ----------
    data
        AnnData or MuData after :func:`scvcell.tl.velocity`.
    kind
        ``"stream"``: lines along the field; ``"arrows"``: one per point of a grid.
    basis, key, color, size, legend, seed
        As :func:`scvcell.pl.embedding`.
    ax
        Axes to draw on.

    Returns
    -------
    Axes with cells, and streams or arrows where there are cells, most of them of trusted velocity.

    Raises
    ------
    ValueError
        If `kind` is neither of the two, the latent or its velocity is missing, or as :func:`scvcell.pl.embedding`.

    Notes
    -----
    Keeps UMAP and colours as :func:`scvcell.pl.embedding`.

    References
    ----------
    La Manno et al., RNA velocity of single cells, Nature 2018.
    """
    if kind not in ("stream", "arrows"):
        raise ValueError(f"kind must be 'stream' or 'arrows', not {kind!r}.")
    if _keys.VELOCITY_LATENT not in data.obsm:
        raise ValueError(f"No .obsm[{_keys.VELOCITY_LATENT!r}]: run `scvcell.tl.velocity(data, model)` first.")
    if key not in data.obsm:
        raise ValueError(f"No .obsm[{key!r}]: run `scvcell.tl.embed(data, model)` first.")
    column = None if color is None else _tables.column(data, color)
    given = _style.check_axes(ax, 1)
    where = coordinates(data, key, basis, seed)
    latent, ahead = (np.asarray(data.obsm[k])[where.rows] for k in (key, _keys.VELOCITY_LATENT))
    known = np.isfinite(latent).all(1) & np.isfinite(ahead).all(1)
    if not known.any():
        raise ValueError(f"No cell has a place, a latent and a velocity (.obsm[{_keys.VELOCITY_LATENT!r}] is NaN).")
    (panel,) = given or _style.make_axes(None, 1, size=(4.6, 3.4))
    cells(panel, data, where, color, column, size=size, legend=legend)
    place, latent, ahead = where.xy[known], latent[known], ahead[known]
    told = np.ones(len(place), bool)
    if _keys.VELOCITY_TRUSTED in data.obs:
        told = data.obs[_keys.VELOCITY_TRUSTED].to_numpy(bool)[where.rows][known]
    arrows = _project(place, latent, np.where(told[:, None], ahead, 0))
    (x, y), (u, v) = _on_grid(place, arrows, told, GRID if kind == "stream" else ARROWS)
    speed = np.ma.filled(np.ma.hypot(u, v), 0)
    options: dict[str, Any] = {"color": "#202020", "zorder": 3}
    if kind == "stream":
        width = 0.3 + 1.2 * speed / max(float(speed.max()), 1e-12)
        panel.streamplot(x, y, u, v, density=1.3, linewidth=width, arrowsize=0.9, **options)
    else:
        panel.quiver(*np.meshgrid(x, y), u, v, angles="xy", width=0.003, **options)
    return panel


def _project(place: Array, latent: Array, ahead: Array) -> Array:
    """Mean direction of each cell's next step in the embedding, beyond that of a walk without direction."""
    graph = neighbours(latent)
    steps = walk(latent, ahead, graph).tocoo()
    i, j = steps.coords
    way = place[j] - place[i]
    way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-12)
    excess = steps.data - 1 / np.bincount(i, minlength=len(place))[i]
    return np.stack([np.bincount(i, excess * part, len(place)) for part in way.T], 1)


def _on_grid(place: Array, arrows: Array, told: Mask, n: int) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Axes of a grid, and the mean arrow of the cells around each point, masked where there are hardly any or told."""
    low, high = place.min(0), place.max(0)
    x, y = np.linspace(low - MARGIN * (high - low), high + MARGIN * (high - low), n).T
    points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    distance, near = NearestNeighbors(n_neighbors=min(NEAR, len(place))).fit(place).kneighbors(points)
    width = max(x[1] - x[0], y[1] - y[0])
    weight = np.exp(-((distance / width) ** 2) / 2)
    mass = weight.sum(1)
    mean = (weight[..., None] * arrows[near]).sum(1) / np.maximum(mass, 1e-12)[:, None]
    empty = (mass < 0.15 * np.quantile(mass, 0.99)) | ((weight * told[near]).sum(1) < mass / 2)
    u, v = (np.ma.array(part, mask=empty).reshape(n, n) for part in mean.T)
    return (x, y), (u, v)
