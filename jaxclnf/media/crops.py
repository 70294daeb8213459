"""Faces cut out upright and aligned: a similarity takes each face's landmarks to the model's mean face."""

from __future__ import annotations

import cv2
import jax
import numpy as np
from jaxtyping import Float, UInt8

from jaxclnf.media.images import RGB
from jaxclnf.media.photo_parts import cut_out, resized
from jaxclnf.ops.similarity import similarity

Affine = Float[np.ndarray, "2 3"]

_FINER = 1.5  # times a crop's resolution: to reduce to its own, and then turn, would blur it

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
    lies outside the photo repeats its border. Large faces are reduced by area.
    """
    reference = np.asarray(mean[:, :2], np.float32)
    landmarks = np.asarray(landmarks, np.float32)
    low, extent = reference.min(axis=0), float(np.ptp(reference, axis=0).max())
    zoom = size / (extent * (1 + 2 * margin))
    turn = zoom * np.asarray(_similarity(landmarks, reference), np.float64)
    middle = low + np.ptp(reference, axis=0) / 2
    target = zoom * (reference.mean(axis=0) - middle) + (size - 1) / 2
    shift = target - turn @ landmarks.mean(axis=0)
    return _warped(*_reduced(rgb, np.column_stack([turn, shift]), size), size)


def _warped(rgb: np.ndarray, crop_from_rgb: Affine, size: int) -> np.ndarray:
    square = (size, size)
    return cv2.warpAffine(rgb, crop_from_rgb, square, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _reduced(rgb: RGB, crop_from_rgb: Affine, size: int) -> tuple[np.ndarray, Affine]:
    """Reduce what is about a large face, since a warp looks at few pixels; gives the way to the crop, too."""
    reduction = _FINER * float(np.hypot(*crop_from_rgb[:, 0]))
    if reduction >= 1:
        return rgb, crop_from_rgb
    part, first = cut_out(rgb, *_surroundings(crop_from_rgb, size, border=2 / reduction))
    small = resized(part, reduction)
    ratio = np.array(small.shape[1::-1]) / part.shape[1::-1]  # of whole pixels
    turn, shift = crop_from_rgb[:, :2], crop_from_rgb[:, 2]
    return small, np.column_stack([turn / ratio, shift + turn @ (first - 0.5 + 0.5 / ratio)])


def _surroundings(
    crop_from_rgb: Affine, size: int, border: float
) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """Bound what a crop shows of a photo, with a border of so many pixels."""
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]]) - [0.5, 0.5, 0]
    places = corners @ cv2.invertAffineTransform(crop_from_rgb).T
    return places.min(axis=0) - border, places.max(axis=0) + border
