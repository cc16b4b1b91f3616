"""A folder with files of ours among the user's: replaced as a whole, checked when it is read.

The manifest is a JSON file that lists the other files with their sizes and SHA-256. New files are written beside the
old ones, under hidden names made of their checksums. Replacing the manifest, one step, is what makes them valid; then
they take their names. Whoever is killed in between leaves a folder in which every file that the manifest lists is found
under one of its two names. Prose, which people may edit, is listed apart: it is not read, and what others wrote stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scvcell.errors import Damaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MANIFEST = "model.json"
OURS = frozenset({"class", "scvcell", "registry"})
"""Keys by which a manifest is known as ours: other programs write files of this name too."""
FILES, PROSE, CHECKSUM = "files", "prose", "checksum"
REPOSITORY = re.compile(r"(?P<name>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?")
"""A model of the Hugging Face hub, ``owner/name`` or ``owner/name@revision``, where no folder is called so."""
HIDDEN = re.compile(r"^\.(?P<name>.+)-(?P<digest>[0-9a-f]{16})$")
TRIES, SECONDS, STEADY = 100, 0.02, 3
"""How often, and how long apart, a folder is read that somebody is replacing; after so many times with one manifest it
is damaged."""
LOCKED_SECONDS = 60.0
"""How long a writer waits for another one."""


class NotWhole(Damaged):
    """A file is not what the manifest says."""


def claim(path: str | Path, *, overwrite: bool = False) -> Path:
    """The folder that `path` names, links followed, if it may be written to.

    Parameters
    ----------
    path
        Folder, which need not exist.
    overwrite
        Whether files of ours that are there may be replaced.

    Raises
    ------
    FileExistsError
        If it exists and `overwrite` is False, or it has files and a manifest of ours is not among them.
    NotADirectoryError
        If it, or what should hold it, is a file.
    OSError
        If it cannot be written to.
    """
    target = writable(path)
    if target.exists():
        there = [entry.name for entry in target.iterdir() if not HIDDEN.match(entry.name)]
        if there and not overwrite:
            raise FileExistsError(f"{path} exists already. Give another path, or overwrite=True.")
        if there and not _is_ours(target / MANIFEST):
            raise FileExistsError(f"{path} is no scvcell model, so it is not overwritten. Give another path.")
    return target


def writable(path: str | Path) -> Path:
    """The folder that `path` names, links followed, if something can be written there.

    Raises
    ------
    NotADirectoryError
        If it, or what should hold it, is a file.
    OSError
        If nothing can be written.
    """
    target = Path(os.path.realpath(path))
    holder = next(parent for parent in (target, *target.parents) if parent.exists())
    if not holder.is_dir():
        raise NotADirectoryError(f"{holder} is a file, not a folder. Give another path.")
    probe = holder / f".{uuid.uuid4().hex}"
    try:
        probe.touch(exist_ok=False)
    finally:
        probe.unlink(missing_ok=True)
    return target


def _is_ours(manifest: Path) -> bool:
    try:
        found = json.loads(manifest.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.keys() >= OURS


def write(
    target: Path,
    about: Mapping[str, Any],
    writers: Mapping[str, Callable[[Any], None]],
    *,
    plain: Callable[[Any], Any],
    prose: Mapping[str, Callable[[Any], None]] | None = None,
) -> None:
    """Write files and their manifest; nothing of what was there before changes if that fails.

    Parameters
    ----------
    target
        Folder, as `claim` gave it.
    about
        What the manifest says beside the files.
    writers
        By name of the file, what writes it to an open binary file.
    plain
        Makes values of `about` plain for JSON.
    prose
        As `writers`, of files for people. One that is there stays, unless it is just as it was written here.

    Raises
    ------
    OSError
        If there is no room, the folder is not writable, or another process has been saving there for a minute.
    """
    made = _make(target)
    try:
        with _alone(target):
            _settle(target)
            listed: dict[str, dict[str, Any]] = {FILES: {}, PROSE: {}}
            free = {name: writer for name, writer in (prose or {}).items() if not _theirs(target, name)}
            files, pending = listed[FILES], []
            try:
                for name, writer in {**free, **writers}.items():
                    scratch = target / f".{name}-{uuid.uuid4().hex[:16]}"
                    pending.append(scratch)
                    entry = _written(scratch, writer)
                    pending[-1] = scratch.replace(target / _hidden(name, entry))
                    listed[PROSE if name in free else FILES][name] = entry
                found = json.loads(json.dumps({**about, **listed}, default=plain))
                found[CHECKSUM] = _of_manifest(found)
                scratch = target / f".{MANIFEST}-{uuid.uuid4().hex[:16]}"
                pending.append(scratch)
                _written(scratch, lambda file: file.write(json.dumps(found, indent=1).encode()))
                old = _entries(target)
                foreign = [name for name in files if (target / name).exists() and old is not None and name not in old]
                if foreign:
                    raise FileExistsError(f"{target} has a {foreign[0]} that is not the model's. Give another path.")
                scratch.replace(target / MANIFEST)
            except BaseException:
                for scratch in pending:
                    scratch.unlink(missing_ok=True)
                raise
            for name in (old or {}).keys() - files.keys():
                (target / name).unlink(missing_ok=True)
            _settle(target)
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _make(target: Path) -> list[Path]:
    """Make the folder and those above it; those that were made, the deepest first."""
    made = [folder for folder in (target, *target.parents) if not folder.exists()]
    target.mkdir(parents=True, exist_ok=True)
    return made


def _written(path: Path, writer: Callable[[Any], None]) -> dict[str, Any]:
    """Write a file through to the disk; its size and checksum."""
    with path.open("w+b") as file:
        try:
            writer(file)
        except RuntimeError as error:
            raise OSError(f"{path.parent} cannot be written to: {error}") from error
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _hidden(name: str, entry: Mapping[str, Any]) -> str:
    return f".{name}-{entry['sha256'][:16]}"


def _of_manifest(found: Mapping[str, Any]) -> str:
    """Checksum of what a manifest says."""
    rest = {key: value for key, value in found.items() if key != CHECKSUM}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _entries(target: Path, kind: str = FILES) -> dict[str, Any] | None:
    """Files that the manifest in `target` lists; none where it is of a version that listed none, or there is none."""
    try:
        found = json.loads((target / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return found.get(kind)


def _theirs(target: Path, name: str) -> bool:
    """Whether a file is there that was not written here, or was changed since."""
    entry, file = (_entries(target, PROSE) or {}).get(name), target / name
    return file.exists() and (entry is None or hashlib.sha256(file.read_bytes()).hexdigest() != entry["sha256"])


def _settle(target: Path) -> None:
    """Give files that the manifest lists their names, and remove what killed writers left."""
    for name, entry in {**(_entries(target, PROSE) or {}), **(_entries(target) or {})}.items():
        hidden = target / _hidden(name, entry)
        if hidden.is_file():
            hidden.replace(target / name)
    for left in target.iterdir():
        match = HIDDEN.match(left.name)
        if match and left.is_file():
            left.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One writer at a time, where the system has locks for that."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    handle = os.open(target, os.O_RDONLY)
    try:
        end = time.monotonic() + LOCKED_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise OSError(f"Another process has been saving to {target} for a minute. Try again.") from None
                time.sleep(SECONDS)
            except OSError:  # a file system without locks
                break
        yield
    finally:
        os.close(handle)


def read(folder: Path, known: tuple[str, ...] = ()) -> tuple[Any, dict[str, bytes]]:
    """Manifest and content of the files it lists.

    Parameters
    ----------
    folder
        Folder.
    known
        Files that count where the manifest is of a version that listed none.

    Raises
    ------
    FileNotFoundError
        If there is no manifest, or a file that it lists is gone.
    ValueError
        If a file is not what was written.
    """
    seen, steady = b"", 0
    for _ in range(TRIES):
        if not (folder / MANIFEST).is_file():
            raise missing(folder, MANIFEST)
        raw = (folder / MANIFEST).read_bytes()
        try:
            about = _parsed(folder / MANIFEST, raw)
            entries = about.get(FILES)
            if entries is None:
                return about, {name: (folder / name).read_bytes() for name in known if (folder / name).is_file()}
            return about, {name: _content(folder, name, entry) for name, entry in entries.items()}
        except (NotWhole, FileNotFoundError):
            # somebody may be replacing the folder, or giving files their names
            seen, steady = raw, steady + 1 if seen == raw else 0
            if steady == STEADY:
                raise
            time.sleep(SECONDS)
    raise missing(folder, MANIFEST)


def missing(folder: Path, name: str) -> FileNotFoundError:
    """The error of a folder that lacks a file."""
    return FileNotFoundError(f"No scvcell model at {folder}: {name} is missing. Save one with `model.save(path)`.")


def _parsed(path: Path, raw: bytes) -> dict[str, Any]:
    """What a manifest says, if that is what was written."""
    try:
        about = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise NotWhole(damaged(path)) from error
    if not isinstance(about, dict):
        raise NotWhole(damaged(path))
    entries = about.get(FILES, {})
    if not isinstance(entries, dict) or not all(map(_is_entry, entries.items())):
        raise NotWhole(damaged(path))
    return about


def unchanged(about: Mapping[str, Any]) -> bool:
    """Whether a manifest says what it said when it was written; true of versions without checksums."""
    return FILES not in about or about.get(CHECKSUM) == _of_manifest(about)


def _is_entry(item: tuple[str, Any]) -> bool:
    name, entry = item
    plain = name == Path(name).name and not name.startswith(".")
    return plain and isinstance(entry, dict) and isinstance(entry.get("sha256"), str) and "bytes" in entry


def _content(folder: Path, name: str, entry: Mapping[str, Any]) -> bytes:
    """Content of a file, by whichever of its names has it."""
    places = [place for place in (folder / name, folder / _hidden(name, entry)) if place.is_file()]
    if not places:
        raise missing(folder, name)
    for place in places:
        if place.stat().st_size == entry["bytes"]:
            raw = place.read_bytes()
            if hashlib.sha256(raw).hexdigest() == entry["sha256"]:
                return raw
    raise NotWhole(damaged(folder / name))


def damaged(path: Path) -> str:
    """What is said of a file that is not what was written."""
    return (
        f"{path} is damaged, or holds more than numbers; nothing of it was loaded. It is not what `model.save` wrote: "
        "copy the folder again, or save the model again."
    )
