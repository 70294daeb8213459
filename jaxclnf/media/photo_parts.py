"""Parts of photos, cut out and brought to another size.

A new size keeps the outer edges of pixels, so that their middles, from which coordinates count, shift by half
the difference (`in_resized`).
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

Picture = UInt8[np.ndarray, "_ _ *channels"]


def cut_out(
    photo: Picture, low: Float[np.ndarray, "2"], high: Float[np.ndarray, "2"]
) -> tuple[Picture, Int[np.ndarray, "2"]]:
    """Cut out whole pixels, at least one, between two places x, y; gives the place of the first, too.

    There are none outside the photo.
    """
    extent = np.array(photo.shape[1::-1])
    first = np.clip(np.floor(low), 0, extent - 1).astype(int)
    end = np.clip(np.ceil(high), first + 1, extent).astype(int)
    return photo[first[1] : end[1], first[0] : end[0]], first


def resized(photo: Picture, scale: float) -> Picture:
    """Bring a photo to ``scale`` times its size: by area if it shrinks, and if it grows by cubics.

    By area every pixel counts; a warp or a cubic looks at a few, and would leave most of a large photo out.
    """
    size = [max(1, round(scale * n)) for n in photo.shape[1::-1]]
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def in_resized(points: Float[np.ndarray, "*n 2"], scale: float) -> Float[np.ndarray, "*n 2"]:
    """Take points of a photo to a copy ``scale`` times as large."""
    return scale * (points + 0.5) - 0.5
