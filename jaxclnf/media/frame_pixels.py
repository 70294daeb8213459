"""The pixels of a decoded frame, their shape and their orientation when it is shown."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from jaxclnf.media.deep_photos import eight_bits
from jaxclnf.media.images import RGB

_LARGEST_RATIO = 4  # of a pixel's sides; what is beyond, or below its inverse, is nonsense
_SQUARE = 0.01  # a ratio so near to 1 comes of rounding a video's size


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


def square_size(width: int, height: int, ratio: Fraction | None) -> tuple[int, int]:
    """Give the width and height of a picture of ``width`` x ``height`` pixels once they are made square.

    ``ratio`` is a pixel's width in its height, as a file tells it. The side along which pixels are wider than
    they should be grows, so that no pixel is thrown away. A ratio that is missing or nonsense means square.
    """
    if ratio is None or not 1 / _LARGEST_RATIO <= ratio <= _LARGEST_RATIO or abs(ratio - 1) <= _SQUARE:
        return width, height
    return (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))


def with_square_pixels(
    pixels: RGB, ratio: Fraction | None
) -> UInt8[np.ndarray, "shown_height shown_width 3"]:
    """Enlarge a picture along one side until its pixels, ``ratio`` times as wide as high, are square."""
    height, width = pixels.shape[:2]
    size = square_size(width, height, ratio)
    return pixels if size == (width, height) else cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)


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
