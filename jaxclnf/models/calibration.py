"""The confidence of a fit: the probability that its mean landmark error is below 5 % of the eye distance."""

from __future__ import annotations

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int

from jaxclnf.by_identity import ByIdentity
from jaxclnf.config import FitConfig, Stage
from jaxclnf.fitting.arguments import check_kind, check_kinds
from jaxclnf.pytrees import no_tracers
from jaxclnf.types import Calibration, ConvExperts, Experts, FitResult, Model

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
    the model has no calibration. Raises ValueError for settings that the fits are not by, as far as their
    stages tell, and under `jax.jit` and its like: numbers are needed. Of `jaxclnf.fit_settings` with unlike
    values of ``sigma``, each setting's fits want a call with its own ``config``.
    """
    check_kinds(model, config)
    check_kind("result", result, FitResult)
    config = model.settings if config is None else config
    if not (_has_numbers(model) and no_tracers(result)):
        raise ValueError(
            "confidences need numbers: compute them after jit, vmap and grad, from their results"
        )
    _check_stages(result, config)
    batch = np.shape(result.status)
    if len(batch) != 1:
        row = jax.tree.map(lambda a: np.reshape(a, (-1, *np.shape(a)[len(batch) :])), result)
        return confidences(model, row, config).reshape(batch)
    ok = np.asarray(result.usable) & ~np.isneginf(np.asarray(result.log_likelihood))
    if model.calibration is None:
        return np.where(ok, np.nan, 0.0)
    by_network = seen_last_by_network(model, result, config)
    return np.where(ok, promised(model.calibration, signs(model, result, config), by_network), 0.0)


_has_numbers = ByIdentity(no_tracers, no_tracers)  # a model has hundreds of arrays


def _check_stages(result: FitResult, config: FitConfig) -> None:
    """Raise ValueError unless the fits went through as many stages as the settings have."""
    n_went = np.shape(result.iterations)[-2]
    if n_went != len(config.stages):
        raise ValueError(
            f"the fits went through {n_went} stages, and the settings have {len(config.stages)}; "
            "give the settings by which they were fitted"
        )


def promised(
    calibration: Calibration,
    signs: Float[np.ndarray, "n_faces n_signs"],
    by_network: Bool[np.ndarray, " n_faces"] | bool = False,
) -> Float[np.ndarray, " n_faces"]:
    """Compute the confidences of fits from their signs, and from whether a network was the last to look."""
    row = np.broadcast_to(by_network, len(signs)).astype(int)
    slopes, bias = (np.asarray(a, np.float64)[row] for a in (calibration.slopes, calibration.bias))
    return probability((signs * slopes).sum(-1) + bias)


def probability(log_odds: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
    """Compute the probability whose odds have this logarithm; of one beyond what numbers hold, too."""
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -700, 700))))


def by_likelihood(centre: ArrayLike, slope: ArrayLike) -> Calibration:
    """Make a calibration by the likelihood alone (less the networks' spread), which is 1/2 at ``centre``."""
    dtype = np.asarray(centre).dtype
    slopes = np.zeros((2, len(SIGNS)), dtype)
    slopes[:, 0], slopes[:, 1] = slope, -np.asarray(slope)
    return Calibration(slopes, np.full(2, -np.asarray(slope) * np.asarray(centre), dtype))  # type: ignore[arg-type]


def seen_last_by_network(model: Model, result: FitResult, config: FitConfig) -> Bool[np.ndarray, " n_faces"]:
    """Tell of each fit whether a convolutional expert was the last to look: patches need a face's pixels."""
    stages = model.stages_of(config)
    by_network = np.array([isinstance(experts, ConvExperts) for *_, experts in stages] or [False])
    return by_network[_last_stages(stages, result)]


def _last_stages(
    stages: list[tuple[int, Stage, Experts | ConvExperts]], result: FitResult
) -> Int[np.ndarray, " n_faces"]:
    """Find, among the stages that settings have on a model's scales, the last that each fit went through."""
    went = np.asarray(result.iterations)[:, [i for i, *_ in stages]].sum(-1) > 0
    last = went.shape[1] - 1 - went[:, ::-1].argmax(axis=1) if stages else np.zeros(len(went), int)
    return np.where(went.any(axis=1), last, max(len(stages) - 1, 0))


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
    stages = model.stages_of(config)
    areas = [
        0.0 if isinstance(experts, ConvExperts) else 2 * np.log(stage.sigma) for _, stage, experts in stages
    ]
    return (
        np.asarray(result.log_likelihood, np.float64) - np.array(areas or [0.0])[_last_stages(stages, result)]
    )


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
