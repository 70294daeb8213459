"""Learning a point distribution model from 2D landmarks alone.

`jaxclnf.training.nrsfm` finds the 3D shapes, with mirrored faces as data; here they get their frame.
Landmarks leave open which way is near, how large a head is and which way is straight ahead. A face is
taken to be convex (its middle is nearer to the camera than its rim), the outer eye corners of the median
face to be 90 mm apart, and straight ahead to be the mean rotation of the training faces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclnf.ops.rotation import euler_to_matrix
from jaxclnf.training.nrsfm import Factors, structure_from_motion
from jaxclnf.types import PDM

EYE_DISTANCE_MM = 90.0  # between an adult's outer eye corners; Farkas 1994 has 88 (women) and 91 (men)
LEAST_FACES = 20
"""Faces from which a PDM can be learned, however few modes it has."""

HALF_WIDTH_MM = 50.0  # RMS radius of the frontal shape, for markups without known eye corners


def learn_pdm(
    points: np.ndarray,
    n_modes: int | None = None,
    mirror: Sequence[int] | None = None,
    eye_distances: np.ndarray | None = None,
    steps: int = 50,
    on_step: Callable[[int, int], None] | None = None,
) -> PDM:
    """Learn a PDM from faces' landmarks (n, n_points, 2), in pixels, y down.

    ``n_modes`` defaults to half the number of landmarks, or the number of faces if that is less. ``mirror``
    is the markup's mirror table; without it faces are not mirrored. ``eye_distances`` (n,), in pixels, give
    model units of a millimetre; without them the mean's frontal RMS radius is set to 50. ``steps`` are the
    EM steps with all modes, after some with none and some with a quarter of them. ``on_step`` is told
    (steps done, steps in all).
    Nothing is random. The result is float32, its basis orthonormal, its modes sorted by variance.

    Raises ValueError if there are too few landmarks, faces or too many modes.
    """
    n, n_points, _ = points.shape
    modes = min(n_points // 2, n) if n_modes is None else n_modes
    if n_points < 4 or not 1 <= modes <= 3 * n_points - 7:
        raise ValueError(f"{n_points} landmarks cannot carry {modes} modes; at least 4 landmarks are needed.")
    check_enough_faces(n, modes)
    if mirror is not None:
        points = np.concatenate([points, mirrored(points, mirror)])
        eye_distances = None if eye_distances is None else np.tile(eye_distances, 2)
    points = points.astype(np.float64)
    with jax.enable_x64(True):
        shapes = _normalised(points)
        state = structure_from_motion(
            jnp.asarray(shapes), modes, steps, on_step or (lambda done, total: None)
        )
        return _in_standard_frame(state, points, eye_distances)


def check_enough_faces(n: int, modes: int, setting: str = "n_modes") -> None:
    """Raise ValueError for fewer faces than a PDM of so many modes needs; ``setting`` is their name."""
    if n < LEAST_FACES:
        raise ValueError(f"{n} faces are too few to learn a PDM from; at least {LEAST_FACES} are needed.")
    if n < modes:
        raise ValueError(f"{n} faces are too few for {modes} modes; give more, or {setting} of at most {n}.")


def mirrored(points: np.ndarray, mirror: Sequence[int]) -> np.ndarray:
    """Mirror landmarks (n, n_points, 2) about x = 0."""
    return points[:, np.asarray(mirror)] * np.array([-1, 1])


def _normalised(points: np.ndarray) -> np.ndarray:
    """Centre every shape and scale it to an RMS radius of 1."""
    return (points - points.mean(axis=1, keepdims=True)) / _radii(points)[:, None, None]


def _radii(points: np.ndarray) -> np.ndarray:
    """RMS distance of every shape's landmarks from their centroid."""
    return np.sqrt(points.var(axis=1).sum(axis=-1))


class _Views(NamedTuple):
    """A shape model and the rotations of the training faces."""

    mean: np.ndarray
    basis: np.ndarray
    rotations: np.ndarray  # (n, 3, 3)
    scales: np.ndarray


def _in_standard_frame(state: Factors, points: np.ndarray, eye_distances: np.ndarray | None) -> PDM:
    """Settle the model's depth sign, frontal direction and unit of length."""
    rotations = jax.vmap(euler_to_matrix)(state.params.rotation)
    scales = np.asarray(state.params.scale) * _radii(points)
    views = _Views(np.asarray(state.pdm.mean), np.asarray(state.pdm.basis), np.asarray(rotations), scales)
    views = _straight_ahead(_convex(views))
    unit = _unit(views, eye_distances)
    return PDM(
        mean=jnp.asarray(unit * views.mean, jnp.float32),
        basis=jnp.asarray(views.basis, jnp.float32),
        eigenvalues=jnp.asarray(unit**2 * state.pdm.eigenvalues, jnp.float32),
    )


def _convex(views: _Views) -> _Views:
    """Choose between the model and its mirror image in depth, which fits as well: the rim must lie behind."""
    radius = (views.mean[:, :2] ** 2).sum(axis=1)
    if np.cov(views.mean[:, 2], radius)[0, 1] >= 0:
        return views
    flip = np.diag([1.0, 1.0, -1.0])
    return _Views(views.mean @ flip, _turned(flip, views.basis), flip @ views.rotations @ flip, views.scales)


def _straight_ahead(views: _Views) -> _Views:
    """Turn the model to the frame in which the mean rotation of the faces is zero."""
    left, _, right = np.linalg.svd(views.rotations.sum(axis=0))
    turn = left @ right
    rotations = views.rotations @ turn.T
    return _Views(views.mean @ turn.T, _turned(turn, views.basis), rotations, views.scales)


def _turned(rotation: np.ndarray, basis: np.ndarray) -> np.ndarray:
    return np.einsum("ij,pjm->pim", rotation, basis)


def _unit(views: _Views, eye_distances: np.ndarray | None) -> float:
    """Estimate the millimetres in a unit of the learned model."""
    if eye_distances is None:
        return HALF_WIDTH_MM / float(np.sqrt((views.mean[:, :2] ** 2).sum(axis=1).mean()))
    # Turning the head foreshortens the line between the eyes, which is the model's x axis.
    foreshortening = np.hypot(views.rotations[:, 0, 0], views.rotations[:, 1, 0])
    return EYE_DISTANCE_MM / float(np.median(eye_distances / (views.scales * foreshortening)))
