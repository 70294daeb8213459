"""Differences of the validator of OpenFace's 2016 release (``validator_general_68.txt``).

Its kernels are mirrored, since that program convolves; its one fully connected layer ends in one score; and
the pictures of its views have different widths: narrower ones are padded here, with weights of 0.
"""

from __future__ import annotations

import numpy as np

from jaxclnf.models.openface.untrusted_files import ByteReader
from jaxclnf.models.openface.validator_views import View


def read_pool(file: ByteReader) -> None:
    """Read past the size of a pooling layer."""
    file.integer("pixels to pool", 2, 2)


def read_score(file: ByteReader) -> tuple[np.ndarray, np.ndarray]:
    """Read the weights (n_in, 1) and the bias of the fully connected layer."""
    bias = file.take("bias", "<f4", 1)
    weights = file.any_matrix("weights", 2**24)
    if len(weights) != 1:
        raise file.error(f"weights of {len(weights)} scores, expected 1")
    return weights.T, bias


def correlating(kernels: np.ndarray) -> np.ndarray:
    """Turn the kernels of a convolution into those of a correlation."""
    return kernels[..., ::-1, ::-1]


def widened(views: list[View]) -> list[View]:
    """Widen the views to as many columns as the widest one has."""
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
    """Spread weights (n_in, 1), map by map and column by column, over maps of more columns.

    If they do not fit maps of so many rows they are returned unchanged, and
    `jaxclnf.models.openface.validator_files` refuses them.
    """
    own = len(weights) // max(n_maps * rows, 1)
    if own > cols or own * n_maps * rows != len(weights):
        return weights
    by_column = weights.reshape(n_maps, own, rows)
    return np.pad(by_column, ((0, 0), (0, cols - own), (0, 0))).reshape(-1, 1)
