"""Boxes of a photo's faces as rows; it needs NumPy alone, since boxes are read while JAX is imported."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike


def box_rows(boxes: Any) -> Float[np.ndarray, "n_faces box"]:
    """Lay out a photo's box or boxes as rows; a photo without faces has none.

    Raises ValueError for what is no array, as rows of unlike lengths.
    """
    if hasattr(boxes, "_fields"):  # what a detector gives
        raise ValueError(f"expected boxes as an array; got {type(boxes).__name__}: give its boxes, or tilted")
    try:
        rows = np.asarray(boxes)
    except ValueError:
        raise ValueError(
            f"expected boxes as rows of one length, x, y, width, height; got {boxes!r:.100}"
        ) from None
    return np.atleast_2d(rows) if rows.size else np.zeros((0, 4), np.float32)


def checked_rows(boxes: Any, columns: tuple[int, ...]) -> Float[np.ndarray, "n_faces box"] | None:
    """Lay out what may be boxes as float32 rows; None unless they have one of these numbers of columns."""
    try:
        if np.iscomplexobj(boxes):
            return None
        rows = box_rows(np.asarray(boxes, np.float32))
    except (TypeError, ValueError):
        return None
    return rows if rows.ndim == 2 and rows.shape[1] in columns else None


def tight_box(landmarks: ArrayLike) -> Float[np.ndarray, "*n_faces 4"]:
    """Compute the box x, y, width, height about the landmarks (n_points, 2) of a face, or of each of many."""
    points = np.asarray(landmarks)
    return np.concatenate([points.min(axis=-2), np.ptp(points, axis=-2)], axis=-1)


def middle(box: Float[np.ndarray, "*n_faces box"]) -> Float[np.ndarray, "*n_faces 2"]:
    """Compute the middle of a box, or of each of many, that spans points, as `tight_box` does.

    That is how boxes are meant wherever fits start from them. The detectors' looks at turned faces count
    pixels instead (`middle_pixel`), which lies half a pixel farther to the left and up.
    """
    return box[..., :2] + box[..., 2:4] / 2


def box_about(
    point: Float[np.ndarray, "*n_faces 2"], size: Float[np.ndarray, "*n_faces 2"]
) -> Float[np.ndarray, "*n_faces 4"]:
    """Build the box of this width and height whose `middle` is a point."""
    return np.concatenate([point - size / 2, size], axis=-1)


def middle_pixel(box: Float[np.ndarray, "*n_faces box"]) -> Float[np.ndarray, "*n_faces 2"]:
    """Compute the middle of a box, or of each of many, that counts pixels from its first one on.

    A box of three pixels has its middle in the second.
    """
    return box[..., :2] + (box[..., 2:4] - 1) / 2


def box_about_pixel(
    point: Float[np.ndarray, "*n_faces 2"], size: Float[np.ndarray, "*n_faces 2"]
) -> Float[np.ndarray, "*n_faces 4"]:
    """Build the box of so many pixels across and down whose `middle_pixel` is a point."""
    return np.concatenate([point - (size - 1) / 2, size], axis=-1)


def by_size(rows: Float[np.ndarray, "n_faces box"]) -> Int[np.ndarray, " n_faces"]:
    """Number a photo's boxes x, y, width, height by their areas, the largest first."""
    return np.argsort(-np.maximum(rows[:, 2:4], 0).prod(axis=1), kind="stable")


def overlaps(a: Float[np.ndarray, "n 4"], b: Float[np.ndarray, "m 4"]) -> Float[np.ndarray, "n m"]:
    """Divide the area that each box shares with each of the others by that of their union."""
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    end = np.minimum((a[:, :2] + a[:, 2:])[:, None], (b[:, :2] + b[:, 2:])[None])
    shared = np.maximum(end - corner, 0).prod(axis=2)
    both = a[:, 2:].prod(axis=1)[:, None] + b[:, 2:].prod(axis=1)[None] - shared
    return np.where(both > 0, shared / np.where(both > 0, both, 1), 0.0)
