"""How sure a fit is: the probability that its mean landmark error is below 5 % of the eye distance."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from jaxclnf.types import Calibration, ConvExperts, FitConfig, FitResult, Model, usable


def confidences(model: Model, result: FitResult, config: FitConfig) -> Float[np.ndarray, " n_faces"]:
    """Probability of each fit of a batch that its mean error is below 5 % of the outer eye corners' distance.

    Fits without usable landmarks have 0. Of a model without calibration others have NaN: it is unknown.
    """
    ok = np.array([usable(int(status)) for status in result.status])
    if model.calibration is None:
        return np.where(ok, np.nan, 0.0)
    return np.where(ok, promised(model.calibration, comparable(model, result, config)), 0.0)


def promised(
    calibration: Calibration, likelihoods: Float[np.ndarray, " n_faces"]
) -> Float[np.ndarray, " n_faces"]:
    """Probabilities that a calibration gives comparable log-likelihoods."""
    centre, slope = float(calibration.centre), float(calibration.slope)
    return 1 / (1 + np.exp(np.clip(slope * (centre - likelihoods), -700, 700)))


def comparable(model: Model, result: FitResult, config: FitConfig) -> Float[np.ndarray, " n_faces"]:
    """Log-likelihoods without what the settings put into them, and with how certain the networks were.

    A landmark's likelihood is its response map summed under the kernel, so it grows with the kernel's area.
    """
    _, last = config.stages_on(len(model.experts))[-1]
    likelihood = np.asarray(result.log_likelihood, np.float64)
    if not isinstance(model.experts[last.scale], ConvExperts):
        likelihood = likelihood - 2 * np.log(np.asarray(last.sigma))
    if result.covariance is None:
        return likelihood
    return likelihood - _log_spread(result)


def _log_spread(result: FitResult) -> Float[np.ndarray, " n_faces"]:
    """Mean logarithm of the area, in squared model units, that networks leave a landmark."""
    covariance = np.asarray(result.covariance, np.float64)
    scale = np.asarray(result.params.scale, np.float64)
    with np.errstate(all="ignore"):
        return np.log(np.linalg.det(covariance)).mean(-1) / 2 - 2 * np.log(scale)
