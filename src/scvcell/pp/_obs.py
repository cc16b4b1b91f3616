"""pp.modality_from_obs: a column of cell annotation as an endpoint that the state predicts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from scvcell import _keys
from scvcell._containers import view
from scvcell._labels import is_numeric, labels, numbers

if TYPE_CHECKING:
    from scvcell._containers import Container, Tables

    Kind = Literal["categorical", "continuous", "survival"]

logger = logging.getLogger("scvcell")


def modality_from_obs(
    data: Container, key: str, *, event: str | None = None, kind: Kind | None = None, table_key: Tables = None
) -> AnnData:
    """A label, a number or a survival time in ``.obs`` as a modality for the ``endpoint`` operator.

    Parameters
    ----------
    data
        AnnData, MuData or SpatialData that holds the column.
    key
        The column: labels, values, or times of event or censoring.
    event
        Column that says whether the event was seen (1, True) or the cell was censored (0, False); makes `key` a
        survival time.
    kind
        ``"categorical"``, ``"continuous"`` or ``"survival"``; by default survival where `event` is given, else
        continuous for numbers and categorical for everything else.
    table_key
        Table of a SpatialData, or several of the same cells, see :func:`scvcell.tl.fit`.

    Returns
    -------
    AnnData of the cells whose value is known x classes (zeros and ones), one value, or ``time`` and ``event``. Cells
    without a value are left out: the model predicts theirs.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If the values are not of the kind, a survival time has no event, or nothing can be learned from them.

    Examples
    --------
    >>> mdata.mod["celltype"] = scvcell.pp.modality_from_obs(mdata, "celltype")
    >>> mdata.update()
    >>> model = scvcell.tl.fit(mdata)
    >>> scvcell.tl.translate(mdata, model, to="celltype").to_df().idxmax(axis=1)
    """
    if kind not in (None, "categorical", "continuous", "survival"):
        raise ValueError(f"kind must be 'categorical', 'continuous' or 'survival', not {kind!r}.")
    seen = view(data, table_key=table_key)
    column = seen.column(key)
    kind = kind or ("survival" if event is not None else "continuous" if is_numeric(column) else "categorical")
    if (kind == "survival") != (event is not None):
        raise ValueError(
            f"A survival time needs event=, the column that says whether the event was seen (1) or the cell was "
            f"censored (0); obs[{key!r}] was given alone."
            if event is None
            else f"event={event!r} belongs to kind='survival', not {kind!r}."
        )
    text = labels(column)
    known = text.notna().to_numpy()
    if not known.any():
        raise ValueError(f"obs[{key!r}] is missing for every cell.")
    if kind == "categorical":
        codes, classes = pd.factorize(text[known], sort=True)
        if len(classes) < 2:
            raise ValueError(f"obs[{key!r}] has one class only, {classes[0]!r}; there is nothing to learn.")
        values, names = np.eye(len(classes), dtype=np.float32)[codes], classes.astype(str)
    elif kind == "continuous":
        values, names = _numbers(column[known], key)[:, None], pd.Index([key])
    else:
        values, names = _survival(column, seen.column(str(event)), known), pd.Index(["time", "event"])
    if not known.all():
        logger.info("obs[%r] is missing for %d of %d cells; it is predicted.", key, (~known).sum(), len(known))
    out = AnnData(values, pd.DataFrame(index=seen.obs_names[known].copy()), pd.DataFrame(index=pd.Index(names)))
    out.uns[_keys.MEASURE] = {"operator": "endpoint", "options": {"kind": kind}}
    return out


def _numbers(column: pd.Series, key: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    values = numbers(column).astype(np.float32)
    if not np.isfinite(values).all():
        bad = column[~np.isfinite(values)].iloc[0]
        raise ValueError(f"obs[{key!r}] must be finite numbers; it has {bad!r}.")
    return values


def _survival(time: pd.Series, event: pd.Series, known: np.ndarray) -> np.ndarray:
    """Columns time and event of the known cells."""
    torn = known != labels(event).notna().to_numpy()
    if torn.any():
        raise ValueError(
            f"obs[{time.name!r}] and obs[{event.name!r}] must be known for the same cells; {torn.sum()} have one of "
            f"them, e.g. {time.index[torn][0]!r}."
        )
    times, events = _numbers(time[known], str(time.name)), _numbers(event[known], str(event.name))
    if (times <= 0).any():
        raise ValueError(f"obs[{time.name!r}] has times of zero or less; survival times are above 0.")
    if not np.isin(events, (0, 1)).all():
        raise ValueError(f"obs[{event.name!r}] must hold 1 (event seen) and 0 (censored) only.")
    if not events.any():
        raise ValueError(f"obs[{event.name!r}] has no event; there is nothing to learn.")
    return np.stack([times, events], 1)
