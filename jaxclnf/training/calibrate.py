"""What a model's log-likelihoods promise, learned from annotated faces that it did not learn from."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxclnf.data.datasets import Faces
from jaxclnf.data.evaluate import errors_of, fit_annotated
from jaxclnf.models.calibration import comparable
from jaxclnf.types import Calibration, FitConfig, Model

GOOD = 5.0
"""Percent of the outer eye corners' distance; a confidence is the probability of a mean error below it."""

_USUAL_SLOPE, _SPREAD = 4.5, 1.0
"""Slope of the models known so far, and the standard deviation of the logarithm of others'."""


def fit_calibration(model: Model, faces: Faces, config: FitConfig | None = None) -> Calibration:
    """Learn the calibration of a model, of any kind of experts, from fits of annotated faces.

    ``config`` is what the faces are fitted with, by default the model's settings. Faces that the model
    learned from are easier for it than others and make it too sure: leave them out
    (`jaxclnf.data.datasets.Faces.learned_by`). Raises ValueError if errors of these faces have no unit, their
    landmarks are not the model's, or none of them can be fitted.
    """
    config = model.settings if config is None else config
    results = list(fit_annotated(model, faces, config))
    errors = errors_of(results, faces).mean(axis=1)
    fitted = np.isfinite(errors)
    if not fitted.any():
        raise ValueError(f"none of {len(faces)} faces could be fitted; a calibration needs some that can")
    batch = jax.tree.map(lambda *rows: np.stack(rows), *results)
    calibration = logistic_curve(comparable(model, batch, config)[fitted], errors[fitted] < GOOD)
    return jax.tree.map(lambda a: jnp.asarray(a, model.pdm.mean.dtype), calibration)


def logistic_curve(likelihoods: Float[np.ndarray, " n"], good: Bool[np.ndarray, " n"]) -> Calibration:
    """Find the likeliest curve, given which faces were fitted well.

    A few faces, or only good ones, would make the curve a step. A prior therefore holds its slope near those
    of other models, and the shares aimed at stay short of 0 and 1 (Platt 1999).
    """
    from scipy.optimize import minimize

    n_good, n_bad = int(good.sum()), int((~good).sum())
    target = np.where(good, (n_good + 1) / (n_good + 2), 1 / (n_bad + 2))

    def loss(values: np.ndarray) -> float:
        centre, log_slope = values
        x = np.exp(np.clip(log_slope, -20, 20)) * (likelihoods - centre)
        unlikely = np.sum(target * np.logaddexp(0, -x) + (1 - target) * np.logaddexp(0, x))
        return float(unlikely + 0.5 * ((log_slope - np.log(_USUAL_SLOPE)) / _SPREAD) ** 2)

    start = [np.median(likelihoods), np.log(_USUAL_SLOPE)]
    centre, log_slope = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-8}).x
    return Calibration(*map(np.asarray, (centre, np.exp(log_slope))))  # type: ignore[arg-type]
