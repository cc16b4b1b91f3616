"""Rows of a large array that come in any order, kept in a file until they are read in theirs."""

from __future__ import annotations

import tempfile
from typing import IO, TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from scvcell._types import Array, Rows


class Spool:
    """An array of float32 in a file without a name, which is gone with the process.

    Parameters
    ----------
    shape
        ``(rows, columns)``.
    folder
        Where there is room for it.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, shape: tuple[int, int], folder: Path) -> None:
        self.shape = shape
        self._file = _unnamed(folder)
        self._file.truncate(shape[0] * self._width)

    @property
    def _width(self) -> int:
        return self.shape[1] * self.dtype.itemsize

    def __setitem__(self, rows: Rows, values: Array) -> None:
        """Write some rows, each once; neighbours at once."""
        block = np.ascontiguousarray(values, self.dtype)
        for at in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) != 1) + 1):
            if len(at):
                self._file.seek(int(rows[at[0]]) * self._width)
                self._file.write(block[at[0] : at[-1] + 1].data)

    def __getitem__(self, rows: slice) -> Array:
        """Neighbouring rows; zeros where nothing was written."""
        start, stop, _ = rows.indices(self.shape[0])
        self._file.seek(start * self._width)
        found = np.frombuffer(self._file.read(max(stop - start, 0) * self._width), self.dtype)
        return found.reshape(max(stop - start, 0), self.shape[1])


def _unnamed(folder: Path) -> IO[bytes]:
    """A file that is gone when it is closed."""
    return tempfile.TemporaryFile(dir=folder)
