"""Reading text and bytes of files that are not trusted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from jax.typing import DTypeLike

from jaxclnf.models.memory_budget import Budget
from jaxclnf.regular_files import no_file

_FACTOR = 32
"""Memory granted for each byte of a file: OpenFace's models need up to 28, mostly for smoothing matrices."""
_MAPPED_FACTOR = 4
"""Memory granted for each byte of a mapped file, whose numbers are copied once: CEN experts need 1."""
_MAX_TEXT, _MAX_BINARY, _MAX_MAPPED = 2**22, 2**28, 2**30  # bytes of a file
_MAX_VALUE = 1e30
_MATRIX_DTYPES = {0: "u1", 4: "<i4", 5: "<f4", 6: "<f8"}  # by OpenCV's type code


def read_bytes(path: Path, budget: Budget, most: int = _MAX_BINARY) -> bytes:
    """Read a regular file of at most ``most`` bytes, which grants memory to ``budget``."""
    with _readable(path, most):
        budget.grant(path, _FACTOR)
        return path.read_bytes()


def map_bytes(path: Path, budget: Budget) -> np.ndarray:
    """Map a regular file into memory; it grants less memory to ``budget``, since it takes none itself."""
    with _readable(path, _MAX_MAPPED):
        if not path.stat().st_size:
            raise ValueError(f"{path}: empty, expected a file of an OpenFace model")
        budget.grant(path, _MAPPED_FACTOR)
        return np.memmap(path, np.uint8, "r")


@contextmanager
def _readable(path: Path, most: int) -> Iterator[None]:
    """Refuse anything but a regular file of at most ``most`` bytes, and say why reading it failed."""
    try:
        if problem := no_file(path):
            raise ValueError(f"{path} {problem}; expected a file of an OpenFace model")
        if path.stat().st_size > most:
            raise ValueError(f"{path}: {path.stat().st_size} bytes, expected at most {most}")
        yield
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None


def read_openface_text(path: Path, budget: Budget) -> str:
    """Read a text file; raises ValueError if its bytes are not text."""
    content = read_bytes(path, budget, _MAX_TEXT)
    if b"\0" in content:
        raise ValueError(f"{path}: holds zero bytes, expected text")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start} is not text (UTF-8), expected text") from None


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Put a file's path in front of the message of any ValueError."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def cast(path: Path, name: str, values: np.ndarray, dtype: DTypeLike) -> Any:
    """Convert ``values`` to another precision; raises ValueError if they are not finite or absurdly large.

    The result is a numpy array, typed as Any since fields declare JAX arrays; `Model.astype` makes it one.
    """
    if not (np.abs(values) < _MAX_VALUE).all():
        raise ValueError(f"{path}: {name} hold {values.max()} or {values.min()}, expected finite numbers")
    return np.array(values, dtype, order="C")


class ByteReader:
    """A cursor over a binary file (little endian) that compares every size with the bytes that are left.

    ``budget`` bounds the memory of everything made from the file, and from other files that share it.
    """

    def __init__(self, path: Path, budget: Budget | None = None, mapped: bool = False):
        """Open a file; with ``mapped``, arrays stay in the file until they are copied."""
        self.path, self.at, self.budget = path, 0, budget or Budget()
        self._data = map_bytes(path, self.budget) if mapped else read_bytes(path, self.budget)

    def error(self, message: str) -> ValueError:
        return ValueError(f"{self.path}: byte {self.at}: {message}")

    def reserve(self, n_bytes: int, what: str) -> None:
        """Take memory from the budget; raises ValueError if too little is left."""
        try:
            self.budget.take(n_bytes, what)
        except ValueError as error:
            raise self.error(str(error)) from None

    def take(self, name: str, dtype: DTypeLike, *shape: int) -> np.ndarray:
        """Read the next values of a type, all of which must be there."""
        count, size, left = prod(shape), np.dtype(dtype).itemsize, self.left
        if count * size > left:
            raise self.error(f"{name} would take {count} times {size} bytes, but {left} are left")
        values = np.frombuffer(self._data, dtype, count, self.at).reshape(shape)
        self.at += values.nbytes
        return values

    def integer(self, name: str, least: int, most: int) -> int:
        value = int(self.take(name, "<i4"))
        if not least <= value <= most:
            raise self.error(f"{name} is {value}, expected {least} to {most}")
        return value

    def number(self, name: str, least: float, most: float) -> float:
        value = float(self.take(name, "<f8"))
        if not least <= value <= most:
            raise self.error(f"{name} is {value:g}, expected {least:g} to {most:g}")
        return value

    def matrix(self, name: str, shape: tuple[int | None, int]) -> np.ndarray:
        """Read a matrix with its header of rows, columns and type code; None allows any number of rows."""
        rows, cols, code = map(int, self.take(name, "<i4", 3))
        if code not in _MATRIX_DTYPES:
            raise self.error(f"{name} has type code {code}, expected one of {sorted(_MATRIX_DTYPES)}")
        if rows < 1 or (shape[0] or rows, shape[1]) != (rows, cols):
            raise self.error(f"{name} is {rows} x {cols}, expected {shape[0] or 'n'} x {shape[1]}")
        return self.take(name, _MATRIX_DTYPES[code], rows, cols)

    def any_matrix(self, name: str, most: int) -> np.ndarray:
        """Read a matrix of any shape, of up to ``most`` rows and columns."""
        rows, cols = map(int, self.take(name, "<i4", 3)[:2])
        if not (1 <= rows <= most and 1 <= cols <= most):
            raise self.error(f"{name} is {rows} x {cols}, expected 1 to {most} rows and columns")
        self.at -= 12
        return self.matrix(name, (rows, cols))

    @property
    def left(self) -> int:
        """Count the bytes that were not read yet."""
        return len(self._data) - self.at

    def end(self) -> None:
        if self.left:
            raise self.error(f"{self.left} bytes too many, expected the end of the file")
