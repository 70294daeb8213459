"""Further looks at photos in which a detector finds nothing, or no upright face: brighter, smoother, turned.

Networks find few faces in a tenth of the light under noise, and few that lie on their sides. Small, smooth
pictures show the first, pictures turned by a quarter the others (experiments/27_detection).
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float

from jaxclnf.batch.box_rows import box_about_pixel, middle_pixel
from jaxclnf.media.detection.detector_protocol import Detections, Detector
from jaxclnf.media.detection.look_sizes import LONGEST, enlarged, merged, reduced
from jaxclnf.media.detection.tilted import CLEAR, LARGE, with_rolls
from jaxclnf.media.images import RGB

_CLEARER = ((LONGEST // 2, 1.0), (LONGEST, 2.0))
"""Longest sides of brighter pictures, and the standard deviation of their blur, in pixels."""

_LIGHT, _LEAST = 220.0, 8.0
"""What the brightest hundredth of a picture becomes, unless it is darker than the least: there is nothing."""

_WELL = 0.8
"""Score of a face from which on it tells which side of the photo is the upper one; small ones look alike."""

_UPRIGHT = np.radians(60)
"""Roll of a face below which the photo is not taken to lie on its side."""


def with_further_looks(detector: Detector, rgb: RGB, turned: bool = True) -> Detections:
    """Detect faces; if there are none, in a brighter picture, and if there are none yet, in ``turned`` ones.

    Where no face is clear and upright the photo itself may lie on a side: if it is seen better from another,
    all its faces are looked for from there. Detectors that tell no points look once: that is dlib's, which
    does what OpenFace does.
    """
    found = with_rolls(detector, rgb, turned)
    if found.points is None:
        return found
    brighter = (_looked(detector, rgb, *each) for each in _CLEARER)
    found = found or next((seen for seen in brighter if seen), found)
    return _from_better_side(detector, rgb, found) if turned else found


def _from_better_side(detector: Detector, rgb: RGB, found: Detections) -> Detections:
    """Look from the side from which faces are seen upright, unless it is the photo's upper one."""
    rolls = np.zeros(len(found.boxes)) if found.rolls is None else found.rolls
    well, lies = found.scores >= _WELL, np.abs(rolls) >= _UPRIGHT
    telling = well & ((found.boxes[:, 2] > LARGE) | (found.scores >= CLEAR))
    if (telling & ~lies).any():
        return found
    told = set((np.round(rolls[well & lies] / (np.pi / 2)).astype(int) % 4).tolist())
    if len(told) == 1:
        return merged(_on_its_side(detector, rgb, told.pop(), whole=True), found)
    sides = {quarters: _on_its_side(detector, rgb, quarters) for quarters in told or (1, 3, 2)}
    best = max(sides, key=lambda quarters: sides[quarters].scores.sum())
    seen = sides[best]
    if found and (seen.scores.sum() < found.scores.sum() or seen.scores.max(initial=0.0) < _WELL):
        return found
    if seen and max(rgb.shape[:2]) > LONGEST:
        seen = merged(seen, _on_its_side(detector, rgb, best, whole=True))
    return merged(seen, found)


def _looked(detector: Detector, rgb: RGB, longest: int, blur: float) -> Detections:
    """What is found in a reduced picture that is brighter and smoother."""
    scale = min(1.0, longest / max(rgb.shape[:2]))
    small = reduced(rgb, scale)
    gain = _LIGHT / max(float(np.percentile(small, 99)), _LEAST)
    bright = cv2.convertScaleAbs(cv2.GaussianBlur(small, (0, 0), blur), alpha=gain)
    return enlarged(with_rolls(detector, bright), scale)


def _on_its_side(detector: Detector, rgb: RGB, quarters: int, whole: bool = False) -> Detections:
    """What is found in the photo, or a reduced one, turned by quarters, as the faces lie in the photo."""
    scale = 1.0 if whole else min(1.0, LONGEST / max(rgb.shape[:2]))
    small = reduced(rgb, scale)
    found = with_rolls(detector, np.ascontiguousarray(np.rot90(small, quarters)), whole)
    if not found or found.points is None or found.rolls is None:
        return found
    middles = _turned_back(middle_pixel(found.boxes), quarters, small.shape[1::-1])
    boxes = box_about_pixel(middles, found.boxes[:, 2:]).astype(np.float32)
    points = _turned_back(found.points, quarters, small.shape[1::-1])
    rolls = (found.rolls + quarters * np.pi / 2 + np.pi) % (2 * np.pi) - np.pi
    back = found._replace(boxes=boxes, points=points, rolls=rolls.astype(np.float32))
    return enlarged(back, scale)


def _turned_back(
    points: Float[np.ndarray, "*n 2"], quarters: int, size: tuple[int, int]
) -> Float[np.ndarray, "*n 2"]:
    """Points of a picture of a ``size`` (width, height) that lie here in the picture turned by quarters."""
    x, y = points[..., 0], points[..., 1]
    across, down = size[0] - 1, size[1] - 1
    return np.stack({1: (across - y, x), 2: (across - x, down - y), 3: (y, down - x)}[quarters], axis=-1)
