"""Read a schema off some data, and refuse what no model can take, before any work starts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell import _keys
from scvcell._checks import listed, one_name
from scvcell._labels import is_numeric
from scvcell._registry import near_miss
from scvcell.measure import MEASUREMENTS
from scvcell.model import _size_factor
from scvcell.model._check import by_modality, check_all_values, check_layer, note, note_panels
from scvcell.model._recognise import check_kinds, unrecognised
from scvcell.model._schema import ModalitySchema, Schema, coded, is_constant, numeric_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from scvcell._containers import View


logger = logging.getLogger("scvcell")


def read_schema(
    view: View,
    *,
    measure: Mapping[str, Any] | str | tuple | None = None,
    batch_key: str | None = None,
    covariates: str | Sequence[str] | None = None,
    layers: Mapping[str, str] | str | None = None,
    size_factor: Mapping[str, str | None] | str | None = None,
) -> Schema:
    """Read a schema off data, checking everything that can be wrong before any work starts.

    Parameters
    ----------
    view
        The data.
    measure
        Modality name -> operator name, or ``(operator name, options)``; names that are not given are recognised. Of
        one modality the operator alone will do.
    batch_key
        Column of the batch, or None.
    covariates
        Further context columns; numeric ones are continuous, the others categorical.
    layers
        Modality name -> layer that holds its raw counts, or one layer for all that have it; ``X`` by default.
    size_factor
        Modality name -> column of the depth of its cells, or one column for all that have it.
    """
    batch_key = one_name("batch_key", batch_key)
    covariates = listed("covariates", covariates, "names of obs columns")
    measure, layers = by_modality(view, measure, layers)
    modalities = {}
    for name, adata in view.modalities.items():
        check_kinds(adata, name)
        layer = layers.get(name)
        operator, options = _operator(name, measure.get(name, adata.uns.get(_keys.MEASURE)), adata, layer)
        check_layer(adata, name, layer)
        features = adata.var_names.astype(str).tolist()
        _check_options(name, operator, options)
        try:
            MEASUREMENTS[operator].check(features, **options)
        except ValueError as error:
            raise ValueError(f"Modality {name!r}: {error}") from None
        options = {key: plain(f"measure[{name!r}]: {key}", value) for key, value in options.items()}
        modalities[name] = ModalitySchema(operator, features, options, layer)
    given = _size_factor.columns(view, modalities, size_factor)
    totals = check_all_values(view, modalities)
    for name, key in _size_factor.chosen(view, modalities, given, totals).items():
        modalities[name] = replace(modalities[name], size_factor=key)
    _check_encoded(view, modalities)
    note(view, modalities, [key for key in (batch_key, *covariates) if key is not None])
    batches = ["all"]
    if batch_key is not None:
        batches = coded(view, batch_key)[0]
    note_panels(view, batches)
    categorical: dict[str, list[str]] = {}
    continuous: dict[str, tuple[float, float]] = {}
    for key in covariates:
        column = view.column(key)
        if is_numeric(column):
            values = numeric_column(view, key)
            continuous[key] = (float(values.mean()), float(values.std()))
            if is_constant(*continuous[key]):
                logger.warning("obs[%r] is %g in all cells, so it tells nothing; it is not used.", key, values[0])
        else:
            categorical[key] = coded(view, key)[0]
    return Schema(modalities, batch_key, batches, categorical, continuous)


def _check_encoded(view: View, modalities: Mapping[str, ModalitySchema]) -> None:
    """Every cell needs an assay that tells of its state."""
    seen = [view.present(name) for name, spec in modalities.items() if MEASUREMENTS[spec.operator].encoded]
    without = ~np.logical_or.reduce([np.zeros(view.n_obs, bool), *seen])
    if without.any():
        only = [name for name, spec in modalities.items() if not MEASUREMENTS[spec.operator].encoded]
        raise ValueError(
            f"{without.sum()} cells have nothing but {only}, e.g. {view.obs_names[without][0]!r}: an endpoint is "
            "predicted from an assay. Drop these cells, or add their assay."
        )


def _operator(name: str, given: Any, adata: AnnData, layer: str | None) -> tuple[str, dict[str, Any]]:
    """Operator name and options of a modality."""
    options: dict[str, Any] = {}
    if isinstance(given, tuple | list):
        given, options = given[0], dict(given[1])
    elif isinstance(given, dict):
        given, options = given["operator"], dict(given.get("options", {}))
    if given is None:
        given = MEASUREMENTS.infer(name)
        if given is None:
            raise ValueError(unrecognised(name, adata, layer))
        return given, options
    if isinstance(given, type):
        matching = [key for key in MEASUREMENTS if MEASUREMENTS[key] is given]
        if not matching:
            raise ValueError(f"{given.__name__} is not registered. Decorate it with @MEASUREMENTS.register('name').")
        return matching[0], options
    if not isinstance(given, str):
        raise TypeError(f"measure[{name!r}] must be an operator name or (name, options), not {type(given).__name__}.")
    try:
        MEASUREMENTS[given]
    except KeyError as error:
        raise ValueError(error.args[0]) from None
    return given, options


def plain(what: str, value: Any) -> Any:
    """An option as what a file can hold: numbers, text, and lists of them.

    Raises
    ------
    TypeError
        If it is nothing of that kind; `what` names it.
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(what, each) for key, each in value.items()}
    if isinstance(value, np.ndarray | pd.Series | pd.Index | list | tuple):
        return [plain(what, each) for each in (value.tolist() if hasattr(value, "tolist") else value)]
    raise TypeError(f"{what} must be plain: a number, text, or a list or array of them, not {type(value).__name__}.")


def _check_options(name: str, operator: str, options: Mapping[str, Any]) -> None:
    """Refuse options that the operator does not have."""
    parameters = list(signature(MEASUREMENTS[operator]).parameters.values())[2:]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters]
    for given in options:
        if given not in known:
            raise ValueError(
                f"measure[{name!r}]: {operator!r} has no option {given!r}.{near_miss(str(given), known)} "
                f"Options: {', '.join(known) or 'none'}."
            )
