"""dlib's HOG detector, its boxes moved to where OpenFace starts a fit: what OpenFace's settings ask for."""

from __future__ import annotations

import threading

import cv2
import numpy as np
from jaxtyping import UInt8

from jaxclnf.media.detection.detector_protocol import Detections
from jaxclnf.media.images import RGB

# From OpenFace's DetectFacesHOG: the photo is enlarged to find smaller faces, weak detections count, and
# the detector's box, which cuts through the forehead, is moved to span the 68 landmarks.
_ENLARGE = 1.3
_THRESHOLD = -0.2
_SHIFT = np.array([0.0389, 0.1278])  # in parts of the detected width and height
_STRETCH = np.array([0.9611, 0.9388])

# dlib's pyramid scales boxes up by p -> 1.2 p + 0.3 a level where its images call for 1.2 p. The sum over
# the levels, 1.5 (1.2^level - 1), moves a face by 1.4 % of its width to the right and down; it is taken back.
_SMALLEST = 72.3  # width of a detection at level 0

_local = threading.local()  # a detector keeps its feature pyramid: one a thread


def detect_hog(rgb: RGB) -> Detections:
    """Find all upright faces larger than about 60 pixels."""
    return detect_grey(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))


def detect_grey(grey: UInt8[np.ndarray, "height width"]) -> Detections:
    """Find faces in a grey photo as `detect_hog` does; scores are the detector's margins, above -0.2."""
    if not hasattr(_local, "detector"):
        import dlib

        _local.detector = dlib.get_frontal_face_detector()  # pyright: ignore[reportAttributeAccessIssue]
    height, width = grey.shape
    size = max(int(width * _ENLARGE), 1), max(int(height * _ENLARGE), 1)
    large = cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR)
    found, scores, _ = _local.detector.run(large, 0, _THRESHOLD)
    corner = np.array([[r.left(), r.top()] for r in found]).reshape(-1, 2)
    extent = np.array([[r.width(), r.height()] for r in found]).reshape(-1, 2)
    corner = corner - 1.5 * (extent[:, :1] / _SMALLEST - 1)
    boxes = np.concatenate([corner + _SHIFT * extent, _STRETCH * extent], axis=1) / _ENLARGE
    return Detections(boxes.astype(np.float32), np.array(scores, np.float32))
