"""What a model knows of its data: modalities, operators, features, context; plain values only."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field, replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scvcell import _keys
from scvcell._registry import near_miss
from scvcell.measure import MEASUREMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from scvcell._containers import View

logger = logging.getLogger("scvcell")


@dataclass(frozen=True)
class ModalitySchema:
    """One modality: its operator, the operator's options, its features and the layer that holds raw values."""

    operator: str
    features: list[str]
    options: dict[str, Any] = field(default_factory=dict)
    layer: str | None = None


@dataclass(frozen=True)
class Schema:
    """The registry of a model, as plain values.

    Attributes
    ----------
    modalities
        One `ModalitySchema` per modality, in the user's order.
    batch_key, batches
        Column of the batch and its categories; None and one category without.
    categorical, continuous
        Covariates: categories of each categorical one, mean and standard deviation of each continuous one.
    """

    modalities: dict[str, ModalitySchema]
    batch_key: str | None
    batches: list[str]
    categorical: dict[str, list[str]] = field(default_factory=dict)
    continuous: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def n_context(self) -> int:
        """Width of the context design."""
        return len(self.batches) + sum(map(len, self.categorical.values())) + len(self.continuous)

    def as_dict(self) -> dict[str, Any]:
        """Plain nested dictionaries and lists."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Schema:
        """Inverse of `as_dict`."""
        values = dict(plain)
        values["modalities"] = {m: ModalitySchema(**s) for m, s in plain["modalities"].items()}
        values["continuous"] = {k: tuple(v) for k, v in plain["continuous"].items()}
        return cls(**values)

    def with_batches(self, names: Sequence[str]) -> Schema:
        """The same schema with further batch categories at the end."""
        return replace(self, batches=[*self.batches, *names])

    def context(self, view: View) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Context design, shape ``(cells, n_context)``, and batch codes of every cell.

        Raises
        ------
        KeyError, ValueError
            If a column is missing, has missing values, or has categories the model does not know.
        """
        batch = np.zeros(view.n_obs, np.int64)
        if self.batch_key is not None:
            batch = _codes(view, self.batch_key, self.batches, hint=_NEW_BATCH)
        parts = [np.eye(len(self.batches), dtype=np.float32)[batch]]
        for key, categories in self.categorical.items():
            parts.append(np.eye(len(categories), dtype=np.float32)[_codes(view, key, categories)])
        for key, (mean, sd) in self.continuous.items():
            values = _numeric(view, key)
            parts.append(((values - mean) / sd).astype(np.float32)[:, None])
        return np.concatenate(parts, 1), batch

    def unseen_batches(self, view: View) -> list[str]:
        """Batch categories of `view` that the model does not know."""
        if self.batch_key is None:
            return []
        return sorted(set(_text(view, self.batch_key).tolist()) - set(self.batches))


_NEW_BATCH = " Run `model.load_query_data(data)` to extend the model to new batches."


def build(
    view: View,
    *,
    measure: Mapping[str, Any] | None = None,
    batch_key: str | None = None,
    covariates: Sequence[str] = (),
    layers: Mapping[str, str] | None = None,
) -> Schema:
    """Read a schema off data, checking everything that can be wrong before any work starts.

    Parameters
    ----------
    view
        The data.
    measure
        Modality name -> operator name, or ``(operator name, options)``; names that are not given are recognised.
    batch_key
        Column of the batch, or None.
    covariates
        Further context columns; numeric ones are continuous, the others categorical.
    layers
        Modality name -> layer that holds its raw counts; ``X`` by default.
    """
    measure, layers = dict(measure or {}), dict(layers or {})
    for what, given in (("measure", measure), ("layers", layers)):
        unknown = sorted(set(given) - set(view.modalities))
        if unknown:
            raise ValueError(
                f"{what}= names modalities that the data lack: {unknown}. They have {list(view.modalities)}."
            )
    modalities = {}
    for name, adata in view.modalities.items():
        operator, options = _operator(name, measure.get(name, adata.uns.get(_keys.MEASURE)))
        layer = layers.get(name)
        if layer is not None and layer not in adata.layers:
            raise ValueError(
                f"Modality {name!r} has no layer {layer!r}; it has {[k for k in adata.layers if k] or 'none'}."
            )
        if layer is None and adata.X is None:
            raise ValueError(f"Modality {name!r} has no X. Give layers={{{name!r}: 'counts'}}.")
        check_values(view, name, layer, counts=MEASUREMENTS[operator].count_data)
        features = adata.var_names.astype(str).tolist()
        _check_options(name, operator, options)
        try:
            MEASUREMENTS[operator].check(features, **options)
        except ValueError as error:
            raise ValueError(f"Modality {name!r}: {error}") from None
        modalities[name] = ModalitySchema(operator, features, options, layer)
    _check_encoded(view, modalities)
    batches = ["all"]
    if batch_key is not None:
        batches = sorted(set(_text(view, batch_key).tolist()))
    categorical: dict[str, list[str]] = {}
    continuous: dict[str, tuple[float, float]] = {}
    for key in covariates:
        column = view.column(key)
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            values = _numeric(view, key)
            continuous[key] = (float(values.mean()), float(values.std()) or 1.0)
        else:
            categorical[key] = sorted(set(_text(view, key).tolist()))
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


