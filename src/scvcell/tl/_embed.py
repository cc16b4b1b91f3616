"""tl.embed: the state of every cell, from any subset of its assays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell import _keys
from scvcell._checks import expect
from scvcell.model import CSL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell._containers import Container, View


def embed(
    data: Container, model: CSL, *, modalities: Sequence[str] | None = None, key_added: str | None = None
) -> None:
    """Write the state of every cell to the data, from the modalities it has.

    Parameters
    ----------
    data
        AnnData or MuData, fitted or new, cells in any order.
    model
        Fitted model.
    modalities
        Modalities that may be used; all by default.
    key_added
        ``.obsm`` key, ``"X_csl"`` by default. The uncertainty goes to ``.obs["csl_uncertainty"]`` for the default key,
        else to ``.obs[f"{key_added}_uncertainty"]``.

    Notes
    -----
    Cells that have none of `modalities` get NaN in both.
    """
    expect("model", model, CSL, "The data come first, then the model.")
    if isinstance(modalities, str):
        modalities = [modalities]
    if modalities is not None and not len(modalities):
        raise ValueError(f"modalities= is empty; give some of {model.assays}, or leave it out for all.")
    model.check_modalities(modalities, assays=True)
    write_states(model.view(data), model, modalities, key_added)


def write_states(data: View, model: CSL, modalities: Sequence[str] | None = None, key_added: str | None = None) -> None:
    """As `embed`, of data that the model has viewed."""
    seen = data.only(model.assays)
    key_added = _keys.LATENT if key_added is None else key_added
    column = _keys.uncertainty_key(key_added)
    seen.check_key_added(key_added, [column], default=_keys.LATENT, obsm=True)
    posterior = model.posterior(seen, modalities=modalities)
    usable = [m for m in seen.modalities if modalities is None or m in modalities]
    some = seen.measured(usable)
    latent = posterior.mean.numpy().copy()
    uncertainty = posterior.var.sqrt().mean(1).numpy().astype(np.float64)
    latent[~some] = np.nan
    uncertainty[~some] = np.nan
    seen.write(obsm={key_added: latent}, obs={column: uncertainty})
