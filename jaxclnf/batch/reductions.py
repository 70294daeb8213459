"""How much large faces are reduced before a fit, to the pixels that the experts were trained on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from jaxclnf.config import FitConfig
from jaxclnf.types import Model


def reduction_by(model: Model, config: FitConfig) -> Callable[[np.ndarray], float]:
    """Make the function from a face's box to the factor by which these settings reduce the face."""
    mean_size = np.ptp(np.asarray(model.pdm.mean)[:, :2], axis=0)
    return partial(reduction, mean_size, config.resolution)


def reduction(mean_size: np.ndarray, resolution: float, box: np.ndarray) -> float:
    """Compute the factor that leaves a face at most ``resolution`` pixels per model unit; 1 if that is 0.

    ``mean_size`` is the mean face's width and height in model units.
    """
    pixels = float(np.mean(box[2:4] / mean_size))
    return min(1.0, resolution / pixels) if resolution and pixels > 0 else 1.0
