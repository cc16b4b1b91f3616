"""Save and load a model: JSON and tensors; nothing is unpickled, a failed save changes nothing."""

from __future__ import annotations

import io
import json
import logging
import zipfile
from array import array
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from scvcell import _folder
from scvcell._compat import scvi_version
from scvcell._random import seeded
from scvcell._ranks import first_alone
from scvcell.errors import Damaged, NotTrained
from scvcell.measure import MEASUREMENTS
from scvcell.model._build import build, empty_summaries
from scvcell.model._card import CARD, card, check_license
from scvcell.model._hub import located
from scvcell.model._parts import PARTS
from scvcell.objective import Weights
from scvcell.prior import Edges
from scvcell.state import FrontEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from scvcell._containers import Container
    from scvcell.model._fitted import Fitted
    from scvcell.model._parts import Part

logger = logging.getLogger("scvcell")

FORMAT = 2
"""Version of the layout on disk; raised when an older package could not read it. Every older one is read."""
TENSORS, GRAPH, SPLIT = "model.pt", "guidance.npz", "split.npz"
MAX_ARRAY_BYTES = 2**31
"""Bytes of arrays, unpacked, beyond which a file that packs them a hundredfold is refused."""
MAX_PACKING = 100


def save(model: Fitted, path: str | Path, *, overwrite: bool = False, license: str | None = None) -> Path:
    """Write `model` to a folder. Files of others in the folder stay, and so does the old model if anything fails.

    ``model.json`` says what the model is and lists the other files with their checksums. ``README.md`` is a model card
    in the form of the Hugging Face hub; one that was edited stays as it is. Of several processes the first one writes,
    and the others wait for it.

    Parameters
    ----------
    model
        Trained model.
    path
        Folder.
    overwrite
        Whether a model that is there is replaced.
    license
        Identifier of the licence for the card, such as ``"cc-by-4.0"``.

    Raises
    ------
    FileExistsError
        If `path` exists and `overwrite` is False, or it is something else than a model.
    NotTrained
        If the model is not trained.
    ValueError
        If `license` is no identifier.
    OSError
        If the folder cannot be written; what was there before is untouched.
    """
    if model.module is None or not model.is_trained_:
        raise NotTrained("Only a trained model can be saved. Run `model.train()` first.")
    check_license(license)
    with first_alone("Saving a model") as here:  # each of several processes has the same model
        if here:
            _write(model, _folder.claim(path, overwrite=overwrite), license)
    return Path(path)


def _write(model: Fitted, target: Path, license: str | None) -> None:
    """Write a trained model to a folder that may be written to."""
    assert model.module is not None
    meta = {
        "format": FORMAT,
        "scvcell": version("scvcell"),
        "scvi-tools": scvi_version,
        "class": type(model).__name__,
        "registry": model.registry_,
        "n_latent": model.n_latent,
        "n_components": model.n_components,
        "n_networks": model.n_networks,
        "weights": asdict(model.weights),
        "split_digest": model.split_digest,
        "alignment": model.alignment,
        "matched": model.matched,
        "gain": model.gain,
        "interrupted": model.interrupted,
        "absent": model.absent,
        "history": {name: frame.iloc[:, 0].tolist() for name, frame in model.history_.items()},
    }
    state = {k: v.cpu() for k, v in model.module.state_dict().items()}
    writers: dict[str, Callable[[Any], None]] = {TENSORS: lambda file: torch.save(state, file)}
    writers[SPLIT] = lambda file: _writer(_packed(model.split_))(file)
    if model.edges is not None:
        writers[GRAPH] = _writer(model.edges._asdict())
    for name, part in model.parts.items():
        plain, arrays = part.dump()
        if plain:
            writers[f"{name}.json"] = _text(plain)
        writers[f"{name}.npz"] = _writer(arrays)
    about = card(model, license).encode()
    _folder.write(target, meta, writers, plain=_plain, prose={CARD: lambda file: file.write(about)})


def _writer(arrays: dict[str, Any]) -> Callable[[Any], None]:
    return lambda file: np.savez_compressed(file, **arrays)


