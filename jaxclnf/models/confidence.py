"""The confidence of fits, by OpenFace 2's validator or by a model's own calibration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxclnf.config import FitConfig
from jaxclnf.fitting.validate import certainties
from jaxclnf.models.calibration import confidences
from jaxclnf.types import FitResult, Model, Validator


def how_sure(
    model: Model,
    result: FitResult,
    config: FitConfig,
    validator: Validator | None,
    images: Sequence[np.ndarray],
) -> Float[np.ndarray, " n_faces"]:
    """Compute the validator's certainty of each fit of a batch, or without a validator the confidence."""
    if validator is None:
        return confidences(model, result, config)
    certain = certainties(validator, images, result.landmarks, result.params.rotation)
    return np.where(result.usable, certain, 0.0)
