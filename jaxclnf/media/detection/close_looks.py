"""Close looks at what a network sees faintly in a photo: tilted, dark, pale and small faces among others.

Each place that scores little is cut out, enlarged, and brought to full contrast, level and tilted to either
side. So seen, faces score 0.7 to 0.9, and other things below 0.6 (experiments/27_detection).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from jaxclnf.media.detection.detector_protocol import Detections
from jaxclnf.media.detection.look_sizes import (
    FAINT,
    LONGEST,
    Look,
    elsewhere,
    enlarged,
    found_and_seen,
    in_reduced,
    merged,
    reduced,
)
from jaxclnf.media.detection.turned_faces import (
    FACE,
    TurnedFace,
    box_in_photo,
    in_the_middle,
    points_in_photo,
    turned_face,
)
from jaxclnf.media.images import RGB

SURE = 0.7
"""Score in a close look from which on a place is taken for a face."""

MOST = 8
"""Places that are looked at, the best first."""

SMALLEST = 12
"""Pixels of the smallest place that is looked at."""

_TILTS = np.radians((-35.0, 35.0))
_LIGHT, _FLAT = 230.0, 16.0  # grey levels between a picture's extremes, and those that show nothing
_EXTREMES = 1, 99  # percentiles


def closely_in_sizes(look: Look, rgb: RGB, least: float) -> Detections:
    """Detect faces as `in_sizes` does, and those that only a close look shows."""
    found, seen = found_and_seen(look, rgb, least)
    hints = elsewhere(seen, found)
    hints = hints.take(np.flatnonzero(hints.boxes[:, 2:].min(axis=1) >= SMALLEST)[:MOST])
    scale = min(1.0, LONGEST / max(rgb.shape[:2]))
    large = scale * hints.boxes[:, 2:].max(axis=1) >= FACE
    small = reduced(rgb, scale) if large.any() else rgb
    for box, is_large in zip(hints.boxes, large, strict=True):
        near = _at_scale(look, small, box, scale) if is_large else close_look(look, rgb, box)
        found = merged(found, near)
    return found


def _at_scale(look: Look, small: RGB, box: Float[np.ndarray, "4"], scale: float) -> Detections:
    """Look closely in a photo reduced by ``scale``, which is enough for a large face, and takes less time."""
    return enlarged(close_look(look, small, in_reduced(box, scale)), scale)


def close_look(look: Look, rgb: RGB, box: Float[np.ndarray, "4"]) -> Detections:
    """Find the face in a box, if it is one."""
    level = _seen(look, turned_face(rgb, box, 0.0))
    if not level or level.scores[0] >= SURE:
        return level
    tilted = [_seen(look, turned_face(rgb, box, tilt)) for tilt in _TILTS]
    best = max([level, *tilted], key=lambda seen: seen.scores.max(initial=0.0))
    return best.take(np.flatnonzero(best.scores >= SURE))


def _seen(look: Look, turned: TurnedFace) -> Detections:
    """What is in the middle of a turned picture in full contrast, in the photo; nothing, if it is not."""
    seen = look(_in_full_contrast(turned.picture), FAINT)
    face = in_the_middle(seen)
    if face is None:
        return seen.take([])
    points = None if face.points is None else points_in_photo(face.points, turned).astype(np.float32)
    return face._replace(boxes=box_in_photo(face.boxes[0], turned)[None], points=points)


def _in_full_contrast(picture: RGB) -> RGB:
    low, high = np.percentile(picture, _EXTREMES)
    gain = _LIGHT / max(float(high - low), _FLAT)
    return np.clip(gain * (picture - np.float32(low)), 0, 255).astype(np.uint8)