def _packed(split: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Names as one text and their lengths, without more than that in memory; those of files are read in turn."""
    out: dict[str, Any] = {}
    for part, names in split.items():
        text, length = bytearray(), array("i")
        for name in names:
            raw = name.encode("utf-8", "surrogatepass")
            text += raw
            length.append(len(raw))
        out |= {f"{part}/text": np.frombuffer(text, np.uint8), f"{part}/length": np.frombuffer(length, np.intc)}
    return out


def _unpacked(arrays: Mapping[str, Any]) -> dict[str, list[str]]:
    """Inverse of `_packed`."""
    out = {}
    for part in [key.removesuffix("/text") for key in arrays if key.endswith("/text")]:
        text, end = arrays[f"{part}/text"].tobytes(), np.cumsum(arrays[f"{part}/length"]).tolist()
        starts = [0, *end[:-1]] if end else []
        out[part] = [text[i:j].decode("utf-8", "surrogatepass") for i, j in zip(starts, end, strict=True)]
    return out


def _text(plain: dict[str, Any]) -> Callable[[Any], None]:
    text = json.dumps(plain, indent=1, default=_plain).encode()
    return lambda file: file.write(text)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(
        f"A model's options must be plain values to be saved; found {type(value).__name__}. "
        "Give lists, numbers or strings in measure=."
    )


def load[T: Fitted](cls: type[T], path: str | Path, data: Container | None = None, *, device: str = "cpu") -> T:
    """Read a model that `save` wrote. All checksums are compared before anything is read, and nothing is unpickled.

    Parameters
    ----------
    cls
        Class of the model.
    path
        Folder, or a model of the Hugging Face hub: ``"owner/name"`` or ``"owner/name@revision"``, where no folder is
        called so. Of the hub, that the revision is a commit is what makes the model the same for good.
    data
        Data to go with it.
    device
        Device of its parameters.

    Raises
    ------
    FileNotFoundError
        If the folder, the repository or one of the files is missing.
    ConnectionError, PermissionError
        If the hub cannot be reached, or asks for a login.
    ValueError
        If it is no model of this class, or was written by a newer version.
    Damaged
        If a file is not what was saved, or does not go with those beside it.
    """
    folder = located(path)
    parts = [f"{name}.{kind}" for name in PARTS for kind in ("json", "npz")]
    meta, files = _folder.read(folder, (TENSORS, GRAPH, *parts))
    if TENSORS not in files:
        raise _folder.missing(folder, TENSORS)
    try:
        newer = meta.get("format", 0) > FORMAT
    except TypeError as error:
        raise Damaged(_folder.damaged(folder / _folder.MANIFEST)) from error
    if newer:
        raise ValueError(
            f"{folder} was saved by scvcell {meta.get('scvcell')} in a newer layout (format {meta['format']}, this "
            f"version reads up to {FORMAT}). Install that version or a later one: "
            f"pip install 'scvcell>={meta.get('scvcell')}'."
        )
    if meta.get("class") != cls.__name__:
        raise ValueError(f"{folder} holds a {meta.get('class')!r} model, not {cls.__name__}.")
    if not _folder.unchanged(meta):
        raise Damaged(_folder.damaged(folder / _folder.MANIFEST))
    with seeded(0):
        model = _restored(cls, meta, files, folder)
    model.network.to(device).eval()
    if data is not None:
        model.adopt(data)
    return model


def _restored[T: Fitted](cls: type[T], meta: dict[str, Any], files: dict[str, bytes], folder: Path) -> T:
    """A model from the content of its files."""

    def part(name: str, reader: Callable[[bytes], Any]) -> Any:
        with _whole(folder / name):
            return reader(files[name])

    state = part(TENSORS, _read_tensors)
    if SPLIT in files:
        meta["split"] = part(SPLIT, lambda raw: _unpacked(_read_arrays(raw)))
    edges = part(GRAPH, lambda raw: Edges(**_read_arrays(raw))) if GRAPH in files else None
    with _whole(folder / _folder.MANIFEST):
        operators = [spec["operator"] for spec in meta["registry"]["schema"]["modalities"].values()]
    for operator in operators:
        if operator not in MEASUREMENTS:
            raise ValueError(
                f"{folder} uses the operator {operator!r}, which is not registered here. Install or import the package "
                f"that has it. Registered: {', '.join(MEASUREMENTS)}."
            )
    with _whole(folder / _folder.MANIFEST):
        _check_sizes(meta, state)
        model = cls(
            registry=meta["registry"],
            n_latent=meta["n_latent"],
            n_components=meta["n_components"],
            weights=Weights(**meta["weights"]),
        )
        model.n_networks = meta["n_networks"]
        model.edges = edges
        model.module = build(model, empty_summaries(model))
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
    with _whole(folder / _folder.MANIFEST):
        model.split_, model.split_digest = meta["split"], meta.get("split_digest", "")
        model.alignment, model.matched = meta.get("alignment", ""), meta.get("matched", 0)
        model.interrupted = meta.get("interrupted", False)
        model.gain, model.absent = meta.get("gain", {}), meta.get("absent", {})
        model.history_ = {
            k: pd.DataFrame({k: v}, index=pd.RangeIndex(len(v), name="epoch")) for k, v in meta["history"].items()
        }
    for name in [name for name in PARTS if f"{name}.npz" in files]:
        plain = part(f"{name}.json", json.loads) if f"{name}.json" in files else {}
        model.parts[name] = part(f"{name}.npz", partial(_part, name, plain, model.n_latent))
    lost = {Path(name).stem for name in files if name not in (TENSORS, GRAPH, SPLIT)} - set(PARTS)
    for name in sorted(lost):
        logger.warning("%s has a part %r of a package that is not installed here; it is left out.", folder, name)
    model.is_trained_ = True
    return model


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Whatever is wrong with a file of a model is one kind of error."""
    try:
        yield
    except Exception as error:
        raise Damaged(_folder.damaged(path)) from error


def _check_sizes(meta: dict[str, Any], state: dict[str, torch.Tensor]) -> None:
    """Refuse sizes that the parameters do not have, before anything of that size is made."""
    longest = max((max(tensor.shape, default=0) for tensor in state.values()), default=0)
    if not 0 < meta["n_latent"] <= longest or not 0 < meta["n_networks"] <= len(state):
        raise IndexError("no parameters of these sizes")


def _read_tensors(raw: bytes) -> dict[str, torch.Tensor]:
    state = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise TypeError("not a dictionary of tensors")
    return state


def _read_arrays(raw: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(raw)) as packed:
        size = sum(item.file_size for item in packed.infolist())
    if size > MAX_ARRAY_BYTES and size > MAX_PACKING * len(raw):
        raise IndexError("unpacks to far more than it holds")
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        return dict(arrays)


def _part(name: str, plain: dict[str, Any], n_latent: int, raw: bytes) -> Part:
    return PARTS[name].restore(plain, _read_arrays(raw), n_latent)
