"""How sure a fit is: the probability that its mean landmark error is below 5 % of the eye distance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxclnf.types import FitConfig, FitResult, Model, usable


class Calibration(NamedTuple):
    """Logistic curve over the comparable log-likelihood: 1/2 at ``centre``, as steep as ``slope``."""

    centre: float
    slope: float


# Fitted on training faces by experiments/21_confidence, by the model's name; others borrow the first.
CALIBRATIONS = {
    "main_clnf_general": Calibration(centre=-0.762, slope=5.81),
    "jaxclnf 68 landmarks": Calibration(centre=-5.014, slope=3.17),
}


def confidences(model: Model, result: FitResult, config: FitConfig) -> Float[np.ndarray, " n_faces"]:
    """Probability of each fit of a batch that its mean error is below 5 % of the outer eye corners' distance.

    Fits without usable landmarks have 0.
    """
    calibration = CALIBRATIONS.get(model.provenance.name, next(iter(CALIBRATIONS.values())))
    ok = np.array([usable(int(status)) for status in result.status])
    x = np.where(ok, comparable(model, result, config), -np.inf)
    return 1 / (1 + np.exp(np.minimum(calibration.slope * (calibration.centre - x), 700)))


def comparable(model: Model, result: FitResult, config: FitConfig) -> Float[np.ndarray, " n_faces"]:
    """Log-likelihoods without what the settings put into them.

    A landmark's likelihood is its response map summed under the kernel, so it grows with the kernel's area.
    """
    last, _ = config.stages(len(model.experts))[-1]
    return np.asarray(result.log_likelihood, np.float64) - 2 * np.log(np.asarray(config.sigma)[last])
