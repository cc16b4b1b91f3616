"""Simulated kinetics: spliced and unspliced counts along a branching or cyclic process with known velocities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from scvcell.datasets._simulate import _names
from scvcell.datasets._world import negative_binomial

if TYPE_CHECKING:
    from scvcell._types import Array, Rows


STEPS = 1000
"""Steps into which the process is cut."""
RATE_SD, CAPTURE_SD = 0.4, 0.5
"""Standard deviation of log rates of splicing and decay, and of how well unspliced molecules of a gene are caught."""


def simulate_kinetics(
    n_cells: int = 1000,
    *,
    n_genes: int = 200,
    topology: Literal["branch", "cycle"] = "branch",
    duration: float = 12.0,
    depth: float = 2000.0,
    unspliced: float = 0.25,
    seed: int = 0,
) -> AnnData:
    r"""Simulate cells on their way, whose direction and speed are known.

    .. math:: \dot u = \alpha(t) - \beta u, \qquad \dot s = \beta u - \gamma s

    per gene, with rates of its own. Transcription switches on or off at a random time: in all cells up to the middle of
    the process, and after it in cells of branch A or of branch B alone; in a cycle it swings once per turn.

    Parameters
    ----------
    n_cells
        Number of cells, spread evenly over the process.
    n_genes
        Number of genes.
    topology
        ``"branch"`` or ``"cycle"``.
    duration
        Length of the process, in mean lifetimes of a typical mRNA.
    depth
        Median spliced counts of a cell.
    unspliced
        Unspliced counts over spliced ones.
    seed
        Drives everything random.

    Returns
    -------
    AnnData with layers ``spliced`` and ``unspliced`` (counts; ``X`` is the first) and

    - ``.obs``: ``time`` (0 to `duration`), ``stage`` (``start``, ``middle``, ``A``, ``B``, or quarters of the cycle)
    - ``.layers["rate"]``, ``["velocity"]``: expected spliced counts of the cell, and their change per unit of time
    - ``.var``: ``beta``, ``gamma``

    Raises
    ------
    ValueError
        If `topology` is neither of the two, or a number is not above 0.

    References
    ----------
    La Manno et al., RNA velocity of single cells, Nature 2018.

    Examples
    --------
    >>> adata = scvcell.datasets.simulate_kinetics(500, seed=1)
    >>> mdata = mudata.MuData({"kinetics": scvcell.pp.modality_from_layers(adata)})
    """
    if topology not in ("branch", "cycle"):
        raise ValueError(f"topology must be 'branch' or 'cycle', not {topology!r}.")
    if min(n_cells, n_genes, duration, depth, unspliced) <= 0:
        raise ValueError(
            "n_cells, n_genes, duration, depth and unspliced must be above 0; got "
            f"{n_cells}, {n_genes}, {duration}, {depth} and {unspliced}."
        )
    rng = np.random.default_rng(seed)
    beta, gamma = np.exp(RATE_SD * rng.standard_normal((2, n_genes)))
    step = rng.integers(STEPS, size=n_cells)
    branch = rng.integers(2, size=n_cells)
    log_alpha = (_branching if topology == "branch" else _cycling)(rng, n_genes)
    nascent, mature, velocity = (
        np.where((branch == 0)[:, None], *parts)
        for parts in zip(*([x[step] for x in _integrate(a, beta, gamma, duration)] for a in log_alpha), strict=True)
    )
    size = depth * np.exp(0.3 * rng.standard_normal((n_cells, 1))) / mature.sum(1, keepdims=True)
    caught = np.exp(CAPTURE_SD * rng.standard_normal(n_genes))
    fewer = unspliced * mature.sum() / (nascent * caught).sum()
    dispersion = rng.uniform(3, 10, n_genes)
    obs = pd.DataFrame({"time": step / STEPS * duration}, index=_names("cell", n_cells))
    obs["stage"] = pd.Categorical(_stages(step / STEPS, branch, topology))
    adata = AnnData(obs=obs, var=pd.DataFrame({"beta": beta, "gamma": gamma}, index=_names("gene", n_genes)))
    for name, rate in (("spliced", size * mature), ("unspliced", size * fewer * caught * nascent)):
        adata.layers[name] = sp.csr_matrix(negative_binomial(rng, rate, dispersion).astype(np.float32))
    adata.X = adata.layers["spliced"].copy()
    adata.layers["rate"], adata.layers["velocity"] = (x.astype(np.float32) for x in (size * mature, size * velocity))
    return adata


def _branching(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Log transcription over time ``(steps, genes)`` in branch A and in branch B."""
    time = np.linspace(0, 1, STEPS)[:, None]
    kind = rng.permutation(np.arange(n) % 3)
    when = np.where(kind == 0, rng.uniform(-0.1, 0.6, n), rng.uniform(0.45, 0.95, n))
    change = rng.choice([-1, 1], n) * rng.uniform(1, 2.5, n) / (1 + np.exp(-(time - when) / 0.02))
    base = rng.normal(0, 1, n)
    return base + change * (kind != 2), base + change * (kind != 1)


def _cycling(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """The same of a cycle, twice."""
    time = np.linspace(0, 2 * np.pi, STEPS, endpoint=False)[:, None]
    alpha = rng.normal(0, 1, n) + rng.uniform(0.3, 1.5, n) * np.sin(time - rng.uniform(0, 2 * np.pi, n))
    return alpha, alpha


def _integrate(log_alpha: Array, beta: Array, gamma: Array, duration: float) -> tuple[Array, Array, Array]:
    """Unspliced, spliced and its velocity over time, ``(steps, genes)`` each; the second of two turns."""
    alpha, dt = np.exp(log_alpha), duration / STEPS
    closed = np.allclose(alpha[0], alpha[-1], atol=0.1, rtol=0.1)
    u, s = alpha[0] / beta, alpha[0] / gamma
    for _ in range(1 + closed):
        path = []
        for rate in alpha:
            path.append((u, s, beta * u - gamma * s))
            u, s = u + dt * (rate - beta * u), s + dt * (beta * u - gamma * s)
    nascent, mature, velocity = (np.array(part) for part in zip(*path, strict=True))
    return nascent, mature, velocity


def _stages(place: Array, branch: Rows, topology: str) -> list[str]:
    """Label of each cell by its place in the process, 0 to 1."""
    if topology == "cycle":
        return [f"quarter {int(4 * p) + 1}" for p in place]
    return ["start" if p < 0.25 else "middle" if p < 0.5 else "AB"[b] for p, b in zip(place, branch, strict=True)]
