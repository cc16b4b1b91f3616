"""What is compared: raw counts, from the layers that models read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scvcell._containers import Matrix, count_layers, fault, view
from scvcell.measure import MEASUREMENTS
from scvcell.model import CSL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anndata import AnnData

    from scvcell._containers import Container
    from scvcell.risk._predictor import Predictor

WRONG = {
    "not finite": "NaN or infinite values",
    "negative": "negative values",
    "not whole": "values that are not whole, so that it looks normalised",
}
"""What is wrong with values, see `scvcell._containers.fault`."""


def counted(data: Container, predictors: Iterable[Predictor] = ()) -> Any:
    """The data with raw counts in ``X`` of each assay: those of the layer that models were or will be fitted on.

    Parameters
    ----------
    data
        AnnData or MuData. They do not change; where a model reads a layer, a copy is returned.
    predictors
        Models say which layer they read and whether an assay is one of counts, a `ModelPredictor` by its ``options``.
        Of others an assay is known by its name, as a fit knows it.

    Raises
    ------
    ValueError
        If two models read different layers, a layer is missing, or values are no raw counts where they should be.
    """
    read, kinds = _read(data, predictors)
    out: Any = data.copy() if any(read.values()) else data
    for name, adata in view(out).modalities.items():
        layer = read.get(name)
        if layer is not None:
            if layer not in adata.layers:
                raise ValueError(f"A predictor reads layers[{layer!r}] of {name!r}, which the data lack.")
            adata.X = adata.layers[layer]
        kind = kinds.get(name) or MEASUREMENTS.infer(name) or ""
        if kind in MEASUREMENTS and MEASUREMENTS[kind].count_data:
            check_counts(adata, name, layer)
    return out


def check_counts(adata: AnnData, name: str, layer: str | None = None) -> None:
    """Refuse an assay whose ``X`` holds no raw counts.

    Raises
    ------
    ValueError
        Saying what it holds, and where there are counts.
    """
    if adata.X is None:
        raise ValueError(f"{name!r} has no X. Put raw counts there: adata.X = adata.layers['counts'].")
    wrong = fault(Matrix(adata.X).sample(), counts=True)
    if not wrong:
        return
    whole = count_layers(adata)
    way = f"Put raw counts there: adata.X = adata.layers[{whole[0]!r}]" if whole else "Raw counts are needed there"
    fitted = f", or give a model that was fitted with layers={whole[0]!r}" if whole else ""
    where = "X" if layer is None else f"layers[{layer!r}]"
    raise ValueError(f"{where} of {name!r} has {WRONG[wrong]}; what is compared are raw counts. {way}{fitted}.")


def _read(data: Container, predictors: Iterable[Predictor]) -> tuple[dict[str, str | None], dict[str, str]]:
    """Modality -> layer that models read, None for X; and modality -> operator, where models say so."""
    names, layers, kinds = list(view(data).modalities), dict[str, str | None](), dict[str, str]()
    for each in predictors:
        model, options = getattr(each, "model", None), getattr(each, "options", None)
        if isinstance(model, CSL):
            of = {m: (spec.layer, spec.operator) for m, spec in model.schema.modalities.items() if m in names}
        elif isinstance(options, Mapping):
            given, measure = options.get("layers"), options.get("measure")
            given = given if isinstance(given, str | Mapping) else None  # of others it may mean anything
            of = {m: (_of(given, m, data), _kind(_of(measure, m, data))) for m in names}
        else:
            continue
        for m, (layer, kind) in of.items():
            if layers.setdefault(m, layer) != layer:
                raise ValueError(
                    f"Of {m!r} one predictor reads {_shown(layers[m])} and another one {_shown(layer)}, so that their "
                    "answers cannot be compared. Fit them on the same values."
                )
            if kind:
                kinds.setdefault(m, kind)
    return layers, kinds


def _of(given: Any, modality: str, data: Container) -> Any:
    """What an option of a fit says of a modality: alone, of the one or of all that have such a layer."""
    if isinstance(given, Mapping):
        return given.get(modality)
    if isinstance(given, str) and len(tables := view(data).modalities) > 1:
        return given if given in tables[modality].layers else None
    return given


def _kind(measure: Any) -> str:
    """Operator of what a fit takes as `measure`; empty where it is not named."""
    name = measure[0] if isinstance(measure, tuple | list) and measure else measure
    return (MEASUREMENTS.infer(name) or name) if isinstance(name, str) else ""


def _shown(layer: str | None) -> str:
    return "X" if layer is None else f"layers[{layer!r}]"
