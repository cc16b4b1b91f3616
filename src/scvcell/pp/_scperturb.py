"""pp.read_scperturb: perturbation data in the layout of the scPerturb atlas, ready for a fit."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData

from scvcell._containers import fault
from scvcell._labels import labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scvcell._types import Array, Mask
    from scvcell.perturb import PerturbationKeys

logger = logging.getLogger("scvcell")

CONTROL, JOINED = "control", "_"
"""The label of untreated cells in scPerturb, and what stands between targets there."""
SEPARATORS = ("+", " + ", "|", ";")
"""What may stand between targets here: the first of which no name has any."""
TARGET, DOSE, HOURS = "action", "action_dose", "action_time"
"""Columns that are added."""
CONTEXTS = ("cell_line", "celltype")
"""Columns within which treated cells may be compared with controls."""
BLANK = ("", "nan", "none", "na")


class _Told(NamedTuple):
    """Columns of one data set, by cell: targets (None where it is not known), and which cells are treated."""

    targets: list[tuple[str, ...] | None]
    treated: Mask


def read_scperturb(data: str | Path | AnnData) -> tuple[AnnData, PerturbationKeys]:
    """Read data in the layout of scPerturb, and which of its columns say what was done.

    Parameters
    ----------
    data
        An h5ad, or what was read from it. Obs has ``perturbation`` (``"control"``, names joined by ``_``), and may have
        ``nperts``, ``dose_value``, ``dose_unit``, ``time`` in hours, ``cell_line`` and ``celltype``. What was given
        does not change.

    Returns
    -------
    The data, with raw counts in ``X``, unique names, and the columns ``action`` (targets joined by ``+``; missing where
    ``perturbation`` is), ``action_dose`` (with its unit) and ``action_time``; and the keys for
    ``tl.fit(perturbation=)``. Names with ``_`` in them are told from combinations by ``nperts``. A column that does not
    say it for every treated cell is left out of the keys, with a line that says why. The context is the cell line, or
    else the cell type, where there are several and each has controls.

    Raises
    ------
    KeyError
        If obs has no ``perturbation``.
    ValueError
        If no cell is a control or none is treated, or neither ``X``, nor the layer ``counts``, nor ``raw`` holds raw
        counts.

    Notes
    -----
    The E-distance that is given with scPerturb takes squared Euclidean distances. It is twice the squared distance
    between the means, and sees nothing else of two distributions. `scvcell.score.energy_distance` takes the distances
    themselves, and is unbiased.

    References
    ----------
    Peidli et al., scPerturb: harmonized single-cell perturbation data, Nat Methods 2024.

    Examples
    --------
    >>> adata, keys = scvcell.pp.read_scperturb("SrivatsanTrapnell2020_sciplex3.h5ad")
    >>> model = scvcell.tl.fit(adata, perturbation=keys)
    """
    from scvcell.perturb import PerturbationKeys

    read = anndata.read_h5ad(data) if isinstance(data, str | Path) else data
    if "perturbation" not in read.obs:
        raise KeyError(
            f"obs has no column 'perturbation', as data in scPerturb's layout have. It has {list(read.obs)}."
        )
    told = _targets(read.obs)
    control = np.array([targets == () for targets in told.targets])
    for what, where in (("untreated ('control')", control), ("treated", told.treated)):
        if not where.any():
            raise ValueError(f"No cell is {what} in obs['perturbation']; it holds {_some(read.obs['perturbation'])}.")
    with warnings.catch_warnings():  # they become unique in the next lines
        warnings.filterwarnings("ignore", message=".*names are not unique")
        adata = AnnData(_counts(read), read.obs.copy(), read.var.copy(), obsm=dict(read.obsm))
    adata.obs_names_make_unique()
    adata.var_names_make_unique()
    names = {name for targets in told.targets if targets for name in targets}
    separator = next((each for each in SEPARATORS if not any(each in name for name in names)), "\t")
    action = [None if t is None else separator.join(t) or CONTROL for t in told.targets]
    adata.obs[TARGET] = pd.Categorical(pd.array(action, dtype=object))
    keys: dict[str, Any] = {"target": TARGET, "control": CONTROL, "separator": separator}
    for name, column in (("dose", _doses(read.obs, told, separator)), ("time", _times(read.obs, told))):
        if column is not None:
            keys[name] = {"dose": DOSE, "time": HOURS}[name]
            adata.obs[keys[name]] = column
    context = next(_contexts(read.obs, told.treated, control), None)
    return adata, PerturbationKeys(**keys, **({"context": context} if context else {}))


def _counts(read: AnnData) -> Any:
    """Raw counts, from where they are."""
    layers = {"X": read.X, "layers['counts']": read.layers.get("counts")}
    if read.raw is not None and read.raw.shape == read.shape:
        layers["raw"] = read.raw.X
    wrong = {}
    for name, values in layers.items():
        if values is None:
            continue
        wrong[name] = fault(values, counts=True)
        if not wrong[name]:
            return values
    found = ", ".join(f"{name} is {what}" for name, what in wrong.items()) or "there is no X"
    raise ValueError(f"The data hold no raw counts: {found}. Read a file with counts, or put them into X.")


def _targets(obs: pd.DataFrame) -> _Told:
    """Targets of each cell: of a label with ``_`` as many as ``nperts`` says."""
    text = labels(obs["perturbation"]).str.strip()
    number = pd.to_numeric(obs["nperts"].astype(object), errors="coerce") if "nperts" in obs else None
    found: list[tuple[str, ...] | None] = []
    odd: set[str] = set()
    for at, label in enumerate(text):
        if not isinstance(label, str) or label.lower() in BLANK:
            found.append(None)
            continue
        parts = tuple(part for part in label.split(JOINED) if part and part != CONTROL)
        n = len(parts) if number is None or np.isnan(number.iloc[at]) else int(number.iloc[at])
        if label == CONTROL or n == len(parts):
            found.append(() if label == CONTROL else tuple(dict.fromkeys(parts)))
        else:  # a name with the sign in it
            found.append((label,))
            odd |= {label} if n > 1 else set()
    if odd:
        logger.warning(
            "%d labels of several targets cannot be split, and are taken as one name each, e.g. %r.",
            len(odd),
            sorted(odd)[0],
        )
    return _Told(found, np.array([bool(targets) for targets in found]))


def _doses(obs: pd.DataFrame, told: _Told, separator: str) -> list[str | None] | None:
    """Dose of each target with its unit; None where not every treated cell has as many as targets."""
    if "dose_value" not in obs:
        return None
    unit = labels(obs["dose_unit"]) if "dose_unit" in obs else pd.Series("", obs.index)
    out: list[str | None] = []
    for targets, value, measure in zip(told.targets, labels(obs["dose_value"]), unit, strict=True):
        if not targets:
            out.append(None)
            continue
        parts = [] if not isinstance(value, str) or value.lower() in BLANK else value.split(JOINED)
        if len(parts) != len(targets) or not all(map(_is_number, parts)):
            logger.warning("dose_value %r is no dose of each of %s; doses are left out.", value, ", ".join(targets))
            return None
        suffix = measure.strip() if isinstance(measure, str) and measure.lower() not in BLANK else ""
        out.append(separator.join(f"{float(part):g} {suffix}".strip() for part in parts))
    return out


def _times(obs: pd.DataFrame, told: _Told) -> Array | None:
    """Hours of each cell; None where not every treated cell has one, or all are alike."""
    if "time" not in obs:
        return None
    text = labels(obs["time"]).str.strip().str.replace(r"(?i)\s*h(ours?|rs?)?$", "", regex=True)
    hours = pd.to_numeric(text, errors="coerce").to_numpy(float)
    known = np.isfinite(hours[told.treated])
    if not known.all():
        if known.any():
            logger.warning("%d treated cells have no time in hours; times are left out.", (~known).sum())
        return None
    return hours if len(np.unique(hours[told.treated])) > 1 else None


def _contexts(obs: pd.DataFrame, treated: Mask, control: Mask) -> Iterator[str]:
    """Columns with several labels, each of which has controls where it has treated cells."""
    for name in CONTEXTS:
        if name not in obs:
            continue
        column = labels(obs[name])
        every = set(column[treated].dropna())
        if len(every) < 2:
            continue
        if every <= set(column[control].dropna()):
            yield name
        else:
            lacking = sorted(every - set(column[control].dropna()))
            logger.warning(
                "%d labels of %r have no controls, e.g. %r: it is no context.", len(lacking), name, lacking[0]
            )


def _is_number(text: str) -> bool:
    try:
        return np.isfinite(float(text)) and float(text) >= 0
    except ValueError:
        return False


def _some(column: pd.Series) -> str:
    return ", ".join(map(repr, column.astype(str).unique()[:5]))
