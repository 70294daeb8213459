"""Further looks at photos in which a detector finds nothing: brighter and smoother, then turned by quarters.

Networks find few faces in a tenth of the light under noise, and few that lie on their sides. Small, smooth
pictures show the first, pictures turned by a quarter the others (experiments/27_detection).
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float

from jaxclnf.media.detection.detector_protocol import Detections, Detector
from jaxclnf.media.detection.look_sizes import LONGEST, enlarged, reduced
from jaxclnf.media.detection.tilted import with_rolls
from jaxclnf.media.images import RGB

_CLEARER = ((LONGEST // 2, 1.0), (LONGEST, 2.0))
"""Longest sides of brighter pictures, and the standard deviation of their blur, in pixels."""

_LIGHT, _LEAST = 220.0, 8.0
"""What the brightest hundredth of a picture becomes, unless it is darker than the least: there is nothing."""


def with_further_looks(detector: Detector, rgb: RGB, turned: bool = True) -> Detections:
    """Detect faces; if there are none, in a brighter picture, and if there are none yet, in ``turned`` ones.

    Detectors that tell no points look once: that is dlib's, which does what OpenFace does.
    """
    found = with_rolls(detector, rgb, turned)
    if found or found.points is None:
        return found
    for longest, blur in _CLEARER:
        if found := _looked(detector, rgb, longest, blur):
            return found
    for quarters in (1, 3, 2) if turned else ():
        if found := _on_its_side(detector, rgb, quarters):
            return found
    return found


def _looked(detector: Detector, rgb: RGB, longest: int, blur: float) -> Detections:
    """What is found in a reduced picture that is brighter and smoother."""
    scale = min(1.0, longest / max(rgb.shape[:2]))
    small = reduced(rgb, scale)
    gain = _LIGHT / max(float(np.percentile(small, 99)), _LEAST)
    bright = cv2.convertScaleAbs(cv2.GaussianBlur(small, (0, 0), blur), alpha=gain)
    return enlarged(with_rolls(detector, bright), scale)


def _on_its_side(detector: Detector, rgb: RGB, quarters: int) -> Detections:
    """What is found in a reduced picture that is turned by quarters, as the faces lie in the photo."""
    scale = min(1.0, LONGEST / max(rgb.shape[:2]))
    small = reduced(rgb, scale)
    found = with_rolls(detector, np.ascontiguousarray(np.rot90(small, quarters)))
    if not found or found.points is None or found.rolls is None:
        return found
    size = found.boxes[:, 2:]
    middles = _turned_back(found.boxes[:, :2] + (size - 1) / 2, quarters, small.shape[1::-1])
    boxes = np.concatenate([middles - (size - 1) / 2, size], axis=1).astype(np.float32)
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
