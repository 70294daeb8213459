"""What the signs of a model's fits promise, learned from annotated faces that it did not learn from."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Bool, Float, Int

from jaxclnf.batch.many_faces import fit_stream
from jaxclnf.config import FitConfig
from jaxclnf.data.datasets import Faces
from jaxclnf.data.evaluate import check_landmarks
from jaxclnf.models.calibration import SIGNS, seen_last_by_network, signs
from jaxclnf.models.network_presets import has_network, settings_for
from jaxclnf.training.logistic import likeliest_curve
from jaxclnf.training.trials import Trial, trials
from jaxclnf.types import Calibration, Model

GOOD = 5.0
"""Percent of the outer eye corners' distance; a confidence is the probability of a mean error below it."""

MOST_FACES = 400
"""Faces that a calibration is learned from; it has few numbers to learn."""

_AT_ONCE = 8
"""Faces whose photos are held at once, each made harder in several ways."""

_USUAL = {"likelihood": 4.5}
"""Slopes of the models known so far; those of other signs have been of either sign ..."""

_PULL = 1.0  # ... and the inverse variance of a slope about them, in units of the sign's deviation


class Curve(NamedTuple):
    """What a fit's signs are multiplied by and what their sum is added to: the logarithm of the odds."""

    slopes: Float[np.ndarray, " n_signs"]
    bias: float


class FittedTrials(NamedTuple):
    """What became of trials that were fitted."""

    signs: Float[np.ndarray, "n n_signs"]
    error: Float[np.ndarray, " n"]  # percent of the eye distance, infinite where there is no face
    by_network: Bool[np.ndarray, " n"]  # whether a network was the last to look

    def take(self, which: Bool[np.ndarray, " n"]) -> FittedTrials:
        """Take some of the trials."""
        return FittedTrials(*(column[which] for column in self))


def fit_calibration(
    model: Model,
    faces: Faces,
    config: FitConfig | None = None,
    draws: int = 1,
    on_faces: Callable[[int], None] = lambda n: None,
) -> Calibration:
    """Learn the calibration of a model, of any kind of experts, from trials of annotated faces.

    ``config`` is what the faces are fitted with, by default the model's settings and, of a model with
    networks, those of the presets best and fast. Every face is made harder ``draws`` times by chance;
    ``on_faces`` is told of how many faces this was done. Faces that the model learned from are easier for it
    than others and make it too sure: leave them out (`jaxclnf.data.datasets.Faces.learned_by`). Raises
    ValueError if errors of these faces have no unit, their landmarks are not the model's, or none of them
    can be fitted.
    """
    check_landmarks(model, faces)
    faces = faces.take(chosen(len(faces)))
    fitted: list[FittedTrials] = []
    for seed, start in product(range(draws), range(0, len(faces), _AT_ONCE)):
        some = range(start, min(start + _AT_ONCE, len(faces)))
        met = list(trials(faces, seed, some, model.pdm))
        for settings, every in [(config, 1)] if config else _settings(model):
            fitted.append(outcomes(model, met[::every], settings)[0])
        on_faces(len(some))
    return learned_from(FittedTrials(*map(np.concatenate, zip(*fitted, strict=True))), model.pdm.mean.dtype)


def learned_from(fitted: FittedTrials, dtype: DTypeLike = np.float32) -> Calibration:
    """Learn a calibration from what became of trials: a curve for fits that end with patches, one for others.

    Where either kind is missing it has the other's curve. Raises ValueError if no face could be fitted.
    """
    if not np.isfinite(fitted.error).any():
        raise ValueError("no face could be fitted; a calibration needs some that can")
    kinds = [fitted.take(fitted.by_network == ending) for ending in (False, True)]
    learnable = [kind for kind in kinds if np.isfinite(kind.error).any()]
    both = [logistic_curve(kind.signs, kind.error < GOOD) for kind in (learnable[0], learnable[-1])]
    return Calibration(
        jnp.asarray(np.stack([curve.slopes for curve in both]), dtype),
        jnp.asarray([curve.bias for curve in both], dtype),
    )


def chosen(n: int) -> Int[np.ndarray, " m"]:
    """Choose, of ``n`` faces, those that a calibration is learned from."""
    return np.sort(np.random.default_rng(0).permutation(n)[:MOST_FACES])


def _settings(model: Model) -> list[tuple[FitConfig, int]]:
    """Settings that are fitted with, and of how many trials one is: the preset best takes its time.

    It has no divisor in common with the trials of a face, 26 or 27, so that all kinds come.
    """
    own = (model.settings, 1)
    if not has_network(model):
        return [own]
    return [own, (settings_for(model, "best"), 7), (settings_for(model, "fast"), 1)]


def outcomes(model: Model, met: list[Trial], config: FitConfig) -> tuple[FittedTrials, list[int]]:
    """Fit trials; returns what became of them, and which they were, without fits that came to nothing."""
    results = list(fit_stream(model, ((trial.grey, trial.box) for trial in met), config))
    kept = [i for i, result in enumerate(results) if result.usable]
    if not kept:
        return FittedTrials(np.zeros((0, len(SIGNS))), np.zeros(0), np.zeros(0, bool)), kept
    batch = jax.tree.map(lambda *rows: np.stack(rows), *(results[i] for i in kept))
    errors = np.array([_error(met[i], np.asarray(results[i].landmarks)) for i in kept])
    by_network = seen_last_by_network(model, batch, config)
    return FittedTrials(signs(model, batch, config), errors, by_network), kept


def _error(trial: Trial, landmarks: Float[np.ndarray, "n_points 2"]) -> float:
    if trial.points is None:
        return np.inf
    return float(100 * np.linalg.norm(landmarks - trial.points, axis=-1).mean() / trial.eye_distance)


def logistic_curve(seen: Float[np.ndarray, "n n_signs"], good: Bool[np.ndarray, " n"]) -> Curve:
    """Find the likeliest curve, given the signs of faces and which of them were fitted well.

    A few faces, or only good ones, would make the curve a step. A prior therefore holds its slopes near
    those of other models, and the shares aimed at stay short of 0 and 1 (Platt 1999).
    """
    n_good, n_bad = int(good.sum()), int((~good).sum())
    target = np.where(good, (n_good + 1) / (n_good + 2), 1 / (n_bad + 2))
    middle, deviation = seen.mean(axis=0), seen.std(axis=0)
    varies = deviation > 1e-9
    x = np.where(varies, (seen - middle) / np.where(varies, deviation, 1), 0)
    usual = np.array([_USUAL.get(name, 0.0) for name in SIGNS])[: x.shape[1]] * deviation
    slopes, bias = likeliest_curve(x, target, usual, _PULL)
    slopes = np.where(varies, slopes / np.where(varies, deviation, 1), 0)
    return Curve(slopes, bias - float(slopes @ middle))
