"""Checks of values, layers and arguments, the same for the fit and for every verb that reads data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from scvcell import _keys
from scvcell._containers import Matrix, fault
from scvcell._registry import near_miss
from scvcell.measure import MEASUREMENTS
from scvcell.model import _size_factor
from scvcell.model._recognise import proteins_in_obsm, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from scvcell._containers import View
    from scvcell.model._schema import ModalitySchema

logger = logging.getLogger("scvcell")

FEW_CELLS, FEW_FEATURES = 30, 2
"""Cells, and features of a modality, up to which hardly anything can be learned."""
MANY_EMPTY = 0.1
"""Share of cells without a count above which it is asked whether they were measured."""
WRONG = {
    "not finite": "contains NaN or infinite values. Remove them, or drop the cells or features",
    "negative": "contains negative values; raw counts are needed (scaled data, as of sc.pp.scale, have negative ones)",
    "not whole": "contains non-integer values, so it looks normalised; raw counts are needed",
}


def by_modality(view: View, measure: Any, layers: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """`measure` and `layers` of a fit by modality; an operator alone is that of the only one, a layer alone of all.

    Raises
    ------
    ValueError
        If a modality is not there, an operator alone is given for several, or no modality has the layer.
    """
    names = list(view.modalities)
    if measure is not None and not isinstance(measure, Mapping):
        if len(names) > 1:
            raise ValueError(
                f"measure={measure!r} is for data of one modality; say of which: measure={{{names[0]!r}: ...}}."
            )
        measure = {names[0]: measure}
    if isinstance(layers, str):
        having = {name: layers for name, adata in view.modalities.items() if layers in adata.layers}
        if not having:
            raise ValueError(f"No modality has a layer {layers!r}. Layers: {_layers(view)}.")
        layers = having
    if layers is not None and not isinstance(layers, Mapping):
        raise TypeError(f"layers= takes the name of a layer, or a mapping from modality to layer, not {layers!r}.")
    given = {"measure": dict(measure or {}), "layers": dict(layers or {})}
    for what, value in given.items():
        unknown = sorted(set(value) - set(names))
        if unknown:
            alone = f" Of one modality {what}= may be given without its name." if len(names) == 1 else ""
            raise ValueError(f"{what}= names modalities that the data lack: {unknown}. They have {names}.{alone}")
    return given["measure"], given["layers"]


def _layers(view: View) -> str:
    return "; ".join(f"{m!r} has {_named(adata) or 'none'}" for m, adata in view.modalities.items())


def _named(adata: AnnData) -> list[str]:
    return [key for key in adata.layers if key]


def check_layer(adata: AnnData, name: str, layer: str | None, give: str = "") -> None:
    """Refuse a modality without the layer, or without X, that is to be read; `give` is how a layer is given."""
    if layer is not None and layer not in adata.layers:
        hint = near_miss(layer, _named(adata))
        raise ValueError(f"Modality {name!r} has no layer {layer!r}; it has {_named(adata) or 'none'}.{hint}")
    if layer is None and adata.X is None:
        held = f"; it has layers {_named(adata)}" if _named(adata) else ""
        give = give or f"layers={{{name!r}: 'counts'}}"
        raise ValueError(f"Modality {name!r} has no X{held}. Give {give}, the layer of raw counts.")


def check_values(view: View, name: str, layer: str | None, *, counts: bool) -> None:
    """Walk once through a modality and refuse values that no likelihood can take.

    Raises
    ------
    ValueError
        If a value is NaN, infinite, or (for `counts`) negative or not an integer.
    """
    wrong, _ = _walk(view, name, layer, counts=counts)
    if wrong:
        raise ValueError(_complaint(view, {name: (layer, wrong)}))


def check_all_values(view: View, modalities: Mapping[str, ModalitySchema]) -> dict[str, NDArray[np.float64]]:
    """`check_values` of all modalities, with one error for all; returns the sums of the rows of each."""
    wrong, sums = {}, {}
    for name in view.modalities:
        spec = modalities[name]
        found, sums[name] = _walk(view, name, spec.layer, counts=MEASUREMENTS[spec.operator].count_data)
        if found:
            wrong[name] = spec.layer, found
    if wrong:
        raise ValueError(_complaint(view, wrong))
    for name in view.modalities:
        key = modalities[name].size_factor
        if key is not None:
            _size_factor.check(view, name, key, np.arange(len(sums[name])), sums[name])
    return sums


def check_sample(view: View, modalities: Mapping[str, ModalitySchema]) -> None:
    """As `check_all_values`, on some rows of each modality: finds data that were normalised after a fit.

    Raises
    ------
    ValueError
        Also if a layer is missing.
    """
    wrong = {}
    for name, adata in view.modalities.items():
        spec = modalities[name]
        check_layer(adata, name, spec.layer)
        found = fault(view.matrix(name, spec.layer).sample(), counts=MEASUREMENTS[spec.operator].count_data)
        if found:
            wrong[name] = spec.layer, found
    if wrong:
        raise ValueError(_not_as_fitted(view, wrong))
    for name in view.modalities:
        key, matrix = modalities[name].size_factor, view.matrix(name, modalities[name].layer)
        if key is not None:
            rows = np.unique(np.linspace(0, matrix.shape[0] - 1, 8 if matrix.on_disk else 256).astype(np.int64))
            _size_factor.check(view, name, key, rows, np.asarray(matrix.rows(rows).sum(1), dtype=float).ravel())


def check_read(view: View, name: str, spec: ModalitySchema) -> Callable[[Any], None]:
    """A check of every block of rows of a modality that is read after a fit."""
    counts = MEASUREMENTS[spec.operator].count_data

    def check(block: Any) -> None:
        found = fault(block, counts=counts)
        if found:
            raise ValueError(_not_as_fitted(view, {name: (spec.layer, found)}))

    return check


def _not_as_fitted(view: View, wrong: dict[str, tuple[str | None, str]]) -> str:
    """What is wrong with values that are read after a fit."""
    read = {name: f"layer {layer!r}" if layer else "X" for name, (layer, _) in wrong.items()}
    return (
        f"{_complaint(view, wrong, fitted=True)} The model was fitted on raw values and reads {read}; put them there."
    )


def raw_counts(x: Any, where: str) -> Matrix:
    """A matrix of which nothing is read that is no raw count.

    Raises
    ------
    ValueError
        Saying what is wrong, at once where some rows show it, else when they are read.
    """

    def check(block: Any) -> None:
        found = fault(block, counts=True)
        if found:
            raise ValueError(f"{where} {WRONG[found]}. If they are in a layer, give layer='counts'.")

    matrix = Matrix(x, check)
    matrix.sample()
    return matrix


def _walk(view: View, name: str, layer: str | None, *, counts: bool) -> tuple[str, NDArray[np.float64]]:
    """What is wrong with a modality, and the sums of its rows."""
    matrix = view.matrix(name, layer)
    total, sums = np.zeros(matrix.shape[1]), []
    for chunk in matrix.chunks(np.arange(matrix.shape[0])):
        found = fault(chunk, counts=counts)
        if found:
            return found, np.zeros(0)
        total += np.asarray(chunk.sum(0)).ravel()
        sums.append(np.asarray(chunk.sum(1), dtype=float).ravel())
    depth = np.concatenate(sums)
    empty, where, without = int((total == 0).sum()), _where(name, layer), int((depth == 0).sum())
    if counts and 0 < empty < len(total):
        logger.info("%s: %d of %d features are zero in all cells; they are kept.", where, empty, len(total))
    if counts and empty < len(total) and without > MANY_EMPTY * matrix.shape[0]:
        logger.warning(
            "%s: %d of %d cells have no count at all and are taken for measured. If they were not, leave them out of "
            "it: mdata.mod[%r] = mdata[%r][mdata[%r].X.sum(1) > 0].copy(); mdata.update().",
            *(where, without, matrix.shape[0], name, name, name),
        )
    return "", depth


def _where(name: str, layer: str | None) -> str:
    return f"Modality {name!r}" + (f", layer {layer!r}," if layer else "")


def _complaint(view: View, wrong: dict[str, tuple[str | None, str]], *, fitted: bool = False) -> str:
    """What is wrong with each modality, and the layers that hold counts, which can be given before a fit."""
    lines = [f"{_where(name, layer)} {WRONG[found]}." for name, (layer, found) in wrong.items()]
    counted = [name for name, (_, found) in wrong.items() if found != "not finite"]
    held = {}
    for name in counted:
        adata = view.modalities[name]
        whole_ones = [key for key in _named(adata) if whole(Matrix(adata.layers[key]).sample())]
        held[name] = "counts" if "counts" in whole_ones or not whole_ones else whole_ones[0]
        if whole_ones:
            lines.append(f"{name!r} has whole numbers in layers {whole_ones}.")
        elif adata.raw is not None and whole(Matrix(adata.raw.X).sample()):
            raw = "adata.raw[:, adata.var_names].X"
            lines.append(f"{name!r} has whole numbers in .raw: adata.layers['counts'] = {raw}.")
    if counted and not fitted:
        lines.append(f"If they are in a layer, give layers={held}.")
    return " ".join(lines)


def note(view: View, modalities: Mapping[str, ModalitySchema], keys: Sequence[str]) -> None:
    """Say what the data have that is not fitted, where they contradict themselves, and where they are too small."""
    kinds = {spec.operator for spec in modalities.values()}
    for name, adata in view.modalities.items():
        for key in proteins_in_obsm(adata) if "protein" not in kinds else ():
            logger.warning(
                "%r has counts of proteins in obsm[%r], which are not fitted. To fit them too: "
                "mdata = scvcell.pp.split_modalities(adata).",
                name,
                key,
            )
        if "kinetics" not in kinds and {"spliced", "unspliced"} <= set(adata.layers):
            logger.warning(
                "%r has the layers 'spliced' and 'unspliced', which are not fitted. For velocity fit "
                "mudata.MuData({'kinetics': scvcell.pp.modality_from_layers(adata)}).",
                name,
            )
        if adata.n_vars < FEW_FEATURES and MEASUREMENTS[modalities[name].operator].encoded:
            logger.warning("%r has %d feature: it can tell hardly anything of the state.", name, adata.n_vars)
    if view.n_obs < FEW_CELLS:
        logger.warning("The data have %d cells: too few to learn anything that can be relied on.", view.n_obs)
    # where the container lacks a column, and its modalities differ, `View.column` says so
    for key in (key for key in keys if key in view.source.obs):
        differ = view.disagreeing(key)
        if differ.any():
            logger.warning(
                "obs[%r] of %d cells, e.g. %r, is not what their modalities hold; that of the container is taken.",
                key,
                differ.sum(),
                view.obs_names[differ][0],
            )


def note_panels(view: View, batches: Sequence[str]) -> None:
    """Refuse a frame of panels that names no batch, and say which batches it leaves out."""
    for name, adata in view.modalities.items():
        view.panel(name, list(batches))
        frame = adata.varm.get(_keys.OBSERVED_MASK)
        without = [] if frame is None else sorted(set(batches) - set(frame.columns.astype(str)))
        if without:
            logger.warning(
                "%r: varm['observed'] has no column for batch %s, where all features count as measured; its columns "
                "are %s.",
                *(name, ", ".join(map(repr, without)), list(frame.columns)),
            )
