"""A bound on the memory that reading files takes: a small multiple of their sizes, whatever they claim."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jax.typing import DTypeLike

BASE = 2**26
"""Bytes that even the smallest file is granted."""


class Budget:
    """Bytes that are left to what is made of files; readers ask before they take any.

    Files are granted twice as many where their numbers become float64.
    """

    def __init__(self, left: int = BASE, dtype: DTypeLike = np.float32) -> None:
        self.left = left
        self._factor = np.dtype(dtype).itemsize / 4
        self._granted: set[Path] = set()

    def grant(self, path: Path, factor: int) -> None:
        """Add ``factor`` times a file's size, once however often the file is read."""
        path = path.resolve()
        if path not in self._granted:
            self._granted.add(path)
            self.left += int(self._factor * factor * path.stat().st_size)

    def take(self, n_bytes: int, what: str) -> None:
        """Take memory; raises ValueError, naming ``what`` needs it, if that is more than is left."""
        if n_bytes > self.left:
            raise ValueError(
                f"{what} would take {n_bytes} bytes of memory, but files of this size are left {self.left}"
            )
        self.left -= n_bytes
