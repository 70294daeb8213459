"""The sizes at which a network looks at a photo."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from jaxclnf.batch.box_rows import middle, overlaps
from jaxclnf.media.detection.detector_protocol import Detections
from jaxclnf.media.images import RGB
from jaxclnf.media.photo_parts import resized

LONGEST = 640
"""Pixels of a photo's longer side for networks; larger photos are reduced."""

SECOND = 0.85
"""A second look at so large a photo finds faces of 24 pixels, which networks see from 20 on ..."""

SECOND_LONGEST = 2560
"""... in photos up to 3,000 pixels; in larger ones the faces of like share."""

SMALL = 40
"""Pixels of a face in the first look, below which there may be smaller ones that only a second look shows."""

MIDDLE = 0.7
"""Share of the second look's size at which a photo with large faces alone is first searched for ..."""

HINT = 0.2
"""... what scores so much and may be a small face: only then is there a second look, of twice the time."""

FAINT = 0.1
"""Score of what a closer look may show to be a face."""

Look = Callable[[RGB, float], Detections]
"""Function that finds what scores at least so much in a picture."""


def in_sizes(look: Look, rgb: RGB, least: float, longest: int = LONGEST) -> Detections:
    """Detect faces that score at least so much in a reduced photo, in one look or more.

    The second look is for small faces; of a face that both show, the first look's box counts.
    """
    return found_and_seen(look, rgb, least, longest)[0]


def found_and_seen(
    look: Look, rgb: RGB, least: float, longest: int = LONGEST
) -> tuple[Detections, Detections]:
    """Detect faces as `in_sizes` does; and all that is seen `FAINT`ly or better in the same looks."""
    side = max(rgb.shape[:2])
    first, second = min(1.0, longest / side), min(SECOND, SECOND_LONGEST / side)
    seen = _seen(look, rgb, first)
    found, small = _scoring(seen, least), SMALL / first
    if second <= first:
        return found, seen
    if not found or _smaller(found, small):
        again = _seen(look, rgb, second)
        return merged(found, _scoring(again, least)), merged(seen, again)
    hints = _smaller(elsewhere(_scoring(seen, HINT), found), small)
    if not hints and MIDDLE * second > first:
        middle = _seen(look, rgb, MIDDLE * second)
        hints, seen = _smaller(elsewhere(_scoring(middle, HINT), found), small), merged(seen, middle)
    if not hints:
        return found, seen
    again = _seen(look, rgb, second)
    return merged(found, _smaller(_scoring(again, least), small)), merged(seen, again)


def _scoring(seen: Detections, least: float) -> Detections:
    """Take those that score at least so much."""
    return seen.take(np.flatnonzero(seen.scores >= least))


def _smaller(seen: Detections, width: float) -> Detections:
    """Take those that are less pixels wide."""
    return seen.take(np.flatnonzero(seen.boxes[:, 2] < width))


def _seen(look: Look, rgb: RGB, scale: float) -> Detections:
    return enlarged(look(reduced(rgb, scale), FAINT), scale)


def reduced(rgb: RGB, scale: float) -> np.ndarray:
    """Shrink a photo by area to ``scale`` times its size."""
    return np.ascontiguousarray(rgb) if scale >= 1 else resized(rgb, scale)


def enlarged(found: Detections, scale: float) -> Detections:
    """Take detections from a photo reduced by ``scale`` to the photo itself.

    Reduction keeps the outer edges of pixels, so their middles shift by half the difference.
    """
    shift = 0.5 / scale - 0.5
    boxes = found.boxes / scale + np.array([shift, shift, 0, 0], np.float32)
    points = None if found.points is None else found.points / scale + shift
    return found._replace(boxes=boxes.astype(np.float32), points=points)


def in_reduced(box: Float[np.ndarray, "4"], scale: float) -> Float[np.ndarray, "4"]:
    """Take a box from a photo to the photo reduced by ``scale``."""
    shift = 0.5 * scale - 0.5
    return (scale * box + np.array([shift, shift, 0, 0])).astype(np.float32)


def merged(first: Detections, second: Detections) -> Detections:
    """Merge detections, best first: all of the first, and those of the second that lie elsewhere."""
    if not first or not second:
        return first or second
    other = elsewhere(second, first)
    together = (
        None if a is None or b is None else np.concatenate([a, b]) for a, b in zip(first, other, strict=True)
    )
    both = Detections(*together)  # pyright: ignore[reportArgumentType]
    return both.take(np.argsort(-both.scores, kind="stable"))


def elsewhere(seen: Detections, found: Detections) -> Detections:
    """Take what lies neither on a face that is found nor within it, as an eye or a mouth does."""
    if not seen or not found:
        return seen
    off = np.abs(middle(seen.boxes)[:, None] - middle(found.boxes)) / found.boxes[:, 2:]
    outside = off.max(axis=2).min(axis=1) > 0.5
    return seen.take(np.flatnonzero(outside & (overlaps(seen.boxes, found.boxes).max(axis=1) < 0.3)))
