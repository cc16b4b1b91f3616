"""tl.modality_information: what each assay says of each cell that the others do not, in bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell import _keys
from scvcell._checks import expect
from scvcell.model import CSL

if TYPE_CHECKING:
    from scvcell._containers import Container


def modality_information(data: Container, model: CSL) -> None:
    r"""Write the information of every modality on every cell's state, in bits.

    .. math:: I_m = \mathrm{KL}\big(q(z \mid x_A)\,\|\,q(z \mid x_{A \setminus m})\big) / \ln 2

    For a cell with one modality this is the divergence from the prior.

    Parameters
    ----------
    data
        AnnData or MuData.
    model
        Fitted model.

    Notes
    -----
    Writes ``obs["csl_bits_<modality>"]``; NaN where the cell lacks the modality.
    """
    expect("model", model, CSL, "The data come first, then the model.")
    seen = model.view(data).only(model.assays)
    full, found = model.posterior(seen), {}
    for name in seen.modalities:
        others = [m for m in seen.modalities if m != name]
        without = model.posterior(seen, modalities=others)
        bits = full.kl_to(without).numpy().astype(np.float64) / np.log(2)
        bits[~seen.present(name)] = np.nan
        found[_keys.BITS.format(modality=name)] = bits
    seen.write(obs=found)
