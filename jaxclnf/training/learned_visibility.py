"""What the spread of maps tells of covered landmarks, learned from faces that are partly covered."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxclnf.batch.many_faces import fit_stream
from jaxclnf.data.datasets import Faces
from jaxclnf.data.evaluate import start_boxes
from jaxclnf.data.harder_photos import SIDES, Change, covered, painted, patched
from jaxclnf.fitting.visibility import hidden_sign, log_area
from jaxclnf.media.images import read_photo, to_grey
from jaxclnf.models.network_presets import uses_network
from jaxclnf.types import FitResult, Model, Visibility

MOST_FACES = 200
"""Faces that are fitted for it, each as it is and covered twice."""


def learn_visibility(model: Model, faces: Faces) -> Visibility | None:
    """Learn what tells covered landmarks from visible ones, from faces that the model did not learn from.

    Returns None if fits with the model's settings have no covariances, or none of them are usable.
    """
    if not len(faces) or not uses_network(model, model.settings):
        return None
    drawn = np.random.default_rng(0).permutation(len(faces))[:MOST_FACES]
    faces = faces.take(np.sort(drawn))
    boxes, hidden = start_boxes(faces), []

    def pictures() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for i in range(len(faces)):
            rgb, points = read_photo(faces.photos[i]), faces.points[i].astype(np.float64)
            for change in (None, *_covers(np.random.default_rng((0, i)))):
                picture = rgb if change is None else change(rgb, points)[0]
                hidden.append(painted(rgb, picture, points))
                yield to_grey(picture), boxes[i]

    results = list(fit_stream(model, pictures()))
    kept = np.array([r.usable and r.covariance is not None for r in results])
    plain = kept & (np.arange(len(results)) % 3 == 0)
    if not plain.any():
        return None
    areas = np.stack([_areas(r) for r in results])
    usual = np.median(areas[plain], axis=0)
    signs = jax.vmap(partial(hidden_sign, model.pdm, jnp.asarray(usual)))(jnp.asarray(areas[kept]))
    slope, bias = _curve(np.asarray(signs, np.float64).ravel(), ~np.stack(hidden)[kept].ravel())
    dtype = model.pdm.mean.dtype
    return Visibility(jnp.asarray(usual, dtype), jnp.asarray(slope, dtype), jnp.asarray(bias, dtype))


def _covers(rng: np.random.Generator) -> tuple[Change, Change]:
    """Draw a cover of one side of a face, and one of a patch of it."""
    side = covered(str(rng.choice(SIDES)), rng.uniform(0.2, 0.5), int(rng.integers(256)))
    middle, size = rng.uniform(0, 1, 2), rng.uniform(0.2, 0.55, 2)
    return side, patched(tuple(middle), tuple(size), int(rng.integers(256)))


def _areas(result: FitResult) -> Float[np.ndarray, " n_points"]:
    return np.asarray(log_area(jnp.asarray(result.covariance), jnp.asarray(result.params.scale)))


def _curve(signs: Float[np.ndarray, " n"], visible: Bool[np.ndarray, " n"]) -> tuple[float, float]:
    """Find the likeliest slope and bias of a logistic curve."""
    from scipy.optimize import minimize

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        odds = line[0] * signs + line[1]
        off = 1 / (1 + np.exp(-odds)) - visible
        unlikely = np.where(visible, np.logaddexp(0, -odds), np.logaddexp(0, odds))
        return float(unlikely.mean()), np.array([(off * signs).mean(), off.mean()])

    slope, bias = minimize(loss, np.array([-1.0, 1.0]), jac=True, method="L-BFGS-B").x
    return float(slope), float(bias)
