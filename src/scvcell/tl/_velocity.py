"""tl.velocity, tl.forecast and tl.fate: where cells are going, where they will be, and which groups they end in."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from scvcell import _keys
from scvcell._checks import expect
from scvcell.drift import change_of_counts, kinetics_of
from scvcell.model import CSL

if TYPE_CHECKING:
    from scvcell._containers import Container


logger = logging.getLogger("scvcell")


def velocity(
    data: Container, model: CSL, *, time_key: str | None = None, clone_key: str | None = None, seed: int = 0
) -> None:
    r"""Write where each cell is going to the data, as a velocity of its state.

    .. math:: \frac{dz}{dt} = f(z), \qquad \nabla_z \log \rho_g(z) \cdot f(z) = k_g(z) - \gamma_g

    The field is learned once, from the training cells, and kept on the model (``model.learn("drift")`` learns it anew):
    from kinetics, so that the change of each gene agrees with what is made of it and what decays; or from cells of
    several times, as the flow that carries those of each time to those of the next, to cells of their clone where
    `clone_key` tells.

    Parameters
    ----------
    data
        Fitted or new data.
    model
        Fitted model. One of its modalities is of the ``kinetics`` operator (:func:`scvcell.pp.modality_from_layers`),
        unless `time_key` is given.
    time_key
        Obs column with the time of each cell, a number, to learn from times.
    clone_key
        Obs column with the clone of each cell (its lineage barcode), missing where it is not known; with `time_key`.
    seed
        Drives samples of genes or of cells.

    Notes
    -----
    Written to `data`:

    - ``.obsm["velocity_csl"]``: change of the state per unit of time, ``(cells, latent)``; NaN for a cell without any
      assay of the model. The unit is that of the
      labelling time or of `time_key`; without either, the lifetime of a typical mRNA.
    - ``.obs["velocity_confidence"]``: how far its direction can be relied on, 1 at best: the mean cosine between it and
      those from samples of the genes (or cells). By splicing also, if less, how well the direction by half of the genes
      predicts the other half (3 standard errors are .5), with nascent counts taken in proportion to mature ones and
      with the proportion that the data have, and the cosine between these two directions. 0 everywhere if nascent
      counts do not follow mature ones at all.
    - ``.obs["velocity_trusted"]``: confidence of at least .5. :func:`scvcell.tl.fate` and :func:`scvcell.pl.velocity`
      take cells below it as without direction.
    - ``.layers["velocity"]`` of the kinetics modality: change of its expected counts per unit of time, at the depth of
      the cell; NaN where a cell or a feature is unknown to the model. Its first half is that of mature counts.
    - ``.uns["csl_velocity"]``: unit, `time_key` and `clone_key`.

    Raises
    ------
    ValueError
        If neither kinetics nor times tell, there are too few genes, the times are no numbers or only one, or no clone
        has cells at two consecutive times.

    References
    ----------
    La Manno et al., RNA velocity of single cells, Nature 2018; Tong et al., Improving and generalizing flow-based
    generative models with minibatch optimal transport, TMLR 2024; Weinreb et al., Lineage tracing on transcriptional
    landscapes links state to fate during differentiation, Science 2020.

    Examples
    --------
    >>> mdata = mudata.MuData({"kinetics": scvcell.pp.modality_from_layers(adata)})
    >>> model = scvcell.tl.fit(mdata)
    >>> scvcell.tl.velocity(mdata, model)
    """
    expect("model", model, CSL, "The data come first, then the model.")
    seen = model.view(data)
    keys = {"time_key": time_key, "clone_key": clone_key}
    if model.drift is None or any(key not in (None, getattr(model.drift, name)) for name, key in keys.items()):
        model.learn("drift", seen, **keys, seed=seed)
    drift = model.part("drift")
    latent = model.posterior(seen).mean.numpy()
    ahead = drift.velocity(latent)
    confidence, trusted = drift.confidence(latent), drift.trusted(latent)
    name = kinetics_of(model)
    if name in seen.modalities:
        table = seen.holder(name)
        table.layers[_keys.VELOCITY] = change_of_counts(model.readout(seen, name), latent, ahead, table)
    known = seen.only(model.assays).measured()
    told = {name: getattr(drift, name) for name in ("unit", "time_key", "clone_key")}
    seen.write(
        obsm={_keys.VELOCITY_LATENT: np.where(known[:, None], ahead, np.nan).astype(np.float32)},
        obs={
            _keys.VELOCITY_CONFIDENCE: np.where(known, confidence, np.nan),
            _keys.VELOCITY_TRUSTED: known & trusted,
        },
        uns={_keys.VELOCITY_UNS: told},
    )
    if not trusted[known].any():
        logger.warning("In no cell is it told reliably where it is going: obs['%s'].", _keys.VELOCITY_TRUSTED)
