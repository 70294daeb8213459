"""A view in a validator's file."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class View(NamedTuple):
    """A view as `jaxclnf.types.Validator` has it, without padding."""

    origin: np.ndarray
    triangles: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray
    triangle_of: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    kernels: tuple[np.ndarray, ...]
    kernel_biases: tuple[np.ndarray, ...]
    weights: tuple[np.ndarray, ...]
    weight_biases: tuple[np.ndarray, ...]
