"""tl.transfer_labels: labels of annotated cells for all others, across assays, with abstention."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scvcell import _keys
from scvcell._containers import expect
from scvcell.model import CSL
from scvcell.risk import VOTES, votes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scvcell._containers import Container, View


def transfer_labels(
    data: Container,
    model: CSL,
    *,
    key: str,
    reference: Sequence[str] | NDArray[np.bool_] | None = None,
    k: int = 5,
    min_probability: float = VOTES,
    key_added: str | None = None,
) -> None:
    """Give every cell the label of its nearest annotated cells in the latent, whatever assays they have.

    Parameters
    ----------
    data
        AnnData or MuData.
    model
        Fitted model.
    key
        Obs column of the labels.
    reference
        Cells whose labels are used: names or a boolean mask; every cell with a label by default.
    k
        Neighbours that vote.
    min_probability
        Share of votes below which a label is not trusted.
    key_added
        Column to write, ``f"{key}_transferred"`` by default.

    Notes
    -----
    Writes three obs columns: the label, ``_probability`` (share of votes), and ``_trusted``: enough votes, neighbours
    no farther than 99 % of the reference cells that are given their own label find theirs, and not unusually far for
    the cells that are not in the reference (:func:`scvcell.risk.trusted`). Reference cells are predicted too, without
    their own vote.
    """
    expect("model", model, CSL, "The data come first, then the model.")
    if k < 1 or not 0 <= min_probability <= 1:
        raise ValueError(f"k must be at least 1 and min_probability in [0, 1], not {k!r} and {min_probability!r}.")
    seen = model.view(data)
    labels = seen.column(key)
    chosen = _reference(seen, labels, reference)
    if chosen.sum() < 2:
        raise ValueError(
            f"At least 2 reference cells with a label in obs[{key!r}] are needed; there are {chosen.sum()}."
        )
    latent = model.posterior(seen).mean.numpy()
    known = labels[chosen].astype(str).to_numpy().astype(str)
    own = votes(None, latent[chosen], known, k)
    others = votes(latent[~chosen], latent[chosen], known, k)
    reach = own.reach(known)
    label, share, near = (np.empty(len(latent), dtype) for dtype in (known.dtype, float, bool))
    for cells, found, inside in ((chosen, own, own.distance <= reach), (~chosen, others, others.near(reach))):
        label[cells], share[cells], near[cells] = found.label, found.share, inside
    columns = _keys.label_keys(key_added or f"{key}_transferred")
    obs = seen.source.obs
    obs[columns["label"]] = pd.Categorical(label, categories=np.unique(known))
    obs[columns["probability"]] = share
    obs[columns["trusted"]] = (share >= min_probability) & near


def _reference(seen: View, labels: pd.Series, reference: Sequence[str] | NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    has = labels.notna().to_numpy()
    if reference is None:
        return has
    if isinstance(reference, str):
        raise TypeError(
            f"reference must be names of cells or a mask over them, not the text {reference!r}; "
            f'for example reference=data.obs["batch"] == {reference!r}.'
        )
    given = np.asarray(reference)
    if given.dtype == bool:
        if given.shape != has.shape:
            raise ValueError(f"reference mask has {len(given)} values for {len(has)} cells.")
        return given & has
    unknown = set(given.tolist()) - set(seen.obs_names)
    if unknown:
        raise ValueError(f"{len(unknown)} reference cells are not in the data, e.g. {next(iter(unknown))!r}.")
    return seen.obs_names.isin(given) & has
