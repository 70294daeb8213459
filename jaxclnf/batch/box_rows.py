"""Boxes of a photo's faces as rows; it needs NumPy alone, since boxes are read while JAX is imported."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike


def box_rows(boxes: ArrayLike) -> Float[np.ndarray, "n_faces box"]:
    """Lay out a photo's box or boxes as rows; a photo without faces has none."""
    rows = np.asarray(boxes)
    return np.atleast_2d(rows) if rows.size else np.zeros((0, 4), np.float32)


def largest_row(rows: Float[np.ndarray, "n_faces box"]) -> Float[np.ndarray, "n_kept box"]:
    """Keep only the largest of a photo's boxes x, y, width, height, if there is any."""
    return rows[np.argsort(-np.maximum(rows[:, 2:4], 0).prod(axis=1), kind="stable")[:1]]
