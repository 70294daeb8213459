"""Faces cut out upright and aligned: a similarity takes each face's landmarks to the model's mean face."""

from __future__ import annotations

import cv2
import jax
import numpy as np
from jaxtyping import Float, UInt8

from jaxclnf.media.images import RGB
from jaxclnf.ops.similarity import similarity

_similarity = jax.jit(similarity)


def aligned_crop(
    rgb: RGB,
    landmarks: Float[np.ndarray, "n_points 2"],
    mean: Float[np.ndarray, "n_points 3"],
    size: int,
    margin: float = 0.3,
) -> UInt8[np.ndarray, "side side 3"]:
    """Cut the face out into a square of ``size`` pixels, turned upright and scaled, not distorted.

    The mean face's landmarks fill the square but for ``margin``, in parts of their extent, on each side. What
    lies outside the photo repeats its border.
    """
    reference = np.asarray(mean[:, :2], np.float32)
    landmarks = np.asarray(landmarks, np.float32)
    low, extent = reference.min(axis=0), float(np.ptp(reference, axis=0).max())
    zoom = size / (extent * (1 + 2 * margin))
    turn = zoom * np.asarray(_similarity(landmarks, reference), np.float64)
    middle = low + np.ptp(reference, axis=0) / 2
    target = zoom * (reference.mean(axis=0) - middle) + (size - 1) / 2
    shift = target - turn @ landmarks.mean(axis=0)
    matrix = np.column_stack([turn, shift])
    return cv2.warpAffine(rgb, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
