"""Reading what the plots draw: obs columns of any container, and predictions beside their truth."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData

from scvcell import _keys
from scvcell._containers import Matrix, count_layers, fault, view
from scvcell._labels import label, unlike
from scvcell._registry import near_miss
from scvcell.pl._style import short
from scvcell.score import dense

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from anndata import AnnData

    from scvcell._types import Mask

logger = logging.getLogger("scvcell")


class Column(NamedTuple):
    """What a plot colours or groups cells by: a value per cell (NaN where there is none), and where it was found."""

    values: pd.Series
    holder: AnnData | MuData
    """Container whose obs or var has it."""
    key: str
    """Its name there."""
    scale: str
    """``"obs"``, or the scale of a feature's values, ``"log(1 + counts)"`` or ``"value"``."""


def column(data: AnnData | MuData, name: str) -> Column:
    """Obs column or feature of a container, or of one of its modalities, plain or as ``"modality:name"``.

    An obs column of the container goes before one of a modality, and that before a feature. ``"modalities"`` stands for
    the assays that each cell of a MuData has.

    Raises
    ------
    ValueError
        If there is nothing of that name, or features of several modalities have it.
    """
    found = _obs(data, name)
    if found is not None:
        return found
    parts = dict(data.mod) if isinstance(data, MuData) else {"": data}
    modality, _, rest = name.partition(":")
    if rest and modality in parts:
        if rest in parts[modality].obs:
            return Column(parts[modality].obs[rest].reindex(data.obs_names), parts[modality], rest, "obs")
        if rest in parts[modality].var_names:
            return _feature(data, parts[modality], rest)
    having = [m for m, adata in parts.items() if name in adata.var_names]
    if len(having) == 1:
        return _feature(data, parts[having[0]], name)
    if having:
        raise ValueError(f"{name!r} is a feature of {having}: say which, e.g. {f'{having[0]}:{name}'!r}.")
    columns = _columns(data)
    hint = near_miss(name, [*columns, *(f for adata in parts.values() for f in map(str, adata.var_names))])
    raise ValueError(f"No obs column or feature {name!r}.{hint} Columns: {', '.join(columns) or 'none'}.")


def obs_column(data: AnnData | MuData, key: str) -> pd.Series:
    """As `column`, obs only.

    Raises
    ------
    ValueError
        If there is no such column; the message lists those that exist.
    """
    found = _obs(data, key)
    if found is None and isinstance(data, MuData):
        modality, _, rest = key.partition(":")
        if modality in data.mod and rest in data.mod[modality].obs:
            return data.mod[modality].obs[rest].reindex(data.obs_names)
    if found is None:
        columns = _columns(data)
        hint = near_miss(key, columns)
        raise ValueError(f"No obs column {key!r}.{hint} Columns: {', '.join(columns) or 'none'}.")
    return found.values


def _obs(data: AnnData | MuData, key: str) -> Column | None:
    """Obs column of the container, or else of its modalities, of which each fills what the earlier ones lack."""
    if key in data.obs:
        return Column(pd.Series(data.obs[key]), data, key, "obs")
    if not isinstance(data, MuData):
        return None
    if key == "modalities":
        return Column(assays(data), data, key, "obs")
    having = [adata for adata in data.mod.values() if key in adata.obs]
    if not having:
        return None
    values = having[0].obs[key].reindex(data.obs_names)
    for adata in having[1:]:
        more = adata.obs[key].reindex(data.obs_names)
        differ = data.obs_names[unlike(values, more)]
        if len(differ):
            logger.warning(
                "obs[%r]: modalities say different things of %d cells, e.g. of %r %r, which is drawn, and %r. Name "
                "one: '%s:%s'.",
                *(key, len(differ), differ[0], values[differ[0]], more[differ[0]], next(iter(data.mod)), key),
            )
        if values.isna().any() and more[values.isna()].notna().any():
            kind = values.dtype
            values = values.astype(object).where(values.notna(), more.astype(object))
            if isinstance(kind, pd.CategoricalDtype):
                new = [v for v in pd.unique(values.dropna()) if v not in kind.categories]
                values = pd.Series(pd.Categorical(values, [*kind.categories, *new]), index=values.index)
            values = values.infer_objects()
    return Column(values, having[0], key, "obs")


def _columns(data: AnnData | MuData) -> list[str]:
    """Names that `column` takes for obs."""
    known = [str(c) for c in data.obs]
    if isinstance(data, MuData):
        known += ["modalities", *(f"{name}:{c}" for name, adata in data.mod.items() for c in adata.obs)]
    return known


def _feature(data: AnnData | MuData, adata: AnnData, name: str) -> Column:
    """Values of one feature; counts as their log1p, so that few cells with many do not hide the others."""
    x = dense(adata[:, adata.var_names == name].X)
    values = x[:, 0]
    known = values[np.isfinite(values)]
    counts = bool(len(known)) and known.min() >= 0 and known.max() > 1 and bool((known == np.round(known)).all())
    series = pd.Series(np.log1p(values) if counts else values, index=adata.obs_names)
    return Column(series.reindex(data.obs_names), adata, name, "log(1 + counts)" if counts else "value")


