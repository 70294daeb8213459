"""Copies of training faces, warped and seen by other cameras: an expert that knows its photos by heart is
not fooled by faces of other proportions, and starts on them are as far off as on new photos.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

BENDS, BEND = 6, 0.022
"""Control points along a side of a smooth warp, and the deviation of each in sizes of the face."""

STRETCH, SHEAR = 0.05, 0.05  # standard deviations: of the logarithm of the proportions, and of the shear
_ROUNDS = 25  # of the search for the place that a point is warped to

Field = Float[np.ndarray, "2 side side"]


class CroppedFaces(NamedTuple):
    """Crops of one size and the faces on them, in their pixels."""

    pixels: UInt8[np.ndarray, "n side side"]
    points: Float[np.ndarray, "n n_points 2"]
    boxes: Float[np.ndarray, "n 4"]


def with_warped(crops: CroppedFaces, n_copies: int, seed: int) -> CroppedFaces:
    """Add ``n_copies`` warped copies of every face behind the faces as they are."""
    rng = np.random.default_rng(seed)
    return with_copies(
        crops, [_warped(*face, rng) for _ in range(n_copies) for face in zip(*crops, strict=True)]
    )


def with_copies(crops: CroppedFaces, copies: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> CroppedFaces:
    """Add faces, pixels, points and box of each, behind others."""
    columns = zip(*copies, strict=True) if copies else ([], [], [])
    return CroppedFaces(
        *(np.stack([*own, *more]).astype(own.dtype) for own, more in zip(crops, columns, strict=True))
    )


def _warped(
    pixels: np.ndarray, points: np.ndarray, box: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Warp a face; its box keeps its place about the points."""
    field = _field(points, len(pixels), rng)
    x, y = field + np.mgrid[: len(pixels), : len(pixels)][::-1].astype(np.float32)
    picture = cv2.remap(pixels, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    carried = _carried(points, field)
    return _seen_anew(picture, carried, rng), carried, box_along(box, points, carried)


def _field(points: np.ndarray, side: int, rng: np.random.Generator) -> Field:
    """Draw where each pixel of the warped picture comes from, relative to its own place."""
    size = _size(points)
    bends = rng.normal(0, BEND * size, (2, BENDS, BENDS)).astype(np.float32)
    smooth = np.stack([cv2.resize(bend, (side, side), interpolation=cv2.INTER_CUBIC) for bend in bends])
    wider = np.exp(rng.normal(0, STRETCH))
    affine = np.array([[wider - 1, rng.normal(0, SHEAR)], [0, 1 / wider - 1]])
    return (smooth + np.einsum("ij,jyx->iyx", affine, _away(points, side))).astype(np.float32)


def _carried(points: np.ndarray, field: Field) -> np.ndarray:
    """Find where points of the picture are in the warped one: the places that come from them."""
    places = points.astype(np.float32)
    for _ in range(_ROUNDS):
        x, y = np.ascontiguousarray(places.T[:, None])
        moved = [
            cv2.remap(part, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0] for part in field
        ]
        places = (points - np.stack(moved, -1)).astype(np.float32)
    return places


def box_along(box: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Move and stretch a box as the points' own box has moved."""
    (low, high), (to_low, to_high) = ((p.min(axis=0), p.max(axis=0)) for p in (before, after))
    stretch = (to_high - to_low) / (high - low)
    corner = (box[:2] - (low + high) / 2) * stretch + (to_low + to_high) / 2
    return np.concatenate([corner, box[2:] * stretch])


def _seen_anew(pixels: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Let another camera see a crop: blurred, coarse or sharpened, lit from a side, compressed."""
    picture, side = pixels.astype(np.float32), len(pixels)
    look = rng.random()
    if look < 0.35:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.3))
    elif look < 0.6:
        share = rng.uniform(0.45, 0.9)
        coarse = cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR)
    elif look < 0.75:
        picture = picture + 0.6 * (picture - cv2.GaussianBlur(picture, (0, 0), 1.0))
    if rng.random() < 0.4:
        picture = picture * _light(points, side, rng)
    whole = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))]
        return np.asarray(cv2.imdecode(cv2.imencode(".jpg", whole, quality)[1], cv2.IMREAD_GRAYSCALE))
    return whole


def _light(points: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a gain that grows across the face in some direction."""
    angle, strength = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.5)
    x, y = _away(points, side)
    along = np.cos(angle) * x + np.sin(angle) * y
    return np.exp(strength * along / _size(points)).astype(np.float32)


def _away(points: np.ndarray, side: int) -> Float[np.ndarray, "2 side side"]:
    """Compute how far right of and below the points' middle each pixel is."""
    return np.mgrid[:side, :side][::-1] - points.mean(axis=0)[:, None, None]


def _size(points: np.ndarray) -> float:
    """Measure the larger side of the points' box."""
    return float(np.ptp(points, axis=0).max())
