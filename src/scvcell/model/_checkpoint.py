"""How far a fit has come, on disk: tensors and JSON in one file, replaced as a whole; nothing is unpickled.

A folder keeps one fit: what the set-up found (`SET_UP`), and of each round of training the last step or end of an
epoch, later its result. A fit may go on only from the same data, settings and version.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch

from scvcell import _folder
from scvcell._ranks import rank
from scvcell.errors import Damaged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from scvcell._containers import View
    from scvcell._types import Rows
    from scvcell.model._config import TrainConfig
    from scvcell.model._fitted import Fitted

logger = logging.getLogger("scvcell")

SET_UP = "setup.pt"
STEP, EPOCH, DONE = "step", "epoch", "done"
"""Kinds of files of a round: in the middle of an epoch, at the end of one, and when the round was over."""
MAX_TIME_SHARE = 0.02
"""Share of the time that checkpoints at the ends of epochs take at most; those that fall due by the clock are rare."""
SAMPLED_ROWS = 256
"""Rows of each matrix whose values are part of the digest of the data."""
NAMES_AT_ONCE = 2**16
NO_MATTER = ("accelerator", "devices", "nodes", "checkpoint", "minutes", "progress", "n_latent", "n_components")
"""Settings that may differ when a fit goes on, or that the model itself has."""


class Progress(NamedTuple):
    """How far a round has come.

    Attributes
    ----------
    plain
        Plain values.
    tensors
        Tensors, and dictionaries and lists of them.
    """

    plain: dict[str, Any]
    tensors: dict[str, Any]


class Checkpoint:
    """Files of one round of a fit.

    Parameters
    ----------
    folder
        Where they are; made when something is written.
    about
        What the fit is of, see `describe`.
    minutes
        Minutes between two of them.
    number
        Of the round.
    """

    def __init__(self, folder: str | Path, about: dict[str, Any], minutes: float, number: int = 0) -> None:
        self.folder, self.about, self.minutes, self.number = Path(folder), about, minutes, number
        self.saved, self.cost, self.failed = time.monotonic(), 0.0, False

    def at(self, number: int) -> Checkpoint:
        """The files of another round."""
        return Checkpoint(self.folder, self.about, self.minutes, number)

    def path(self, kind: str) -> Path:
        """A file of the round."""
        return self.folder / f"round-{self.number}.{kind}.pt"

    # ------------------------------------------------------------------ what the set-up found

    def check(self) -> None:
        """Refuse a folder that nothing can be written to, or that keeps another fit.

        Raises
        ------
        ValueError
            If it is of other data, settings or another version; the message says what differs.
        OSError
            If nothing can be written.
        """
        _folder.writable(self.folder)
        kept = _read(self.folder / SET_UP)
        if kept is not None:
            different = differences(kept.plain["about"], json.loads(json.dumps(self.about)))
            if different:
                raise ValueError(
                    f"{self.folder} keeps another fit: {'; '.join(different[:3])}. Give checkpoint= another folder, or "
                    "delete this one."
                )

    def set_up(self) -> dict[str, torch.Tensor] | None:
        """Buffers of the network as they were set up; None where nothing is kept."""
        kept = _read(self.folder / SET_UP)
        return None if kept is None else kept.tensors["buffers"]

    def keep_set_up(self, network: torch.nn.Module) -> None:
        """Write the buffers of a network, which training does not change."""
        found = {name: buffer.cpu() for name, buffer in network.state_dict().items()}
        trained = {name for name, _ in network.named_parameters()}
        buffers = {name: value for name, value in found.items() if name not in trained}
        self._write(self.folder / SET_UP, Progress({"about": self.about}, {"buffers": buffers}))

    # ------------------------------------------------------------------ how far it has come

    def load(self, world: int = 1) -> Progress | None:
        """The last that was kept of the round, None where there is nothing.

        Another number of processes than `world` goes on from the end of the last epoch: which cells each process has
        seen in the middle of one is not kept.
        """
        found = [_read(self.path(kind)) for kind in (DONE, STEP, EPOCH)]
        done, step, epoch = found
        if done is not None:
            return done
        if step is not None and step.plain["world"] != world:
            logger.warning(
                "The checkpoint in %s is of %d processes, now there are %d: the fit goes on from the end of %s.",
                self.folder,
                step.plain["world"],
                world,
                "the last epoch" if epoch is not None else "its set-up",
            )
            step = None
        return step if step is not None else epoch

    def due(self) -> bool:
        """Whether the last one is so old that another falls due in the middle of an epoch."""
        return time.monotonic() - self.saved >= 60 * self.minutes

    def cheap(self) -> bool:
        """Whether one at the end of an epoch takes a small share of the time that went by."""
        return time.monotonic() - self.saved >= self.cost / MAX_TIME_SHARE

    def save(self, progress: Progress, kind: str) -> bool:
        """Write a file of the round and take away those that it makes old; whether that went well.

        Where it cannot be written the older one stays, training goes on, and the user is told once.
        """
        started = time.monotonic()
        done = self._write(self.path(kind), progress)
        if done and not rank():
            for old in {STEP: (), EPOCH: (STEP,), DONE: (STEP, EPOCH)}[kind]:
                self.path(old).unlink(missing_ok=True)
        self.saved = time.monotonic()
        self.cost = self.saved - started
        return done

    def _write(self, path: Path, progress: Progress) -> bool:
        if rank():
            return True
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                torch.save({"plain": json.dumps(progress.plain), **progress.tensors}, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError as error:
            if not self.failed:
                logger.warning("No checkpoint could be written to %s: %s. Training goes on.", path, error)
            self.failed = True
            return False
        finally:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
        self.failed = False
        return True


def _read(path: Path) -> Progress | None:
    """A file of a fit; None where there is none."""
    if not path.is_file():
        return None
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        return Progress(json.loads(tensors.pop("plain")), tensors)
    except Exception as error:
        raise Damaged(f"{path} is damaged. Delete it; the fit then goes on from what else the folder keeps.") from error


# ---------------------------------------------------------------------- what a fit is of


def describe(
    model: Fitted, data: View, batch: Rows, train: Rows, validation: Rows, config: TrainConfig, seed: int
) -> dict[str, Any]:
    """What a fit is of, as plain values and digests: a fit may go on only where none of them differs."""
    design, _ = model.schema.context(data)
    settings = {f.name: getattr(config, f.name) for f in fields(config) if f.name not in NO_MATTER}
    about: dict[str, Any] = {
        "version of scvcell": version("scvcell"),
        "names of the cells": _digest(*map(_digest, _names(data))),
        "context of the cells": _digest(batch, *design.codes, *design.continuous),
        "training cells": _digest(train),
        "held-out cells": _digest(validation),
        "guidance graph": "" if model.edges is None else _digest(*model.edges),
        "start": "new"
        if model.module is None
        else _digest(*(p.detach().cpu().numpy() for p in model.module.parameters())),
        "seed": seed,
        **settings,
        "n_latent": model.n_latent,
        "n_components": model.n_components,
        **{f"weight {name}": value for name, value in asdict(model.weights).items()},
    }
    for name, spec in model.schema.modalities.items():
        about[f"operator of {name!r}"] = [spec.operator, json.loads(json.dumps(spec.options, default=str))]
        about[f"features of {name!r}"] = _digest(*spec.features)
        if name in data.modalities:
            rows = data.rows[name]
            there = np.flatnonzero(rows >= 0)
            some = rows[there[np.linspace(0, len(there) - 1, min(SAMPLED_ROWS, len(there))).astype(int)]]
            values = sp.csr_matrix(model.matrix(data, name, check=False).rows(np.unique(some)))
            values.sort_indices()
            parts = values.data.astype(np.float64), values.indices.astype(np.int64), values.indptr.astype(np.int64)
            about[f"values of {name!r}"] = _digest(rows, *parts)
    return about


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """In words, what differs between two fits."""
    out = []
    for name in dict.fromkeys([*then, *now]):
        a, b = then.get(name), now.get(name)
        if a == b:
            continue
        digests = all(isinstance(value, str) and len(value) == DIGEST_LENGTH for value in (a, b))
        out.append(f"{name}: others than then" if digests else f"{name}: {a!r} then, {b!r} now")
    return out


DIGEST_LENGTH = 32


def _names(data: View) -> Iterator[str]:
    """Names of the cells, some thousands at a time."""
    for start in range(0, data.n_obs, NAMES_AT_ONCE):
        yield "\n".join(map(str, data.names(np.arange(start, min(start + NAMES_AT_ONCE, data.n_obs)))))


def _digest(*values: str | NDArray[Any]) -> str:
    """Digest of strings and arrays."""
    found = hashlib.sha256()
    for value in values:
        if not isinstance(value, str) and value.dtype == object:
            raise TypeError("An array of objects has no digest.")
        raw = value.encode() if isinstance(value, str) else np.ascontiguousarray(value).tobytes()
        found.update(len(raw).to_bytes(8, "little") + raw)
    return found.hexdigest()[:DIGEST_LENGTH]
