"""The sizes at which a network looks at a photo."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from jaxclnf.media.detection.detector_protocol import RGB, Detections

LONGEST = 640
"""Pixels of a photo's longer side for networks; larger photos are reduced."""

SECOND = 0.85
"""A second look at so large a photo finds faces of 24 pixels, which networks see from 20 on ..."""

SECOND_LONGEST = 2560
"""... in photos up to 3,000 pixels; in larger ones the faces of like share."""

SMALL = 40
"""Pixels of a face in the first look, below which there may be smaller ones that only a second look shows."""

Look = Callable[[RGB], Detections]


def in_sizes(look: Look, rgb: RGB, longest: int = LONGEST) -> Detections:
    """Detect faces in a reduced photo, in one look or two; the first look's face counts if both show it."""
    side = max(rgb.shape[:2])
    first, second = min(1.0, longest / side), min(SECOND, SECOND_LONGEST / side)
    found = _seen(look, rgb, first)
    if second > first and (not found or found.boxes[:, 2].min() * first < SMALL):
        found = merged(found, _seen(look, rgb, second))
    return found


def _seen(look: Look, rgb: RGB, scale: float) -> Detections:
    return enlarged(look(reduced(rgb, scale)), scale)


def reduced(rgb: RGB, scale: float) -> np.ndarray:
    """Shrink a photo by area to ``scale`` times its size."""
    if scale >= 1:
        return np.ascontiguousarray(rgb)
    size = [max(1, round(scale * n)) for n in rgb.shape[1::-1]]
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)


def enlarged(found: Detections, scale: float) -> Detections:
    """Take detections from a photo reduced by ``scale`` to the photo itself.

    Reduction keeps the outer edges of pixels, so their middles shift by half the difference.
    """
    shift = 0.5 / scale - 0.5
    boxes = found.boxes / scale + np.array([shift, shift, 0, 0], np.float32)
    points = None if found.points is None else found.points / scale + shift
    return found._replace(boxes=boxes.astype(np.float32), points=points)


def merged(first: Detections, second: Detections) -> Detections:
    """Merge detections, best first: all of the first, and those of the second that lie elsewhere."""
    if not first or not second:
        return first or second
    other = second.take(np.flatnonzero(overlaps(second.boxes, first.boxes).max(axis=1) < 0.3))
    together = (
        None if a is None or b is None else np.concatenate([a, b]) for a, b in zip(first, other, strict=True)
    )
    both = Detections(*together)  # pyright: ignore[reportArgumentType]
    return both.take(np.argsort(-both.scores, kind="stable"))


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Divide the area that each box (n, 4) shares with each of the others (m, 4) by that of their union."""
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    end = np.minimum((a[:, :2] + a[:, 2:])[:, None], (b[:, :2] + b[:, 2:])[None])
    shared = np.maximum(end - corner, 0).prod(axis=2)
    both = a[:, 2:].prod(axis=1)[:, None] + b[:, 2:].prod(axis=1)[None] - shared
    return np.where(both > 0, shared / np.where(both > 0, both, 1), 0.0)
