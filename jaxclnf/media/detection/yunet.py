"""YuNet (Wu, Peng and Yu, Machine Intelligence Research 2023; MIT) from its ONNX file, run by JAX.

What OpenCV's FaceDetectorYN does: a cell of each grid (strides 8, 16, 32) scores class and object, and
tells a box and five points. Its weights were learned on WIDER FACE, photos collected for research.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxclnf.media.detection.close_looks import closely_in_sizes
from jaxclnf.media.detection.detector_protocol import BoxMap, Detections
from jaxclnf.media.detection.look_sizes import in_sizes
from jaxclnf.media.detection.onnx_network import Network, Weights, read_network
from jaxclnf.media.images import RGB

STRIDES = (8, 16, 32)
_TO_LANDMARKS = BoxMap(shift=(-0.016, 0.244), stretch=(1.033, 0.762))
_SAME = 0.3  # boxes that overlap more are of one face


class YuNet:
    """The detector in a file; ``threshold`` is the lowest score of a face."""

    def __init__(self, path: Path, threshold: float = 0.5) -> None:
        self._network = _network(path)
        self._threshold = threshold
        self._run = jax.jit(_cells, static_argnums=0)
        self._key = _Fixed(self._network)

    def __call__(self, rgb: RGB) -> Detections:
        """Find all faces of 24 pixels and more."""
        return _TO_LANDMARKS.around_landmarks(in_sizes(self._look, rgb, self._threshold))

    def closely(self, rgb: RGB) -> Detections:
        """Find those faces, too, that only a close look shows."""
        return _TO_LANDMARKS.around_landmarks(closely_in_sizes(self._look, rgb, self._threshold))

    def _look(self, rgb: RGB, least: float) -> Detections:
        return self.look([rgb], least)[0]

    def look(self, photos: Sequence[RGB], least: float | None = None) -> list[Detections]:
        """Compute the network's own boxes in a batch of photos of one size, which are not reduced.

        They score at ``least`` so much, or the detector's threshold.
        """
        batch = np.stack([_padded(photo) for photo in photos])
        values = np.asarray(self._run(self._key, self._network.weights, batch))
        return [_faces(rows, self._threshold if least is None else least) for rows in values]


def _faces(rows: Float[np.ndarray, "n_cells 15"], least: float) -> Detections:
    rows = rows[rows[:, 14] >= least]
    whole = rows[:, :4].astype(int).tolist()  # OpenCV compares boxes of whole pixels
    kept = cv2.dnn.NMSBoxes(whole, rows[:, 14].tolist(), least, _SAME) if whole else ()
    rows = rows[np.array(kept, int).reshape(-1)]
    return Detections(rows[:, :4], rows[:, 14], rows[:, 4:14].reshape(-1, 5, 2))


class _Fixed:
    """A network as a static argument of JAX, which is compared by identity."""

    def __init__(self, network: Network) -> None:
        self.network = network


@cache
def _network(path: Path) -> Network:
    network = read_network(path)
    expected = {f"{what}_{stride}" for what in ("cls", "obj", "bbox", "kps") for stride in STRIDES}
    if set(network.outputs) != expected:
        raise ValueError(f"{path} holds no YuNet: it tells {', '.join(network.outputs)}")
    return network


def _padded(rgb: RGB) -> np.ndarray:
    """Pad with black below and to the right, to multiples of the largest stride."""
    below, right = (-n % STRIDES[-1] for n in rgb.shape[:2])
    return np.pad(rgb, ((0, below), (0, right), (0, 0)))


def _cells(fixed: _Fixed, weights: Weights, photos: Array) -> Float[Array, "n_photos n_cells 15"]:
    """Decode box x, y, w, h, five points and score of every cell."""
    bgr = photos[..., ::-1].astype(jnp.float32)
    values = dict(zip(fixed.network.outputs, fixed.network(weights, bgr), strict=True))
    return jnp.concatenate([_decoded(values, stride, bgr.shape[2] // stride) for stride in STRIDES], axis=1)


def _decoded(values: dict[str, Array], stride: int, width: int) -> Float[Array, "n_photos n_cells 15"]:
    """Decode the cells of a grid, ``width`` in a row, to pixels."""
    classes, objects, boxes, points = (values[f"{what}_{stride}"] for what in ("cls", "obj", "bbox", "kps"))
    row, column = jnp.divmod(jnp.arange(classes.shape[1]), width)
    place = jnp.stack([column, row], axis=-1).astype(jnp.float32)
    size = jnp.exp(boxes[..., 2:]) * stride
    place = place[None]
    corner = (boxes[..., :2] + place) * stride - size / 2
    points = (points + jnp.tile(place, (1, 1, 5))) * stride
    score = jnp.sqrt(jnp.clip(classes, 0, 1) * jnp.clip(objects, 0, 1))
    return jnp.concatenate([corner, size, points, score], axis=-1)
