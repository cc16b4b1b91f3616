"""Data as a model knows them: modalities by name or features, features in its order, missing ones masked."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from scvcell import _keys
from scvcell._containers import Corpus, Matrix, stack_of
from scvcell._labels import label, labels
from scvcell.measure import MEASUREMENTS
from scvcell.model._check import check_sample

if TYPE_CHECKING:
    from scvcell._containers import View
    from scvcell._types import Rows
    from scvcell.model._schema import ModalitySchema, Schema

logger = logging.getLogger("scvcell")

MIN_SHARED_FEATURES = 0.1
"""Share of a modality's features that data must have."""


def conform(view: View, schema: Schema, *, check: bool = True) -> View:
    """The modalities of `view` that the model knows, features in the model's order; the user's object is not touched.

    A modality of another name is taken where its name stands for the operator of one that the data lack, an AnnData for
    the modality whose features it has. Features of the model that the data lack are marked as not measured
    (``varm["observed"]``).

    Parameters
    ----------
    view
        The data.
    schema
        What the model knows.
    check
        Whether some rows are looked at, so that normalised data are refused where counts are needed.

    Raises
    ------
    ValueError
        If no modality is known, a known one has hardly any features of the model, or its values cannot be used.
    """
    view = _named(view, schema)
    known = [name for name in schema.modalities if name in view.modalities]
    if not known:
        raise ValueError(
            f"The data have {list(view.modalities)}, the model {list(schema.modalities)}: nothing in common. "
            "A modality is known by its name, or by one that means the same; rename it: "
            f"mudata.MuData({{{next(iter(schema.modalities))!r}: adata}})."
        )
    view = replace(view, modalities={m: view.modalities[m] for m in known}, rows={m: view.rows[m] for m in known})
    if check:
        check_sample(view, schema.modalities)
    batches = list(dict.fromkeys([*schema.batches, *_batches(view, schema)]))
    modalities = {m: _aligned(adata, m, schema.modalities[m], batches) for m, adata in view.modalities.items()}
    return replace(view, modalities=modalities)


def _batches(view: View, schema: Schema) -> list[str]:
    """Batches of the data, which the model may not know yet."""
    if schema.batch_key is None or schema.batch_key not in view.columns:
        return []
    column = view.column(schema.batch_key)
    return sorted(set(labels(column.drop_duplicates()).dropna()))


def _named(view: View, schema: Schema) -> View:
    """The view with modalities named as the model names them, where that is beyond doubt."""
    names = {m: m for m in view.modalities if m in schema.modalities}
    if isinstance(view.source, AnnData):
        (own, adata), *_ = view.modalities.items()
        overlap = {m: _overlap(adata, spec) for m, spec in schema.modalities.items()}
        names = {own: max(overlap, key=lambda m: (overlap[m], m == own))} if any(overlap.values()) else names
    lacking = [m for m in schema.modalities if m not in names.values()]
    for name, adata in view.modalities.items():
        operator = MEASUREMENTS.infer(name)
        alike = [
            m for m in lacking if schema.modalities[m].operator == operator and _overlap(adata, schema.modalities[m])
        ]
        rivals = [n for n in view.modalities if n not in names and MEASUREMENTS.infer(n) == operator]
        if name not in names and len(alike) == len(rivals) == 1:
            names[name] = alike[0]
            logger.info("Modality %r is taken for the model's %r.", name, alike[0])
    rest = [m for m in view.modalities if m not in names]
    names |= {m: m for m in rest}
    return replace(
        view,
        modalities={names[m]: adata for m, adata in view.modalities.items()},
        rows={names[m]: rows for m, rows in view.rows.items()},
    )


def _overlap(adata: AnnData, spec: ModalitySchema) -> float:
    """Features in common, over all there are in either."""
    common = len(pd.Index(spec.features).intersection(adata.var_names.astype(str)))
    return common / (adata.n_vars + len(spec.features) - common)


def _aligned(adata: AnnData, name: str, spec: ModalitySchema, batches: list[str]) -> AnnData:
    """Features in the model's order; those that the data lack are zero, and marked as not measured."""
    have = adata.var_names.astype(str)
    if list(have) == spec.features:
        return adata
    at = have.get_indexer(pd.Index(spec.features))
    there = at >= 0
    extra = len(have) - there.sum()
    if extra:
        logger.info("Modality %r: %d features that the model does not know are ignored.", name, extra)
    held = adata.X if spec.layer is None else adata.layers[spec.layer]
    stack = stack_of(held)
    if there.all():
        return adata[:, spec.features] if stack is None else _table(adata, stack.select(at).as_dask(), spec)
    missing = np.array(spec.features)[~there]
    if there.mean() < MIN_SHARED_FEATURES:
        raise ValueError(
            f"Modality {name!r} lacks {len(missing)} of the {len(there)} features of the model, e.g. "
            f"{missing[:3].tolist()}; it has {have[:3].tolist()}. Are they named alike (symbols, Ensembl ids)?"
        )
    logger.warning(
        "Modality %r lacks %d of the %d features of the model, e.g. %s: taken as not measured.",
        name,
        len(missing),
        len(there),
        missing[:3].tolist(),
    )
    out = _table(adata, _spread(held, at) if stack is None else stack.select(at).as_dask(), spec)
    frame = pd.DataFrame(np.repeat(there[:, None], len(batches), 1), index=out.var_names, columns=batches)
    given = adata.varm.get(_keys.OBSERVED_MASK)
    if isinstance(given, pd.DataFrame):
        given = given.set_axis(list(map(label, given.columns)), axis=1).set_axis(have)
        frame &= given.reindex(index=spec.features, columns=batches).astype("boolean").fillna(True).astype(bool)
    out.varm[_keys.OBSERVED_MASK] = frame
    return out


def _table(adata: AnnData, x: Any, spec: ModalitySchema) -> AnnData:
    """The cells of a table with counts of the model's features."""
    features = pd.Index(spec.features)
    if isinstance(adata, Corpus):
        return adata.with_counts(x, spec.layer, features)
    out = AnnData(x, obs=adata.obs, var=pd.DataFrame(index=features))
    if spec.layer is not None:
        out.layers[spec.layer] = out.X
    return out


def _spread(held: Any, at: Rows) -> Any:
    """Columns `at` of a matrix, zeros where it is -1."""
    matrix = Matrix(held)
    rows: Any = matrix.rows(np.arange(matrix.shape[0]))
    there = np.flatnonzero(at >= 0)
    if not sp.issparse(rows):
        out = np.zeros((rows.shape[0], len(at)), np.float32)
        out[:, there] = rows[:, at[there]]
        return out
    select = sp.csr_matrix((np.ones(len(there), np.float32), (at[there], there)), shape=(rows.shape[1], len(at)))
    return sp.csr_matrix(rows @ select)