def assays(mdata: MuData) -> pd.Series:
    """Which assays each cell has, e.g. ``"rna"``, ``"adt"`` or ``"rna + adt"``."""
    seen = view(mdata)
    present = {name: seen.present(name) for name in seen.modalities}
    text = [" + ".join(name for name, has in present.items() if has[i]) for i in range(seen.n_obs)]
    order = sorted(
        dict.fromkeys(text), key=lambda t: (t.count(" + "), [list(present).index(m) for m in t.split(" + ")])
    )
    return pd.Series(pd.Categorical(text, categories=order), index=seen.obs_names, name="modalities")


def shared(pred: AnnData, truth: AnnData) -> tuple[AnnData, AnnData]:
    """Return views of prediction and truth on the cells and features that both have, in the order of the prediction.

    Raises
    ------
    ValueError
        If they share no cell or no feature, or the truth holds normalised values in X and counts in a layer.
    """
    counted = truth.X is not None and fault(Matrix(truth.X).sample(), counts=True) != "not whole"
    if not counted and (whole := count_layers(truth)):
        raise ValueError(
            f"`truth` has no counts in X to be compared with predicted counts; its layer {whole[0]!r} has. Give "
            f"`truth` with them: truth = truth.copy(); truth.X = truth.layers[{whole[0]!r}]."
        )
    for what, left, right in (
        ("cells", pred.obs_names, truth.obs_names),
        ("features", pred.var_names, truth.var_names),
    ):
        if not left.isin(right).any():
            raise ValueError(
                f"`pred` and `truth` have no {what} in common: {left[0]!r}, ... against {right[0]!r}, ... "
                f"Give the measured modality, e.g. `truth=mdata['adt']`."
            )
    cells = pred.obs_names[pred.obs_names.isin(truth.obs_names)]
    features = pred.var_names[pred.var_names.isin(truth.var_names)]
    return pred[cells, features], truth[cells, features]


FEWEST = 10
"""Held-out cells below which they are too few to be scored alone."""


def scored(pred: AnnData, known: Mask, prefer: Mapping[tuple[str, ...], str]) -> tuple[Mask, str]:
    """Cells that a prediction is judged by, of those that are `known`, and the words that name them in a title.

    Parameters
    ----------
    pred
        Prediction of `scvcell.tl.translate`, whose obs says what training saw.
    known
        Cells that have both a prediction and a measurement.
    prefer
        Parts of the split and their words; the first with enough cells is taken, and all cells where none has.
    """
    if _keys.SPLIT not in pred.obs:
        return known, f"{known.sum():,} cells"
    split = pred.obs[_keys.SPLIT].astype(str)
    for parts, words in prefer.items():
        rows = known & split.isin(parts).to_numpy()
        if rows.sum() >= FEWEST:
            return rows, f"{rows.sum():,} {words}"
    trained = int((split[known] == "train").sum())
    return known, f"{known.sum():,} cells" + (f", {trained:,} of them trained on" if trained else "")


def need_layers(pred: AnnData, *names: str) -> None:
    """Check that a prediction is one of `scvcell.tl.translate`.

    Raises
    ------
    ValueError
        If a layer is missing.
    """
    missing = [name for name in names if name not in pred.layers]
    if missing:
        raise ValueError(
            f"`pred` has no layer {missing[0]!r}: run `scvcell.tl.translate(data, model, to=...)` first, "
            "and give its result."
        )


def need(frame: pd.DataFrame, columns: Sequence[str], verb: str) -> None:
    """Check that a frame is the result of `verb`.

    Raises
    ------
    ValueError
        If a column is missing, or there are no rows.
    """
    if not set(columns) <= set(frame.columns) or frame.empty:
        raise ValueError(f"`frame` needs columns {', '.join(columns)}: run `scvcell.tl.{verb}(...)` first.")


def part(
    frame: pd.DataFrame, group: Any, modality: str | None, action: str | None = None
) -> tuple[pd.DataFrame, str, str]:
    """Rows of one action, group and modality of a frame of effects, and two lines of title that name them.

    The first of each is taken where none is asked for; the second line says of how many. `action` is what the title
    calls the action; rows are not chosen by it.

    Raises
    ------
    ValueError
        If the frame has no such group or modality; the message lists those that exist.
    """
    words = []
    for column, asked in (("action", None), ("group", group), ("modality", modality)):
        if column not in frame or (column == "action" and action is not None):
            continue
        known = list(dict.fromkeys(frame[column]))
        value = label(known[0] if asked is None else asked)
        names = [label(name) for name in known]
        if value not in names:
            raise ValueError(f"`frame` has no {column} {value!r}; it has {names}.")
        frame = frame[frame[column] == known[names.index(value)]]
        plural = {"action": "actions", "group": "groups", "modality": "modalities"}[column]
        named = f"{short(value)} " if column == "modality" else ""
        if len(known) > 1:
            words.append(f"{named}(1 of {len(known)} {plural})" if named else f"1 of {len(known)} {plural}")
    name = action if action is not None else frame["action"].iloc[0] if "action" in frame else None
    here = label(frame["group"].iloc[0])
    cells = "all cells" if here == "all" else short(here, 28)
    title = cells if name is None else f"{short(name, 28)} in {cells}"
    return frame, title, ", ".join(words)