def _operator(name: str, given: Any) -> tuple[str, dict[str, Any]]:
    """Operator name and options of a modality."""
    options: dict[str, Any] = {}
    if isinstance(given, tuple | list):
        given, options = given[0], dict(given[1])
    elif isinstance(given, dict):
        given, options = given["operator"], dict(given.get("options", {}))
    if given is None:
        given = MEASUREMENTS.infer(name)
        if given is None:
            raise ValueError(
                f"Modality {name!r} is not recognised. Say what measures it: "
                f"measure={{{name!r}: 'counts'}}, with one of {list(MEASUREMENTS)} (see scvcell.measure.show())."
            )
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


def check_values(view: View, name: str, layer: str | None, *, counts: bool) -> None:
    """Walk once through a modality and refuse values that no likelihood can take.

    Raises
    ------
    ValueError
        If a value is NaN, infinite, or (for `counts`) negative or not an integer.
    """
    where = f"Modality {name!r}" + (f", layer {layer!r}," if layer else "")
    matrix = view.matrix(name, layer)
    total = np.zeros(matrix.shape[1])
    for chunk in matrix.chunks(np.arange(matrix.shape[0])):
        values: Any = chunk.data if sp.issparse(chunk) else chunk
        if not np.isfinite(values).all():
            raise ValueError(f"{where} contains NaN or infinite values. Remove them, or drop the cells or features.")
        if counts and values.size:
            if values.min() < 0:
                raise ValueError(
                    f"{where} contains negative values; raw counts are needed (normalised data have none)."
                )
            if (values != np.floor(values)).any():
                raise ValueError(
                    f"{where} contains non-integer values, so it looks normalised; raw counts are needed. "
                    f"If they are in a layer, give layers={{{name!r}: 'counts'}}."
                )
        total += np.asarray(chunk.sum(0)).ravel()
    empty = int((total == 0).sum())
    if counts and empty:
        logger.info("%s: %d of %d features are zero in all cells; they are kept.", where, empty, len(total))


def _text(view: View, key: str) -> NDArray[np.str_]:
    column = view.column(key)
    missing = column.isna().to_numpy()
    if missing.any():
        raise ValueError(f"obs[{key!r}] is missing for {missing.sum()} cells, e.g. {view.obs_names[missing][0]!r}.")
    return column.astype(str).to_numpy().astype(str)


def _codes(view: View, key: str, categories: list[str], hint: str = "") -> NDArray[np.int64]:
    codes = pd.Index(categories).get_indexer(pd.Index(_text(view, key)))
    if (codes < 0).any():
        unknown = sorted(set(_text(view, key)[codes < 0].tolist()))
        raise ValueError(
            f"obs[{key!r}] has categories the model does not know: {unknown}; it knows {categories}.{hint}"
        )
    return codes.astype(np.int64)


def _numeric(view: View, key: str) -> NDArray[np.float64]:
    values = pd.to_numeric(view.column(key), errors="coerce").to_numpy(dtype=float)
    if not np.isfinite(values).all():
        raise ValueError(
            f"obs[{key!r}] must be numeric without missing values; {(~np.isfinite(values)).sum()} are not."
        )
    return values


def conform(view: View, schema: Schema) -> View:
    """The modalities of `view` that the model knows, features in the model's order; the user's object is not touched.

    Raises
    ------
    ValueError
        If no modality is known, or a known one lacks features of the model.
    """
    modalities = {}
    for name, spec in schema.modalities.items():
        adata = view.modalities.get(name)
        if adata is None:
            continue
        have = adata.var_names.astype(str)
        if list(have) == spec.features:
            modalities[name] = adata
            continue
        missing = sorted(set(spec.features) - set(have))
        if missing:
            raise ValueError(
                f"Modality {name!r} lacks {len(missing)} of the {len(spec.features)} features of the model, "
                f"e.g. {missing[:3]}. Add them with zeros if they were measured and absent."
            )
        extra = len(have) - len(spec.features)
        if extra:
            logger.info("Modality %r: %d features that the model does not know are ignored.", name, extra)
        modalities[name] = adata[:, spec.features]
    if not modalities:
        raise ValueError(
            f"The data have {list(view.modalities)}, the model {list(schema.modalities)}: nothing in common."
        )
    return replace(view, modalities=modalities, rows={m: view.rows[m] for m in modalities})
