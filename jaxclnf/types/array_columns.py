"""Names of the columns that hold arrays, in tables and data frames; they are OpenFace's.

The whole list of a table's columns is in `jaxclnf.output.tables`.
"""

from __future__ import annotations


def point_columns(n_points: int, axes: str) -> list[str]:
    """Names of the landmarks' coordinates: those of the first axis, then those of the next."""
    return [f"{axis}_{i}" for axis in axes for i in range(n_points)]


def param_columns(n_modes: int) -> list[str]:
    """Names of the parameters: scale, rotation, translation, then the shape's ``n_modes``."""
    rigid = [f"p_{name}" for name in ("scale", "rx", "ry", "rz", "tx", "ty")]
    return rigid + [f"p_{i}" for i in range(n_modes)]
