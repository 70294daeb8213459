"""Canvases: the surroundings of faces cut out of photos, upright, in a few sizes, no larger than needed."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxclnf.batch.box_rows import box_about, middle

MIN_SIDE = 256
MARGIN = 2.6
"""Side of a canvas in sizes of the box: room for turned heads and the widest response maps."""

# Pixels of a canvas that are made before it is reduced, also a pixel of the photo: real faces need fewer.
_PADDED, _PADDED_A_PIXEL = 1 << 24, 32


class Canvas(NamedTuple):
    """A square cut out of a photo: photo = corner + turn(roll) canvas / scale, in pixels."""

    pixels: np.ndarray  # (side, side) or (side, side, 3)
    corner: Float[np.ndarray, "2"]  # of the canvas's first pixel in the photo
    scale: float = 1.0  # pixels of the canvas per pixel of the photo, at most 1
    roll: float = 0.0  # radians, clockwise as seen

    def of_photo(self, points: Float[np.ndarray, "*n 2"]) -> np.ndarray:
        """Take points of the photo to the canvas."""
        points = self.scale * (points - self.corner)
        return points @ turn(self.roll) if self.roll else points  # a product would spread NaN

    def in_photo(self, points: Float[np.ndarray, "*n 2"]) -> np.ndarray:
        """Take points of the canvas to the photo."""
        points = points / self.scale
        return self.corner + (points @ turn(self.roll).T if self.roll else points)

    def spread_in_photo(self, covariance: Float[np.ndarray, "*n 2 2"]) -> np.ndarray:
        """Turn covariances of points on the canvas into those of the points in the photo."""
        covariance = covariance / self.scale**2
        return turn(self.roll) @ covariance @ turn(self.roll).T if self.roll else covariance

    def box(self, box: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4"]:
        """Take a box of the photo, turned as the canvas is, to the canvas."""
        size = self.scale * box[2:]
        return box_about(self.of_photo(middle(box)), size)


def cut(image: np.ndarray, box: Float[np.ndarray, "4"], roll: float, side: int, reduction: float) -> Canvas:
    """Cut a canvas about a box, which is ``reduction`` (at most 1) times as large on it as in the photo.

    Beyond the photo its border is repeated, as the patch sampler does; of strips without making all those
    pixels. A canvas that is neither turned nor reduced holds the photo's own pixels; reduction is by area,
    which avoids aliasing.
    """
    if roll:
        return _level(image, box, roll, side, reduction)
    wide = round(side / reduction)
    size = np.array(image.shape[1::-1])
    inside = np.clip(middle(box), 0, size)
    corner = np.clip(np.round(inside - wide / 2), 0, np.maximum(size - wide, 0)).astype(int)
    pixels = _plain(image[corner[1] : corner[1] + wide, corner[0] : corner[0] + wide])
    if wide == side:
        return Canvas(_padded(pixels, wide), corner)
    is_strip = wide**2 > max(_PADDED, _PADDED_A_PIXEL * image.shape[0] * image.shape[1])
    pixels = _reduced_alone(pixels, wide, side) if is_strip else _reduced(_padded(pixels, wide), side)
    scale = side / wide
    return Canvas(pixels, corner + (0.5 / scale - 0.5), scale)


def _level(
    image: np.ndarray, box: Float[np.ndarray, "4"], roll: float, side: int, reduction: float
) -> Canvas:
    """Cut a canvas turned about the box's middle, from a reduced copy of the part of the photo it needs."""
    reach = 0.75 * side / reduction  # beyond half the canvas's diagonal
    around = np.concatenate([middle(box) - reach, [2 * reach, 2 * reach]])
    straight = cut(image, around, 0.0, round(2 * reach * reduction), reduction)
    half = (side - 1) / 2
    there = straight.of_photo(middle(box))
    inverse = np.column_stack([turn(roll), there - turn(roll) @ [half, half]])
    pixels = _warped(straight.pixels, inverse, side)
    return Canvas(pixels, straight.in_photo(inverse[:, 2]), straight.scale, roll)


def _padded(pixels: np.ndarray, side: int) -> np.ndarray:
    beyond = [*((0, side - n) for n in pixels.shape[:2]), *((0, 0),) * (pixels.ndim - 2)]
    return np.pad(pixels, beyond, mode="edge")


def _reduced_alone(pixels: np.ndarray, wide: int, side: int) -> np.ndarray:
    """Reduce by area as `_reduced` does once the pixels are padded to ``wide``, without padding them."""
    edges = np.linspace(0, wide, side + 1)
    reduced = pixels
    with np.errstate(invalid="ignore"):  # what is not finite stays so
        for axis in sorted((0, 1), key=lambda axis: -pixels.shape[axis]):
            reduced = np.diff(_integral(reduced, edges, axis), axis=axis) / (wide / side)
    return (np.rint(reduced) if pixels.dtype == np.uint8 else reduced).astype(pixels.dtype)


def _integral(pixels: np.ndarray, edges: Float[np.ndarray, "n"], axis: int) -> np.ndarray:
    """Sum an axis up to each of some edges; the last pixel goes on for ever."""
    before = np.cumsum(pixels, axis, dtype=np.float64)
    before -= pixels
    whole = np.minimum(edges.astype(int), pixels.shape[axis] - 1)
    share = np.expand_dims(edges - whole, tuple(i for i in range(pixels.ndim) if i != axis))
    return np.take(before, whole, axis) + share * np.take(pixels, whole, axis)


def _reduced(pixels: np.ndarray, side: int) -> np.ndarray:
    import cv2  # slow to import

    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)


def _warped(pixels: np.ndarray, inverse: Float[np.ndarray, "2 3"], side: int) -> np.ndarray:
    """Sample the canvas, whose points ``inverse`` takes to the photo's."""
    import cv2

    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(pixels, inverse, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _plain(image: np.ndarray) -> np.ndarray:
    """Keep an image of bytes, and convert any other to float32."""
    return image if image.dtype == np.uint8 else image.astype(np.float32)


def turn(angle: float) -> Float[np.ndarray, "2 2"]:
    """Build a rotation of the image plane, clockwise as seen, since y points down."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def usual_side(image: np.ndarray, box: Float[np.ndarray, "4"], reduction: float = 1.0) -> int:
    """Choose the side of the canvas that holds a face's surroundings, one of a few sizes.

    The image bounds the number of pixels: otherwise a box as wide as a strip of 60,000 x 200, which is not a
    face, would need gigabytes. Faces that fit into their image are not affected.
    """
    most = 2 * math.sqrt(image.shape[0] * image.shape[1])
    at_least = reduction * min(MARGIN * max(box[2:]), max(image.shape[:2]), most)
    side = MIN_SIDE
    while side < at_least:
        side *= 2
    return side
