"""Boxes of a photo's faces as rows; it needs NumPy alone, since boxes are read while JAX is imported."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike


def box_rows(boxes: ArrayLike) -> Float[np.ndarray, "n_faces box"]:
    """Lay out a photo's box or boxes as rows; a photo without faces has none."""
    rows = np.asarray(boxes)
    return np.atleast_2d(rows) if rows.size else np.zeros((0, 4), np.float32)
