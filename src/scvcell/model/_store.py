"""Save and load a model: JSON and tensors; nothing is unpickled, a failed save changes nothing."""

from __future__ import annotations

import json
import pickle
import shutil
import uuid
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from scvcell._compat import scvi_version
from scvcell.measure import Summary
from scvcell.model._drift import Drift
from scvcell.model._front_end import FrontEnd
from scvcell.model._response_store import response_arrays, response_from
from scvcell.objective import Weights
from scvcell.prior import Edges

if TYPE_CHECKING:
    from collections.abc import Callable

    from scvcell._containers import Container
    from scvcell.model._csl import CSL

FORMAT = 1
"""Version of the layout on disk; raised when an older package could not read it."""
META, TENSORS, CALIBRATION, GRAPH = "model.json", "model.pt", "calibration.npz", "guidance.npz"
DRIFT = "drift.npz"
RESPONSE = "response"
"""Name of the files of a perturbation operator."""


def save(model: CSL, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write `model` to a folder. It is written beside the target first, so that an older model survives a full disk.

    Raises
    ------
    FileExistsError
        If `path` exists and `overwrite` is False, or it is something else than a model.
    RuntimeError
        If the model is not trained.
    OSError
        If the folder cannot be written; what was there before is untouched.
    """
    from scvcell import __version__

    if model.module is None:
        raise RuntimeError("Only a trained model can be saved. Run `model.train()` first.")
    target = Path(path)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists already. Give another path, or overwrite=True.")
    if target.exists() and not (target / META).is_file() and not (target.is_dir() and not any(target.iterdir())):
        raise FileExistsError(f"{target} is no scvcell model, so it is not overwritten. Give another path.")
    target.parent.mkdir(parents=True, exist_ok=True)
    meta = {
        "format": FORMAT,
        "scvcell": __version__,
        "scvi-tools": scvi_version,
        "class": type(model).__name__,
        "registry": model.registry_,
        "n_latent": model.n_latent,
        "n_components": model.n_components,
        "n_networks": model.n_networks,
        "weights": asdict(model.weights),
        "split": model.split_,
        "alignment": model.alignment,
        "matched": model.matched,
        "gain": model.gain,
        "history": {name: frame.iloc[:, 0].tolist() for name, frame in model.history_.items()},
    }
    scratch = target.with_name(f".{target.name}-{uuid.uuid4().hex}")
    try:
        scratch.mkdir()
        (scratch / META).write_text(json.dumps(meta, indent=1, default=_plain))
        torch.save({k: v.cpu() for k, v in model.module.state_dict().items()}, scratch / TENSORS)
        arrays: dict[str, Any] = {f"{key}/{name}": a for key, c in model.calibration_.items() for name, a in c.items()}
        np.savez_compressed(scratch / CALIBRATION, **arrays)
        if model.edges is not None:
            np.savez_compressed(scratch / GRAPH, **model.edges._asdict())
        if model.response is not None:
            plain, numbers = response_arrays(model.response)
            (scratch / f"{RESPONSE}.json").write_text(json.dumps(plain, indent=1, default=_plain))
            np.savez_compressed(scratch / f"{RESPONSE}.npz", **numbers)
        if model.drift is not None:
            np.savez_compressed(scratch / DRIFT, **model.drift.as_arrays())
        _swap(scratch, target)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return target


def _swap(new: Path, target: Path) -> None:
    """Put `new` in the place of `target`; if that fails, the old one comes back."""
    if not target.exists():
        new.rename(target)
        return
    old = target.with_name(f".{target.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    target.rename(old)
    try:
        new.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(
        f"A model's options must be plain values to be saved; found {type(value).__name__}. "
        "Give lists, numbers or strings in measure=."
    )


def load(cls: type[CSL], path: str | Path, data: Container | None = None, *, device: str = "cpu") -> CSL:
    """Read a model that `save` wrote.

    Raises
    ------
    FileNotFoundError
        If the folder or one of its files is missing.
    ValueError
        If it is no model of this class, was written by a newer layout, or does not fit the files beside it.
    """
    folder = Path(path)
    for name in (META, TENSORS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"No scvcell model at {folder}: {name} is missing. Save one with `model.save(path)`."
            )
    meta, state, calibration = (
        _read(folder / name, reader)
        for name, reader in ((META, _read_json), (TENSORS, _read_tensors), (CALIBRATION, _calibration))
    )
    if meta.get("format", 0) > FORMAT:
        raise ValueError(
            f"{folder} was saved by scvcell {meta.get('scvcell')} in a newer layout (format {meta['format']}, this "
            f"version reads up to {FORMAT}). Update scvcell to load it."
        )
    if meta.get("class") != cls.__name__:
        raise ValueError(f"{folder} holds a {meta.get('class')!r} model, not {cls.__name__}.")
    model = cls(
        registry=meta["registry"],
        n_latent=meta["n_latent"],
        n_components=meta["n_components"],
        weights=Weights(**meta["weights"]),
    )
    model.n_networks = meta["n_networks"]
    model.edges = _read(folder / GRAPH, _read_edges)
    model.module = model._build(_empty_summaries(model))
    for name, module in model.module.named_modules():
        if isinstance(module, FrontEnd):
            module.complete(state, f"{name}.")
    try:
        model.module.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            f"The parameters in {folder} do not fit its description (saved by scvcell {meta.get('scvcell')}). "
            "The folder is damaged, or an operator changed since; fit again or use the version that saved it."
        ) from error
    model.split_ = meta["split"]
    model.alignment, model.matched = meta.get("alignment", ""), meta.get("matched", 0)
    model.gain = meta.get("gain", {})
    model.history_ = {
        k: pd.DataFrame({k: v}, index=pd.RangeIndex(len(v), name="epoch")) for k, v in meta["history"].items()
    }
    model.calibration_ = calibration
    if (folder / f"{RESPONSE}.json").is_file():
        plain = _read(folder / f"{RESPONSE}.json", _read_json)
        model.response = response_from(plain, _read(folder / f"{RESPONSE}.npz", _read_arrays), model.n_latent)
    if (folder / DRIFT).is_file():
        model.drift = Drift.from_arrays(_read(folder / DRIFT, _read_arrays))
    model.is_trained_ = True
    model.module.to(device).eval()
    if data is not None:
        model.adopt(data)
    return model


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    """Content of a file of a model; whatever is wrong with it is one kind of error."""
    try:
        return reader(path)
    except (ValueError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged, or holds more than numbers; nothing of it was loaded.") from error


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def _read_tensors(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _read_edges(path: Path) -> Edges | None:
    """Guidance graph of a model, None where it has none."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return Edges(**{name: arrays[name] for name in Edges._fields})


def _read_arrays(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _empty_summaries(model: CSL) -> dict[str, Summary]:
    """Summaries of the right shape; their values are overwritten by the saved parameters."""
    b, c = len(model.schema.batches), model.schema.n_context
    out = {}
    for name, spec in model.schema.modalities.items():
        n = len(spec.features)
        zero, one, per_batch = (np.full(shape, v, np.float32) for shape, v in (((b, n), 0), ((b, n), 1), (b, 1)))
        rest = None if spec.size_factor is None else 1.0
        out[name] = Summary(n, c, b, zero, one, per_batch, one[0], np.ones(b, np.int64), rest=rest)
    return out


def _calibration(path: Path) -> dict[str, dict[str, Any]]:
    """Calibration arrays by key, empty where none were saved."""
    out: dict[str, dict[str, Any]] = {}
    if path.is_file():
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                name, _, field = key.rpartition("/")
                out.setdefault(name, {})[field] = arrays[key]
    return out
