"""A second look at tilted faces: their surroundings are turned upright, and the face is found there anew."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from jaxclnf.media.detection.detector_protocol import Detections, Detector, as_detections
from jaxclnf.media.detection.turned_faces import box_in_photo, in_the_middle, turned_face
from jaxclnf.media.images import RGB

TILTED = np.radians(15)
"""Faces that roll less start from level boxes, which is slightly better for them."""

USUAL_SHARE = 0.65
"""Share of a face's roll that its points show, unless a detector has an own ``roll_share``.

Networks that learned from upright faces place points as if a face rolled less: on photos turned 10 to 40
degrees, by two thirds (experiments/27_detection).
"""

_SUSPECT = np.radians(7) / USUAL_SHARE
_LEVEL = np.radians(3) / USUAL_SHARE
CLEAR = 0.91  # score of an upright face ...
LARGE = 40  # ... that is more pixels wide; smaller ones have less, and look alike from all sides
_CLEARER = 0.03  # that another side must show a face better, if ...
_AT_LEAST = 0.8  # ... it shows it well: under noise scores differ by chance
_MOST_LOOKS = 4

# Eyes, nose and corners of the mouth of an upright face, as complex numbers x + iy about their middle.
_UPRIGHT = np.array([-1 - 1j, 1 - 1j, 0, -0.8 + 1j, 0.8 + 1j])


def roll_of(points: Float[np.ndarray, "5 2"]) -> float:
    """Compute the roll that a face's points show: clockwise as seen, in radians."""
    x, y = (points - points.mean(axis=0)).T
    return float(np.angle(np.sum(np.conj(_UPRIGHT) * (x + 1j * y))))


def _roll(detector: Detector, points: Float[np.ndarray, "5 2"]) -> float:
    """Estimate a face's roll from the points that a detector tells."""
    return roll_of(points) / getattr(detector, "roll_share", USUAL_SHARE)


def with_rolls(detector: Detector, rgb: RGB, any_side: bool = False) -> Detections:
    """Detect faces; the box of a tilted one is tilted with it.

    If ``any_side`` of the photo may be the upper one, faces that are not seen clearly are looked at from all.
    """
    find = getattr(detector, "closely", detector) if any_side else detector
    found = as_detections(find(rgb))
    rolls = np.zeros(len(found.boxes), np.float32)
    boxes, scores = found.boxes.copy(), found.scores.copy()
    for i, points in enumerate(() if found.points is None else found.points):
        if not (boxes[i, 2:] > 0).all():
            continue
        first = _roll(detector, points)
        if any_side and scores[i] < CLEAR and boxes[i, 2] > LARGE:
            first, scores[i] = _from_all_sides(detector, rgb, boxes[i], first, float(scores[i]))
        if abs(first) > _SUSPECT:
            boxes[i], rolls[i] = _second_look(detector, rgb, boxes[i], first)
    return found._replace(boxes=boxes, scores=scores, rolls=rolls)


def _from_all_sides(
    detector: Detector, rgb: RGB, box: Float[np.ndarray, "4"], first: float, score: float
) -> tuple[float, float]:
    """The roll at which a face is seen best, and its score there: as it was, or turned by quarters."""
    best = first, max(score + _CLEARER, _AT_LEAST)
    for quarter in (np.pi / 2, -np.pi / 2, np.pi):
        found = in_the_middle(detector(turned_face(rgb, box, quarter).picture))
        if found is not None and found.points is not None and found.scores[0] > best[1]:
            best = quarter + _roll(detector, found.points[0]), float(found.scores[0])
    return best if best[0] != first else (first, score)


def _second_look(
    detector: Detector, rgb: RGB, box: Float[np.ndarray, "4"], roll: float
) -> tuple[Float[np.ndarray, "4"], float]:
    """The face's box and roll, or the box as it was where the face is nearly level or not found anew."""
    best = (box, 0.0)
    for _ in range(_MOST_LOOKS):
        turned = turned_face(rgb, box, roll)
        found = in_the_middle(detector(turned.picture))
        if found is None or found.points is None:
            break
        best = box_in_photo(found.boxes[0], turned), _principal(roll)
        left = _roll(detector, found.points[0])
        if abs(left) < _LEVEL:
            break
        roll += left
    return best if abs(best[1]) > TILTED else (box, 0.0)


def _principal(angle: float) -> float:
    """An angle in [-pi, pi]."""
    return float((angle + np.pi) % (2 * np.pi) - np.pi)
