"""What a report is asked for, checked before any work: who, about which cells, along which axes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell._checks import check_level, seed_of, whole_number
from scvcell._containers import view
from scvcell._registry import near_miss
from scvcell.model import CSL
from scvcell.perturb import PerturbationKeys
from scvcell.risk._adapters import ModelPredictor, keys_read, seen_by
from scvcell.risk._anchor import REPLICATE
from scvcell.risk._refit import options_of
from scvcell.risk._split import Split
from scvcell.risk.axes import AXES, Axis, Context, ContextTranslation, Modality, Perturbation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from scvcell._containers import Container
    from scvcell.risk._predictor import Predictor


@dataclass(frozen=True)
class RiskConfig:
    """How a report is made.

    Parameters
    ----------
    n_boot
        Draws of the bootstrap over units, at least 2.
    level
        Level of all intervals, in (0, 1).
    cache
        Folder of records: a run that was stopped goes on where it was.
    executor
        Who works on tasks, any `concurrent.futures.Executor`; this process by default.
    seed
        Seed of fits, halves and draws.
    refit
        Whether a fitted model is fitted anew on each fold, with the settings that it carries (not those of its
        training). Without it, it is judged as it is, on cells that it has not seen.
    n_partitions
        Ways in which treated cells are cut into two halves, of axes that are chosen automatically.

    Raises
    ------
    TypeError, ValueError
        If a value is not of its kind or range.
    """

    n_boot: int = 200
    level: float = 0.9
    cache: str | Path | None = None
    executor: Executor | None = None
    seed: int = 0
    refit: bool = False
    n_partitions: int = 5

    def __post_init__(self) -> None:
        whole_number("n_boot", self.n_boot, 2)
        check_level(self.level)
        seed_of(self.seed)
        whole_number("n_partitions", self.n_partitions, 0)
        if self.executor is not None and not callable(getattr(self.executor, "submit", None)):
            raise TypeError(
                f"executor takes a concurrent.futures.Executor, such as ProcessPoolExecutor(2) or that of a Dask "
                f"cluster, client.get_executor(), not {self.executor!r}."
            )


def predictors_of(given: Any) -> dict[str, Predictor]:
    """Name -> predictor, of a model, a predictor, several of them, or a mapping from names to them.

    Raises
    ------
    TypeError
        If one of them cannot answer questions.
    ValueError
        If there is none, or two have the same name, or one has that of the replicate.
    """
    if hasattr(given, "items"):
        pairs = [(str(name), each) for name, each in given.items()]
    else:
        every = list(given) if isinstance(given, list | tuple) else [given]
        pairs = [(str(getattr(each, "name", "scvcell")), each) for each in every]
    found: dict[str, Predictor] = {}
    for name, each in pairs:
        one = ModelPredictor(each, name=name) if isinstance(each, CSL) else each
        if isinstance(one, type) or not (
            callable(getattr(one, "fit", None)) and callable(getattr(one, "predict", None))
        ):
            raise TypeError(
                f"{each!r} is no predictor. Give a fitted model, or an object with a name and the methods fit(data, "
                "split, seed) and predict(question), see scvcell.risk.Predictor."
            )
        if name == REPLICATE:
            raise ValueError(f"{REPLICATE!r} is the name of the anchor of scores; give your predictor another one.")
        if name in found:
            raise ValueError(
                f"Two predictors are called {name!r}. A mapping gives them names: {{'mine': ..., 'other': ...}}."
            )
        found[name] = one
    if not found:
        raise ValueError("There is no predictor. Give a fitted model, a predictor, or several of them.")
    return found


def models_of(predictors: Mapping[str, Predictor]) -> dict[str, CSL]:
    """Fitted models among predictors, by name."""
    return {name: p.model for name, p in predictors.items() if isinstance(p, ModelPredictor) and p.model is not None}


def splits_of(given: Any, predictors: Mapping[str, Predictor], data: Container, refit: bool) -> list[Split]:
    """Folds: those that are given, or the one that a fitted model carries.

    Raises
    ------
    TypeError
        If one is no `Split`.
    ValueError
        If there is none and no model has cells that it has not seen; if the data lack cells of one; or if a fitted
        model has seen test cells and is not to be fitted anew.
    """
    models = models_of(predictors)
    if given is None:
        if not models:
            raise ValueError("Give split=, e.g. of scvcell.risk.hold_out; only a fitted model carries one of its own.")
        given = own_split(*next(iter(models.items())), data)
    splits = [given] if isinstance(given, Split) else list(given) if hasattr(given, "__iter__") else given
    if not isinstance(splits, list) or not splits or not all(isinstance(each, Split) for each in splits):
        raise TypeError(f"split takes a Split or several of them, e.g. of scvcell.risk.hold_out, not {given!r}.")
    for split in splits:
        split.check(data)
        for name, model in models.items():
            shown = split.test.intersection(seen_by(model))
            if len(shown) and not refit:
                raise ValueError(
                    f"{name!r} was fitted on {len(shown)} of the {len(split.test)} test cells of this split "
                    f"({split.reason}), e.g. {shown[0]!r}. Leave out split= to judge it on its own, fit it with split=,"
                    " or let it be fitted anew with config=RiskConfig(refit=True)."
                )
    return splits


def refitted(name: str, predictor: Predictor) -> Predictor:
    """A predictor that is fitted on each fold: one that holds a fitted model takes its settings.

    Raises
    ------
    ValueError
        If the model does not carry all of them.
    """
    model = getattr(predictor, "model", None)
    return ModelPredictor(options=options_of(name, model), name=name) if isinstance(model, CSL) else predictor


def own_split(name: str, model: CSL, data: Container) -> Split:
    """The split that a fitted model carries: it has not seen the test cells.

    Raises
    ------
    ValueError
        If it has seen all cells of the data.
    """
    names = pd.Index(view(data).obs_names)
    learned = names.isin(model.split_.get("train", []))
    parts = names[learned], names[names.isin(seen_by(model)) & ~learned]
    test = names.difference(parts[0].append(parts[1]), sort=False)
    if not len(test) or not len(parts[0]):
        raise ValueError(
            f"{name!r} was fitted on {'all' if len(parts[0]) else 'none'} of these cells, so it carries no split. Fit "
            "it with scvcell.tl.fit(..., split=split), or give split= and config=RiskConfig(refit=True)."
        )
    return Split(parts[0], parts[1], test, f"cells that {name} has not seen", {"splitter": "own", "model": name})


def keys_of(
    predictors: Mapping[str, Predictor], axes: Iterable[Axis] = (), splits: Iterable[Split] = ()
) -> PerturbationKeys | None:
    """Columns that say what was done, by the axes, the first predictor that reads them, or what splits were made by."""
    found = [keys_read(each) for each in (*axes, *predictors.values())]
    made = [split.how.get("perturbation") for split in splits]
    found += [PerturbationKeys(**each) for each in made if isinstance(each, Mapping)]
    return next((keys for keys in found if keys is not None), None)


def axes_of(
    given: Any, predictors: Mapping[str, Predictor], splits: Sequence[Split], data: Container, config: RiskConfig
) -> dict[str, Axis]:
    """Name -> axis, of those that are given, or that splits and models suggest.

    Raises
    ------
    TypeError
        If one is neither an axis nor the name of one.
    KeyError
        If there is none of that name.
    ValueError
        If none is given or suggested, two have the same name, or one needs more than its name.
    """
    keys = keys_of(predictors, splits=splits)
    if isinstance(given, str) and given == AUTO:
        return _suggested(keys, splits, data, config)
    if hasattr(given, "items"):
        pairs = [(str(name), _axis(each, keys, config)) for name, each in given.items()]
    else:
        every = [given] if isinstance(given, str | Axis) or not isinstance(given, Iterable) else list(given)
        pairs = [(axis.name, axis) for axis in (_axis(each, keys, config) for each in every)]
    if not pairs:
        raise ValueError(f"axes is empty. Give {AUTO!r}, or some of {', '.join(AXES)}.")
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(
            f"Two axes have the same name: {names}. A mapping gives them names: {{'donor': ..., 'type': ...}}."
        )
    return dict(pairs)


def _axis(given: Any, keys: PerturbationKeys | None, config: RiskConfig) -> Axis:
    """An axis by name, or as it is."""
    if isinstance(given, Axis):
        return given
    if not isinstance(given, str):
        raise TypeError(
            f"An axis is a name, one of {', '.join(AXES)}, or e.g. scvcell.risk.axes.Modality(), not {given!r}."
        )
    kind = AXES[given]
    if "keys" not in (known := getattr(kind, "__dataclass_fields__", {})):
        needed = [name for name, each in known.items() if each.default is MISSING and each.default_factory is MISSING]
        if needed:
            raise ValueError(f"The axis {given!r} needs {', '.join(needed)}: scvcell.risk.axes.{kind.__name__}(...).")
        return kind()
    if keys is None:
        raise ValueError(
            f"The axis {given!r} needs to know what was done to cells, and neither model nor split says it. Give it: "
            f"axes=[scvcell.risk.axes.{kind.__name__}(PerturbationKeys('drug', control='DMSO'))]."
        )
    return kind(keys, n_partitions=config.n_partitions, level=config.level, seed=config.seed)  # type: ignore[call-arg]


def _suggested(
    keys: PerturbationKeys | None, splits: Sequence[Split], data: Container, config: RiskConfig
) -> dict[str, Axis]:
    """Axes by what splits hide and models have learned."""
    found: list[Axis] = []
    for how in (split.how for split in splits):
        if how.get("splitter") == "hide_pairing":
            found.append(Modality(str(how["a"]), str(how["b"]), level=config.level, seed=config.seed))
    if keys is not None:
        found += [
            kind(keys, n_partitions=config.n_partitions, level=config.level, seed=config.seed) for kind in EFFECTS
        ]
    by, tables = splits[0].how.get("by"), list(view(data).modalities)
    if not found and by in view(data).columns and len(tables) > 1:
        found.append(ContextTranslation(str(by), tables[0], tables[1], level=config.level, seed=config.seed))
    if not found:
        raise ValueError(
            "No axis suggests itself: no split hides a pairing, and no model reads actions. Give axes=, e.g. "
            "[scvcell.risk.axes.Perturbation(keys)] or [scvcell.risk.axes.Modality('rna', 'adt')]."
        )
    return {axis.name: axis for axis in found}


EFFECTS = (Perturbation, Context)
"""Axes of actions; each asks about the conditions that are its own."""
AUTO = "auto"
"""What stands for axes that suggest themselves."""


def chosen(baselines: Any, axis: Axis) -> list[Predictor]:
    """Simple predictors of an axis that are asked for, and its anchor."""
    every = axis.baselines()
    if isinstance(baselines, str) and baselines == "all":
        return every
    names = [baselines] if isinstance(baselines, str) else list(baselines)
    return [each for each in every if each.name in names or each.name == axis.baseline]


def check_baselines(baselines: Any, axes: Iterable[Axis]) -> None:
    """Refuse names of simple predictors that no axis has.

    Raises
    ------
    TypeError
        If they are no names.
    ValueError
        Naming the one, and those that there are.
    """
    if isinstance(baselines, str) and baselines == "all":
        return
    if not isinstance(baselines, Iterable):
        raise TypeError(f"baselines takes 'all' or names, not {baselines!r}.")
    known = sorted({each.name for axis in axes for each in axis.baselines()})
    for name in [baselines] if isinstance(baselines, str) else list(baselines):
        if name not in known:
            raise ValueError(
                f"No baseline of these axes is called {name!r}.{near_miss(str(name), known)} There are "
                f"{', '.join(known)}; 'all' takes them all."
            )


def digest_of(data: Container) -> str:
    """What tells data apart: names of cells and features, and sums of what was measured."""
    seen, found = view(data), hashlib.sha256()
    for name, adata in seen.modalities.items():
        found.update(name.encode())
        for names in (adata.obs_names, adata.var_names):
            found.update("\n".join(map(str, names)).encode())
        found.update(np.asarray(adata.X.sum(1), float).tobytes())
    return found.hexdigest()[:16]


def identity(predictor: Predictor) -> str:
    """What tells predictors apart, beside their name: their settings, and the parameters of a model."""
    model = getattr(predictor, "model", None)
    if isinstance(model, CSL):
        found = hashlib.sha256()
        for name, value in sorted(model.network.state_dict().items()):
            found.update(name.encode() + value.detach().cpu().numpy().tobytes())
        return f"{type(predictor).__qualname__} {found.hexdigest()[:16]}"
    return settings_of(predictor) if is_dataclass(predictor) else type(predictor).__qualname__


def settings_of(predictor: Predictor) -> str:
    """A predictor in words, without the addresses that differ from process to process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(predictor))
