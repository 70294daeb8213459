"""A bound on the memory for reading files: a small multiple of their sizes, whatever they claim to hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jax.typing import DTypeLike

BASE = 2**26
"""Bytes of memory granted for even the smallest file."""


class Budget:
    """The memory that is left for reading files; readers ask for it before they allocate.

    It is twice as large for numbers that become float64.
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
        """Take memory for ``what``, which the ValueError names if too little is left."""
        if n_bytes > self.left:
            raise ValueError(
                f"{what} would take {n_bytes} bytes of memory, files of this size have {self.left} left"
            )
        self.left -= n_bytes
