"""What is different in the validator of the OpenFace of 2016 (``validator_general_68.txt``).

Its kernels are mirrored, for the program convolves; one connected layer ends in one score; and pictures of
views are of different widths: narrower ones are padded here, with weights of 0.
"""

from __future__ import annotations

import numpy as np

from jaxclnf.models.openface.files import ByteReader
from jaxclnf.models.openface.views import View


def read_pool(file: ByteReader) -> None:
    """Pass over the pixels of a side that a pooling layer makes one of."""
    file.integer("pixels to pool", 2, 2)


def read_score(file: ByteReader) -> tuple[np.ndarray, np.ndarray]:
    """The weights (n_in, 1) and the bias of the connected layer."""
    bias = file.take("bias", "<f4", 1)
    weights = file.any_matrix("weights", 2**24)
    if len(weights) != 1:
        raise file.error(f"weights of {len(weights)} scores, expected 1")
    return weights.T, bias


def correlating(kernels: np.ndarray) -> np.ndarray:
    """Kernels of a convolution as those of a correlation."""
    return kernels[..., ::-1, ::-1]


def widened(views: list[View]) -> list[View]:
    """Views with as many columns as the widest one's."""
    width = max(view.triangle_of.shape[1] for view in views)
    return [_widened(view, width) for view in views]


def _widened(view: View, width: int) -> View:
    def padded(picture: np.ndarray, outside: float) -> np.ndarray:
        return np.pad(picture, ((0, 0), (0, width - picture.shape[1])), constant_values=outside)

    rows, cols = len(view.triangle_of), width
    for kernels in view.kernels:
        rows, cols = ((n - k + 1) // 2 for n, k in zip((rows, cols), kernels.shape[2:], strict=True))
    pictures = padded(view.triangle_of, -1), padded(view.mean, 0), padded(view.deviation, 1)
    triangle_of, mean, deviation = pictures
    weights = (_spread(view.weights[0], len(view.kernels[-1]), rows, cols),)
    return view._replace(triangle_of=triangle_of, mean=mean, deviation=deviation, weights=weights)


def _spread(weights: np.ndarray, n_maps: int, rows: int, cols: int) -> np.ndarray:
    """Weights (n_in, 1), map by map and column by column, for maps of more columns.

    As they are if they fit no maps of so many rows, which `jaxclnf.models.openface.validator` will refuse.
    """
    own = len(weights) // max(n_maps * rows, 1)
    if own > cols or own * n_maps * rows != len(weights):
        return weights
    by_column = weights.reshape(n_maps, own, rows)
    return np.pad(by_column, ((0, 0), (0, cols - own), (0, 0))).reshape(-1, 1)
