"""Coarse units as data: counts of their cells summed exactly, and what state these sums are in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from scvcell import _keys
from scvcell._labels import is_numeric, labels, numbers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scvcell._containers import Matrix, Membership, View
    from scvcell._types import Array, Rows
    from scvcell.model import Fitted


def pooled(membership: Membership, matrix: Matrix, rows: Rows, *, counts: bool = True) -> Any:
    """Sums of an assay over the parts of each unit (means, where it is no count), csr or dense, ``(units, features)``.

    Parameters
    ----------
    membership
        Parts of units; its fine units are the cells.
    matrix, rows
        Values, and the row of each cell in them, -1 where it was not measured.
    counts
        Whether values are counts.
    """
    weights = sp.csc_array(membership.matrix)
    cells = np.flatnonzero(rows >= 0)
    order = cells[np.argsort(rows[cells], kind="stable")]
    total: Any = None
    start = 0
    for block in matrix.chunks(rows[order]):
        part = weights[:, order[start : start + block.shape[0]]]
        found = part @ (sp.csr_array(block) if sp.issparse(block) else np.asarray(block, dtype=float))
        total = found if total is None else total + found
        start += block.shape[0]
    if total is None:
        total = sp.csr_array((len(membership.coarse), matrix.shape[1]))
    if counts:
        return sp.csr_matrix(total) if sp.issparse(total) else total
    weight = np.asarray(weights[:, cells].sum(1), dtype=float)
    dense = total.toarray() if sp.issparse(total) else total
    with np.errstate(invalid="ignore", divide="ignore"):
        return dense / np.where(weight > 0, weight, np.nan)[:, None]


def annotation(membership: Membership, view: View, keys: Iterable[str], *, named: Iterable[str] = ()) -> pd.DataFrame:
    """Columns of obs for units: of numbers the weighted mean, of labels the one with the most weight.

    Parameters
    ----------
    membership
        Parts of units.
    view
        The cells.
    keys
        Columns.
    named
        Those that are labels even where they are numbers, as a batch is.
    """
    out: dict[str, Any] = {}
    share, named = membership.shares().matrix, set(named)
    for key in keys:
        column = view.column(key)
        if key not in named and is_numeric(column):
            value = numbers(column)
            known = np.isfinite(value)
            with np.errstate(invalid="ignore", divide="ignore"):
                out[key] = (share @ np.where(known, value, 0)) / (share @ known.astype(float))
            continue
        text = labels(column)
        names = sorted(set(text.dropna()))
        weight = share @ np.equal.outer(text.to_numpy(object), np.array([*names, None], object)).astype(float)
        code = np.where(weight[:, :-1].any(1), weight[:, :-1].argmax(1), -1) if names else np.full(len(weight), -1)
        out[key] = pd.Categorical.from_codes(np.asarray(code, dtype=np.int64), pd.Index(names, dtype=object))
    return pd.DataFrame(out, index=membership.coarse)


def constant(membership: Membership, view: View) -> list[str]:
    """Columns of obs that say the same of all parts of every unit."""
    row = sp.coo_array(membership.matrix)
    found = []
    for key in view.columns:
        code = pd.factorize(labels(view.column(key)))[0][row.col]
        first = pd.Series(code).groupby(row.row).nunique()
        if len(first) and (first <= 1).all() and (code >= 0).all():
            found.append(key)
    return found


def encode(model: Fitted, membership: Membership, view: View, sums: dict[str, Any]) -> Array:
    """States of units: the posterior of their summed measurements, NaN of those without a part, ``(units, latent)``.

    Encoding the pool says more of a unit than pooling the encodings of its cells does.

    Parameters
    ----------
    model
        Trained model.
    membership, view
        Parts of units; the cells, as the model views them.
    sums
        By modality, what `pooled` gives.
    """
    out = np.full((len(membership.coarse), model.n_latent), np.nan, np.float32)
    keys = model.schema.keys
    obs = annotation(membership, view, keys, named=set(keys) - set(model.schema.continuous))
    obs.index = pd.Index(np.arange(len(out)).astype(str))
    tables = {}
    for name, value in sums.items():
        spec, present = model.schema.modalities[name], view.present(name)
        some = np.flatnonzero(membership.matrix @ present.astype(float) > 0)  # the others have no part with this assay
        if not len(some):
            continue
        table = value[some]
        layers = {} if spec.layer is None else {spec.layer: table}
        tables[name] = AnnData(table, obs=obs.iloc[some].copy(), var=pd.DataFrame(index=spec.features), layers=layers)
        tables[name].varm.update(observed(view.modalities[name]))
        if spec.size_factor is not None:
            deep = model.readout(view, name).depth().astype(float)
            tables[name].obs[spec.size_factor] = (membership.matrix @ np.nan_to_num(deep))[some]
    if not tables:
        return out
    # weighted sums are no whole numbers; the cells' values were checked when they were read
    seen = model.view(MuData(tables), check=False)
    states = model.states(model.source(seen, check=False), np.arange(seen.n_obs), None)
    out[seen.obs_names.astype(int)] = states.mean.numpy()
    return out


def observed(adata: AnnData) -> dict[str, Any]:
    """Which features each batch measured, where that is said, for ``.varm`` of units."""
    frame = adata.varm.get(_keys.OBSERVED_MASK)
    return {} if frame is None else {_keys.OBSERVED_MASK: frame.copy()}
