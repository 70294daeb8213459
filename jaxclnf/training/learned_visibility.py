"""What the spread of maps tells of covered landmarks, learned from faces that are partly covered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxclnf.batch.many_faces import fit_stream
from jaxclnf.data.datasets import Faces
from jaxclnf.data.evaluate import start_boxes
from jaxclnf.data.harder_photos import SIDES, Change, covered, painted, patched, unchanged
from jaxclnf.fitting.visibility import hidden_sign, log_area
from jaxclnf.media.images import read_photo, to_grey
from jaxclnf.models.network_presets import uses_network
from jaxclnf.training.logistic import likeliest_curve
from jaxclnf.types import PDM, FitResult, Model, Visibility

MOST_FACES = 200
"""Faces that are fitted for it, each as it is and covered twice."""

_PICTURES = 3  # of each face


def n_fitted(model: Model, faces: Faces) -> int:
    """Count the faces that `learn_visibility` fits; 0 for a model whose settings look with no network."""
    return min(len(faces), MOST_FACES) if uses_network(model, model.settings) else 0


def learn_visibility(
    model: Model, faces: Faces, on_faces: Callable[[int], None] = lambda n: None
) -> Visibility | None:
    """Learn what tells covered landmarks from visible ones, from faces that the model did not learn from.

    ``on_faces`` is told of how many faces were fitted since it was last told. Returns None if fits with the
    model's settings have no covariances, or none of them are usable.
    """
    if not n_fitted(model, faces):
        return None
    drawn = np.random.default_rng(0).permutation(len(faces))[:MOST_FACES]
    return _learned(model.pdm, *_fitted_covered(model, faces.take(np.sort(drawn)), on_faces))


def _fitted_covered(
    model: Model, faces: Faces, on_faces: Callable[[int], None]
) -> tuple[list[FitResult], Bool[np.ndarray, "n n_points"]]:
    """Fit every face as it is and covered twice, three rows in turn, and tell what is covered in each."""
    boxes, hidden = start_boxes(faces), []

    def pictures() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for i in range(len(faces)):
            rgb, points = read_photo(faces.photos[i]), faces.points[i].astype(np.float64)
            for change in (unchanged, *_covers(np.random.default_rng((0, i)))):
                picture, _ = change(rgb, points)
                hidden.append(painted(rgb, picture, points))
                yield to_grey(picture), boxes[i]

    results: list[FitResult] = []
    for result in fit_stream(model, pictures()):
        results.append(result)
        on_faces(int(len(results) % _PICTURES == 0))
    return results, np.stack(hidden)


def _learned(pdm: PDM, results: list[FitResult], hidden: Bool[np.ndarray, "n n_points"]) -> Visibility | None:
    """Learn the curve from how large maps are, beside those of faces as they are, to what is visible."""
    kept = np.array([r.usable and r.covariance is not None for r in results])
    plain = kept & (np.arange(len(results)) % _PICTURES == 0)
    if not plain.any():
        return None
    areas = np.stack([_areas(r) for r in results])
    usual = np.median(areas[plain], axis=0)
    signs = jax.vmap(partial(hidden_sign, pdm, jnp.asarray(usual)))(jnp.asarray(areas[kept]))
    column, usual_slope = np.asarray(signs, np.float64).reshape(-1, 1), np.array([-1.0])
    (slope,), bias = likeliest_curve(column, ~hidden[kept].ravel(), usual_slope, bias=1.0)
    return Visibility(*(jnp.asarray(a, pdm.mean.dtype) for a in (usual, slope, bias)))


def _covers(rng: np.random.Generator) -> tuple[Change, Change]:
    """Draw a cover of one side of a face, and one of a patch of it."""
    side = covered(str(rng.choice(SIDES)), rng.uniform(0.2, 0.5), int(rng.integers(256)))
    middle, size = rng.uniform(0, 1, 2), rng.uniform(0.2, 0.55, 2)
    return side, patched(tuple(middle), tuple(size), int(rng.integers(256)))


def _areas(result: FitResult) -> Float[np.ndarray, " n_points"]:
    return np.asarray(log_area(jnp.asarray(result.covariance), jnp.asarray(result.params.scale)))
