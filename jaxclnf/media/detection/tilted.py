"""A second look at tilted faces: their surroundings are turned upright, and the face is found there anew."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxclnf.batch.box_rows import box_about_pixel
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
CLEAR = 0.92  # score of an upright face; one upside down, taken for upright, has up to 0.91 ...
LARGE = 40  # ... that is more pixels wide; smaller ones have less, and look alike from all sides
_CLEARER = 0.03  # that another side must show a face better at the same size, if ...
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
    """Detect faces; the box of a tilted one is tilted with it, unless the detector tells the rolls itself.

    If ``any_side`` of the photo may be the upper one, faces that are not seen clearly are looked at from all.
    """
    find = getattr(detector, "closely", detector) if any_side else detector
    found = as_detections(find(rgb))
    if found.rolls is not None:
        return found
    rolls = np.zeros(len(found.boxes), np.float32)
    boxes, scores = found.boxes.copy(), found.scores.copy()
    for i, points in enumerate(() if found.points is None else found.points):
        if not (boxes[i, 2:] > 0).all():
            continue
        seen = _Sight(boxes[i], _roll(detector, points), float(scores[i]))
        if any_side and scores[i] < CLEAR and boxes[i, 2] > LARGE:
            seen = _from_all_sides(detector, rgb, seen, points)
        if abs(seen.roll) > _SUSPECT:
            seen = _second_look(detector, rgb, seen)
        if abs(seen.roll) > TILTED:
            boxes[i], rolls[i], scores[i] = seen
    return found._replace(boxes=boxes, scores=scores, rolls=rolls)


class _Sight(NamedTuple):
    """A face as it is seen in a photo or a turned picture of it."""

    box: Float[np.ndarray, "4"]  # about the face's middle in the photo, not tilted yet
    roll: float
    score: float


def _seen(detector: Detector, rgb: RGB, box: Float[np.ndarray, "4"], roll: float) -> _Sight | None:
    """Look at the face in a box as if it rolled less by ``roll``."""
    turned = turned_face(rgb, box, roll)
    found = in_the_middle(detector(turned.picture))
    if found is None or found.points is None:
        return None
    roll += _roll(detector, found.points[0])
    return _Sight(box_in_photo(found.boxes[0], turned), roll, float(found.scores[0]))


def _from_all_sides(detector: Detector, rgb: RGB, first: _Sight, points: Float[np.ndarray, "5 2"]) -> _Sight:
    """Look from the photo's other sides; gives the best sight of the face, or the first if it is clear.

    Scores differ by the size of a picture as much as by its side, so that all sides are looked at alike.
    """
    as_it_is = _seen(detector, rgb, _about(points, first.box), first.roll)
    score = first.score if as_it_is is None else as_it_is.score
    best, least = first, max(score + _CLEARER, _AT_LEAST)
    for quarter in (np.pi / 2, -np.pi / 2, np.pi) if score < CLEAR else ():
        # The box of a face upside down that is taken for upright holds its eyes and, below them, forehead
        # and hair: the eyes are nearest to its middle. Of faces that lie on a side all points are.
        middle = points[:2] if quarter == np.pi else points
        seen = _seen(detector, rgb, _about(middle, first.box), quarter)
        if seen is not None and seen.score > least:
            best, least = seen, seen.score
    return best


def _about(points: Float[np.ndarray, "n 2"], box: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4"]:
    """Move a box's middle to that of points."""
    return box_about_pixel(points.mean(axis=0), box[2:])


def _second_look(detector: Detector, rgb: RGB, first: _Sight) -> _Sight:
    """Turn a face upright until its roll is known; it stays level, in its box, if it is not found anew."""
    best, roll = first._replace(roll=0.0), first.roll
    for _ in range(_MOST_LOOKS):
        seen = _seen(detector, rgb, first.box, roll)
        if seen is None:
            break
        best = _Sight(seen.box, _principal(roll), first.score)
        if abs(seen.roll - roll) < _LEVEL:
            break
        roll = seen.roll
    return best


def _principal(angle: float) -> float:
    """An angle in [-pi, pi]."""
    return float((angle + np.pi) % (2 * np.pi) - np.pi)
