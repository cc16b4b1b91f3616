"""Velocities that agree with what is made and what decays of each gene."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.neighbors import NearestNeighbors

from scvcell.drift import _tells
from scvcell.drift._field import Field

if TYPE_CHECKING:
    from scvcell._types import Array, Mask, Rows
    from scvcell.measure import Context
    from scvcell.model import Readout

logger = logging.getLogger("scvcell")

MAX_CELLS, MAX_GENES = 2000, 2000
"""Cells and genes that are asked at most."""

MIN_COUNTS, MIN_GENES = 20, 10
"""Mature and nascent counts of a gene that is asked; genes below which there is no answer."""

GENES_PER_DRAW = 10
"""Genes that err as one: a member asks so many times fewer genes than there are."""

N_NEIGHBOURS, N_WAYS = 100, 10
"""Cells around a cell, and directions among them in which it may move."""

WAY_RIDGE = 1.0

N_ROUNDS = 10
"""Rounds in which field and steady states are found from each other."""

MIN_LEVEL = 0.1
"""Least of what may be made of a gene, relative to its steady state."""

CELLS_PER_BLOCK = 256

N_MEMBERS = 20
"""Samples of the evidence, each with a field of its own."""


def by_turnover(readout: Readout, z: Array, rng: np.random.Generator) -> tuple[Array, list[Array], Array]:
    r"""Velocities that agree with what is made and what decays of each gene, one set per member; and how well told.

    .. math:: \nabla_z \log \rho_g(z) \cdot f(z) = k_g(z) - \gamma_g

    with :math:`k` what is made per molecule and unit of time. Without a labelling time only ratios are known: every
    gene is given a lifetime of 1, so that the right side is :math:`k_g / \gamma_g - 1`. Where a cell may move is known
    from its neighbours: f lies among the leading directions of their cloud, by a ridge whose shrinkage one factor for
    all cells undoes. Steady states :math:`\gamma` and the field are found in turn. Members are samples of the genes
    whose ratio varies with the state.

    Parameters
    ----------
    readout
        Kinetics of some cells, all of which have them.
    z
        Their states, ``(cells, latent)``.
    rng
        Draws samples of genes.

    Returns
    -------
    States, velocities by each member, and how well the direction of each cell is told, see `_tells.told`.
    """
    operator = readout.operator
    genes = _genes(readout)
    ways = _ways(z)
    slopes, made, levels = [], [], []
    for at in np.split(np.arange(len(z)), np.arange(CELLS_PER_BLOCK, len(z), CELLS_PER_BLOCK)):
        here = readout.known(at)
        state, along = (torch.tensor(part[at], device=readout.device) for part in (z, ways))

        def turnover(state: torch.Tensor, here: Context = here) -> tuple[torch.Tensor, torch.Tensor]:
            share, made = operator.turnover(state, here)
            return share[:, genes], made[:, genes]

        with torch.no_grad():
            each = [torch.func.jvp(turnover, (state,), (way.contiguous(),)) for way in along.unbind(2)]
        slopes.append(torch.stack([tangent[0] for _, tangent in each], 2).cpu().numpy())
        levels.append(each[0][0][0].cpu().numpy())
        made.append(each[0][0][1].cpu().numpy())
    slope, rate, level, relative = (
        np.concatenate(slopes),
        np.concatenate(made),
        np.concatenate(levels),
        not operator.time,
    )
    n_members = max(len(genes) // GENES_PER_DRAW, 1)
    tells, coupled = np.ones(len(genes), bool), True
    if relative:
        tells, coupled = _telling(readout, genes, z, level)
    slope, rate, level = slope[:, tells], rate[:, tells], level[:, tells]
    every = np.ones(slope.shape[1], np.float32)
    _, steady = _balance(slope, rate, relative, every, np.median(rate, 0))
    out: list[Array] = []
    for _ in range(N_MEMBERS):
        weight = rng.multinomial(n_members, every / len(every)).astype(np.float32)
        asked = weight > 0
        steps, _ = _balance(slope[:, asked], rate[:, asked], relative, weight[asked], steady[asked])
        out.append((ways @ steps[..., None])[..., 0])

    def field(asked: Rows, made: Array) -> tuple[Array, Array]:
        made = made[:, asked]
        steps, _ = _balance(slope[:, asked], made, relative, every[asked], np.median(made, 0))
        ahead = Field.fit(z, [(z, (ways @ steps[..., None])[..., 0])], 0, "", "").velocity(z)
        return ahead, (np.linalg.pinv(ways) @ ahead[..., None])[..., 0]

    told = _tells.told(field, slope, rate, level, relative, rng) if coupled else np.zeros(len(z))
    return z.astype(float), out, told


def _telling(readout: Readout, genes: Rows, z: Array, level: Array) -> tuple[Mask, bool]:
    """Which of the genes tell by splicing; all where too few do, and then nothing is trusted for lack of agreement."""
    operator = readout.operator
    n = operator.n_genes
    chunks: Any = readout.matrix.chunks(readout.rows)
    blocks = [(part[:, np.r_[genes, n + genes]], part[:, n:].sum(1)) for part in chunks]
    counts = np.concatenate([part.toarray() if sp.issparse(part) else np.asarray(part) for part, _ in blocks])
    depth = np.concatenate([np.asarray(total).reshape(-1, 1) for _, total in blocks])
    mature, nascent = np.split(counts, 2, 1)
    theta = operator.log_theta.detach().exp().cpu().numpy()[n + genes]
    tells = _tells.informative(z, nascent, depth * np.exp(level), theta)
    logger.info("Of %d genes %d tell by splicing where cells are going.", len(genes), tells.sum())
    if tells.sum() < MIN_GENES:
        tells = np.ones(len(genes), bool)
    return tells, bool(_tells.together(mature, nascent) >= _tells.MIN_COUPLING)


def _balance(slopes: Array, made: Array, relative: bool, weight: Array, steady: Array) -> tuple[Array, Array]:
    """Steps along the ways of each cell, ``(cells, ways)``, and what is made of genes at steady state, ``(genes,)``.

    A change of all genes alike is no change of shares, so that it is left out.
    """
    slopes = slopes - np.einsum("g,ngr->nr", weight / weight.sum(), slopes)[:, None]
    weighted = slopes * weight[:, None]
    normal = weighted.transpose(0, 2, 1) @ slopes
    # a single gene says nothing: then steps are 0
    ridge = max(WAY_RIDGE * float(np.trace(normal, axis1=1, axis2=2).mean()) / N_WAYS, 1e-9)
    shrunk = normal + ridge * np.eye(normal.shape[1])
    for _ in range(N_ROUNDS):
        excess = made / steady - 1 if relative else made - steady
        right = (weighted.transpose(0, 2, 1) @ excess[..., None])[..., 0]
        steps = np.linalg.solve(shrunk, right[..., None])[..., 0]
        steps *= (steps * right).sum() / max(float(np.einsum("nr,nrs,ns->", steps, normal, steps)), 1e-12)
        change = (slopes @ steps[..., None])[..., 0]
        if relative:
            level = np.maximum(1 + change, MIN_LEVEL)
            steady = (made * level).sum(0) / (level**2).sum(0)
        else:
            steady = (made - change).mean(0)
    return steps, steady


def _genes(readout: Readout) -> Rows:
    """Genes with enough mature and nascent counts, the most abundant ones."""
    total = sum(np.asarray(part.sum(0)).ravel() for part in readout.matrix.chunks(readout.rows))
    fewer = np.minimum(*np.split(np.asarray(total), 2))
    genes = np.argsort(-fewer, kind="stable")[: min(MAX_GENES, int((fewer >= MIN_COUNTS).sum()))]
    if len(genes) < MIN_GENES:
        raise ValueError(
            f"Only {len(genes)} genes have {MIN_COUNTS} mature and as many nascent counts; velocity needs at least "
            f"{MIN_GENES}."
        )
    return np.sort(genes)


def _ways(z: Array) -> Array:
    """Leading directions of the cloud around each cell, scaled by its spread there; ``(cells, latent, ways)``."""
    n = max(min(N_NEIGHBOURS, len(z) // 10), min(N_WAYS + 2, len(z)))
    near = NearestNeighbors(n_neighbors=n).fit(z).kneighbors(z, return_distance=False)
    out = []
    for rows in np.array_split(near, max(len(z) // CELLS_PER_BLOCK, 1)):
        cloud = z[rows] - z[rows].mean(1, keepdims=True)
        _, spread, ways = np.linalg.svd(cloud / n**0.5, full_matrices=False)
        out.append((spread[:, :N_WAYS, None] * ways[:, :N_WAYS]).transpose(0, 2, 1))
    return np.concatenate(out)
