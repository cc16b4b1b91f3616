"""Denoised expression of the cells that were measured, by scvi-tools' conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch

from scvcell._checks import whole_number
from scvcell._containers import choose, choose_features
from scvcell._labels import several
from scvcell.measure import Shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scvcell._containers import Container, View
    from scvcell._types import Rows
    from scvcell.model._fitted import Fitted
    from scvcell.model._readout import Readout

CELLS_PER_BLOCK = 1024


def normalized_expression(
    model: Fitted,
    data: Container | None = None,
    indices: Any = None,
    transform_batch: Any = None,
    gene_list: Sequence[str] | None = None,
    library_size: float | Literal["latent"] = 1,
    n_samples: int = 1,
    *,
    return_mean: bool = True,
    return_numpy: bool | None = None,
    modality: str | None = None,
    seed: int = 0,
) -> pd.DataFrame | NDArray[np.float32]:
    r"""Share of each gene in the counts that the model expects of a cell, given all that was measured of it.

    .. math:: \ell\, \rho_g(z, c), \qquad z = E\,q(z \mid x), \qquad \sum_g \rho_g = 1

    The counts themselves are among what is known of the cell: this is a smoothed measurement, not a prediction of an
    unseen one. Names and defaults are those of ``scvi.model.SCVI.get_normalized_expression``; not taken over are
    `n_samples_overall`, `weights` (importance sampling), `batch_size` and data loaders.

    Parameters
    ----------
    model
        Trained model.
    data
        Container; the fitted data by default.
    indices
        Cells: positions, as in scvi-tools, or a boolean mask, names, or a query on obs; all by default.
    transform_batch
        Batch, or batches to average over, in whose terms expression is given; each cell's own by default.
    gene_list
        Genes, in this order; all by default.
    library_size
        Sum of a cell over all genes; ``"latent"`` is the depth that was measured (that which is expected in its state,
        where the modality was not).
    n_samples
        1: at the mean of the posterior, so without chance; more: draws of the state.
    return_mean
        Whether draws are averaged.
    return_numpy
        Whether an array comes back instead of a frame; always one for single draws.
    modality
        Modality of counts (RNA, chromatin); the only one of RNA by default.
    seed
        Drives draws.

    Returns
    -------
    Frame or array ``(cells, genes)``; array ``(samples, cells, genes)`` where draws are not averaged. Cells without any
    assay of the model are NaN.

    Raises
    ------
    ValueError
        If the modality has no depth, or genes, batches or cells are unknown.

    References
    ----------
    Lopez et al., Deep generative modeling for single-cell transcriptomics, Nat Methods 2018.
    """
    modality = _modality(model, modality)
    n_samples = whole_number("n_samples", n_samples, 1)
    features = model.schema.modalities[modality].features
    columns = _columns(features, gene_list)
    if library_size != "latent" and not (isinstance(library_size, int | float | np.number) and library_size > 0):
        raise ValueError(f"library_size must be a number above 0 or 'latent', not {library_size!r}.")
    seen = model.view(data)
    seen = seen if indices is None else seen.subset(_positions(seen, indices))
    batches: list[str | None] = [None] if transform_batch is None else [*several(transform_batch)]
    readouts = [model.readout(seen, modality, batch) for batch in batches]
    depth = readouts[0].depth() if library_size == "latent" else None
    posterior = model.posterior(seen)
    generator = torch.Generator().manual_seed(seed)
    single = n_samples > 1 and not return_mean
    out = np.zeros((n_samples if single else 1, seen.n_obs, len(columns)), np.float32)
    for draw in range(n_samples):
        z = posterior.mean
        if n_samples > 1:
            z = z + posterior.var.sqrt() * torch.randn(z.shape, generator=generator)
        for readout in readouts:
            out[draw if single else 0] += _shares(readout, z, depth)[:, columns]
    out /= len(readouts) if single else len(readouts) * n_samples
    if library_size != "latent":
        out *= float(library_size)
    known = seen.only(model.assays).measured()
    out[:, ~known] = np.nan
    if single:
        return out
    if return_numpy:
        return out[0]
    return pd.DataFrame(out[0], index=seen.obs_names, columns=[features[i] for i in columns])


def _modality(model: Fitted, name: str | None) -> str:
    """The modality that is asked for; by default the only one of RNA."""
    if name is None:
        rna = [m for m in model.assays if model.schema.modalities[m].operator == "counts"]
        name = rna[0] if len(rna) == 1 else None
    name = model.only_modality(name)
    if not issubclass(model.operator(name), Shares):
        raise ValueError(
            f"Expression is a share of a depth, which {name!r} has none of. "
            f"Its denoised values: scvcell.tl.translate(data, model, to={name!r}, source=[{name!r}])."
        )
    return name


def _columns(features: list[str], genes: Sequence[str] | None) -> Rows:
    return pd.Index(features).get_indexer(pd.Index(choose_features("gene_list", genes, features), dtype=object))


def _positions(seen: View, indices: Any) -> Rows:
    """Cells by position, as scvi-tools has it, or by what `choose` takes."""
    if isinstance(indices, np.ndarray | list | tuple | range) and np.asarray(indices).dtype.kind in "iu":
        at = np.asarray(indices, dtype=np.int64)
        if at.ndim != 1 or (len(at) and not (-seen.n_obs <= at.min() and at.max() < seen.n_obs)):
            raise ValueError(f"indices must be positions among {seen.n_obs} cells, not {indices!r}.")
        return at % seen.n_obs
    return choose(seen, "indices", indices)


@torch.inference_mode()
def _shares(readout: Readout, state: torch.Tensor, depth: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Shares of every cell, times its depth where that is asked for, ``(cells, features)``."""
    operator, parts = readout.operator, []
    for cells in torch.arange(len(state)).split(CELLS_PER_BLOCK):
        here, z = readout.known(cells.numpy()), state[cells].to(readout.device)
        share = operator.frequency(z, here)
        if depth is not None:
            measured = torch.from_numpy(depth[cells]).to(readout.device)
            share = share * torch.where(measured.isnan(), operator.depth(here, z), measured)[:, None]
        parts.append(share.cpu().numpy())
    return np.concatenate(parts)
