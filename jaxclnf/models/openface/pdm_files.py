"""Reading a PDM in OpenFace's text format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jax.typing import DTypeLike

from jaxclnf.models.memory_budget import Budget
from jaxclnf.models.openface.untrusted_files import cast, read_openface_text
from jaxclnf.types import PDM


def read_pdm(path: Path, dtype: DTypeLike = np.float64, budget: Budget | None = None) -> PDM:
    """Read the mean, modes and eigenvalues of a PDM, whose rows are all x, then all y, then all z."""
    matrices = list(_matrices(path, budget or Budget(dtype=dtype)))
    shapes = [m.shape for m in matrices]
    rows, modes = shapes[1] if len(shapes) == 3 else (0, 0)
    if rows == 0 or rows % 3 or shapes != [(rows, 1), (rows, modes), (1, modes)]:
        raise ValueError(f"{path}: matrices of shapes {shapes[:4]}, expected (3n, 1), (3n, m) and (1, m)")
    mean, basis = matrices[0].reshape(3, -1).T, matrices[1].reshape(3, -1, modes).swapaxes(0, 1)
    eigenvalues = cast(path, "eigenvalues", matrices[2][0], dtype)
    if not (eigenvalues > 0).all():
        raise ValueError(f"{path}: an eigenvalue is {eigenvalues.min()}, expected positive numbers")
    return PDM(cast(path, "mean", mean, dtype), cast(path, "modes", basis, dtype), eigenvalues)


def _matrices(path: Path, budget: Budget) -> Iterator[np.ndarray]:
    """Read the matrices of a text file: rows, columns, OpenCV's type code, then the values row by row."""
    lines = read_openface_text(path, budget).splitlines()
    tokens = [token for line in lines if not line.lstrip().startswith("#") for token in line.split()]
    at = 0
    while at < len(tokens):
        head, left = tokens[at : at + 3], len(tokens) - at - 3
        if left < 0 or not all(t.isascii() and t.isdecimal() and len(t) < 10 for t in head):
            raise ValueError(
                f"{path}: a matrix begins with {str(head)[:60]}, expected rows, columns and a type code"
            )
        rows, cols = int(head[0]), int(head[1])
        if head[2] not in ("5", "6"):
            raise ValueError(f"{path}: a matrix has type code {int(head[2])}, expected 5 or 6")
        if not 0 < rows * cols <= left:
            raise ValueError(f"{path}: a matrix has {rows} x {cols} numbers, but {left} are left")
        budget.take(2 * 8 * rows * cols, f"{path}: a matrix")  # read, and cast
        at += 3 + rows * cols
        yield _numbers(path, tokens[at - rows * cols : at]).reshape(rows, cols)


def _numbers(path: Path, tokens: list[str]) -> np.ndarray:
    try:
        return np.array(tokens, np.float64)
    except ValueError as error:
        raise ValueError(f"{path}: expected numbers ({str(error)[:80]})") from None
