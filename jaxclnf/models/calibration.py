"""The confidence of a fit: the probability that its mean landmark error is below 5 % of the eye distance."""

from __future__ import annotations

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxclnf.config import FitConfig
from jaxclnf.fitting.arguments import check_kind, check_kinds
from jaxclnf.types import Calibration, ConvExperts, FitResult, Model

SIGNS = ("likelihood", "spread", "widest", "shape", "size")
"""The signs that tell good fits from bad ones, in the order of a calibration's slopes: see `signs`."""

_CLEAR = 1.25
"""Pixels per model unit beyond which a larger face is not clearer."""

_MOST = 30.0  # bound of a sign; values beyond it are replaced by it
_WORST = _MOST * np.array([-1, 1, 1, 1, -1])
"""What the signs of a bad fit are like, and so those that are no number."""


def confidences(
    model: Model, result: FitResult, config: FitConfig | None = None
) -> Float[np.ndarray, "*batch"]:
    """Compute the probability that the mean error of a fit is below 5 % of the distance of the eyes.

    ``result``: one fit or many, with any leading axes, by the settings ``config`` or the model's own. Gives a
    number for each, as tables have it: 0 for fits without usable landmarks, NaN, for unknown, for others if
    the model has no calibration.
    """
    check_kinds(model, config)
    check_kind("result", result, FitResult)
    config = model.settings if config is None else config
    batch = np.shape(result.status)
    if len(batch) != 1:
        row = jax.tree.map(lambda a: np.reshape(a, (-1, *np.shape(a)[len(batch) :])), result)
        return confidences(model, row, config).reshape(batch)
    ok = np.asarray(result.usable) & ~np.isneginf(np.asarray(result.log_likelihood))
    if model.calibration is None:
        return np.where(ok, np.nan, 0.0)
    ending = int(ends_with_network(model, config))
    return np.where(ok, promised(model.calibration, signs(model, result, config), ending), 0.0)


def promised(
    calibration: Calibration, signs: Float[np.ndarray, "n_faces n_signs"], ending: int = 0
) -> Float[np.ndarray, " n_faces"]:
    """Compute the confidences of fits from their signs; ``ending`` is 1 if a network looked last, else 0."""
    slopes, bias = (np.asarray(a, np.float64)[ending] for a in (calibration.slopes, calibration.bias))
    return 1 / (1 + np.exp(-np.clip(signs @ slopes + bias, -700, 700)))


def by_likelihood(centre: ArrayLike, slope: ArrayLike) -> Calibration:
    """Make a calibration by the likelihood alone (less the networks' spread), which is 1/2 at ``centre``."""
    dtype = np.asarray(centre).dtype
    slopes = np.zeros((2, len(SIGNS)), dtype)
    slopes[:, 0], slopes[:, 1] = slope, -np.asarray(slope)
    return Calibration(slopes, np.full(2, -np.asarray(slope) * np.asarray(centre), dtype))  # type: ignore[arg-type]


def ends_with_network(model: Model, config: FitConfig) -> bool:
    """Tell whether a convolutional expert is the last to look at a face under these settings."""
    stages = model.stages_of(config)
    return bool(stages) and isinstance(stages[-1][2], ConvExperts)


def signs(model: Model, result: FitResult, config: FitConfig) -> Float[np.ndarray, "n_faces n_signs"]:
    """Compute the signs of a batch of fits, in the order of `SIGNS`.

    likelihood: the log-likelihood without what the settings put into it; spread, widest: the logarithm of
    the area in squared model units that networks leave a landmark, its mean and its 90 % quantile over the
    landmarks (0 of settings without networks); shape: logarithm of how far the shape is from the mean one, in
    variances a mode; size: logarithm of the pixels a model unit, as far as they make a face clearer.
    """
    params = result.params
    with np.errstate(all="ignore"):
        unlikely = np.asarray(params.shape, np.float64) ** 2 / np.asarray(model.pdm.eigenvalues, np.float64)
        shape = np.log(np.maximum(unlikely.mean(-1), 1e-3))
        size = np.log(np.minimum(np.asarray(params.scale, np.float64), _CLEAR))
    columns = np.stack([_likelihood(model, result, config), *_spread(result), shape, size], axis=-1)
    return np.where(np.isnan(columns), _WORST, np.clip(columns, -_MOST, _MOST))


def _likelihood(model: Model, result: FitResult, config: FitConfig) -> Float[np.ndarray, " n_faces"]:
    """A patch expert's likelihood is a response map summed under the kernel, and grows with its area."""
    likelihood = np.asarray(result.log_likelihood, np.float64)
    if ends_with_network(model, config):
        return likelihood
    _, last, _ = model.stages_of(config)[-1]
    return likelihood - 2 * np.log(np.asarray(last.sigma))


def _spread(result: FitResult) -> tuple[Float[np.ndarray, " n_faces"], Float[np.ndarray, " n_faces"]]:
    if result.covariance is None:
        nothing = np.zeros(np.shape(result.log_likelihood))
        return nothing, nothing
    scale = np.asarray(result.params.scale, np.float64)
    with np.errstate(all="ignore"):
        covariance = np.asarray(result.covariance, np.float64)
        areas = covariance[..., 0, 0] * covariance[..., 1, 1] - covariance[..., 0, 1] * covariance[..., 1, 0]
        logs = np.log(areas) / 2
        logs = np.nan_to_num(logs - 2 * np.log(scale)[:, None], nan=_MOST, posinf=_MOST, neginf=-_MOST)
    return logs.mean(-1), np.quantile(logs, 0.9, axis=-1)
