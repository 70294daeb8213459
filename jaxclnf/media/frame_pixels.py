"""The pixels of a decoded frame, and their orientation when it is shown."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxclnf.media.deep_photos import eight_bits
from jaxclnf.media.images import RGB


def pixels_of(picture: Any) -> RGB:
    """A decoded frame's pixels as they are stored; what is transparent is white.

    Grey of more than 8 bits and colours of 16 are brought to 8 as photos are, by the range of values that
    the frame uses (`jaxclnf.media.deep_photos.eight_bits`); other videos say what is black and what is white.
    """
    deep = _deep_format(picture)
    if deep:
        return eight_bits(picture.to_ndarray(format=deep))
    if any(getattr(part, "is_alpha", False) for part in picture.format.components):
        return _on_white(picture.to_ndarray(format="rgba").astype(np.uint16))
    return picture.to_ndarray(format="rgb24")


def _deep_format(picture: Any) -> str | None:
    """Choose the format that keeps a scientific or thermal camera's values; None for all other frames."""
    layout = picture.format
    bits = [part.bits for part in layout.components]
    if len(bits) == 1 and bits[0] > 8 and not layout.has_palette:
        return "grayf32le" if layout.name.startswith("grayf32") else "gray16le"
    return "rgb48le" if len(bits) == 3 and layout.is_rgb and min(bits) == 16 else None


def _on_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:]
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha)) // 255).astype(np.uint8)


def display_matrix(picture: Any) -> np.ndarray | None:
    """Read FFmpeg's 3 x 3 matrix from stored pixels to their places when shown."""
    data = picture.side_data.get("DISPLAYMATRIX")
    return None if data is None else np.frombuffer(bytes(data), np.int32, 9).reshape(3, 3)


def as_shown(pixels: np.ndarray, matrix: np.ndarray | None) -> np.ndarray:
    """Turn and mirror pixels by a display matrix, to the nearest of the eight upright orientations."""
    if matrix is None:
        return pixels
    (a, b), (c, d) = matrix[:2, :2].astype(np.int64)
    across, down = a, d
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, across, down = pixels.transpose(1, 0, 2), c, b
    pixels = pixels[:, ::-1] if across < 0 else pixels
    return np.ascontiguousarray(pixels[::-1] if down < 0 else pixels)
