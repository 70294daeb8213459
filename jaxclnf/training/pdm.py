"""A point distribution model from 2D landmarks alone: non-rigid structure from motion.

Every face is a 3D shape seen under weak perspective, ``w = s R (mean + basis q)_xy + t + noise`` with
``q ~ N(0, eigenvalues)``; expectation maximisation finds mean, basis, eigenvalues and noise with the
faces' poses (Torresani, Hertzmann & Bregler, "Nonrigid Structure-from-Motion: Estimating Shape and Motion
with Hierarchical Priors", PAMI 2008). Beyond the paper: pose and coefficients of a face are found together
by the fit's own Gauss-Newton step, whose inverse Hessian gives the coefficients' covariance with the
pose's uncertainty in it; mirrored faces are data; and modes that would move, turn or scale the mean are
taken out, because pose accounts for them.

Landmarks leave open which way is near, how large a head is and which way is straight ahead. Here a face
is convex (its middle is nearer to the camera than its rim), outer eye corners are 90 mm apart, and
straight ahead is the mean rotation of the training faces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxclnf.ops.gauss_newton import normal_equations, step
from jaxclnf.ops.rotation import euler_to_matrix
from jaxclnf.ops.shape import N_RIGID, shape_2d, update
from jaxclnf.types import PDM, FaceParams

EYE_DISTANCE_MM = 90.0  # between an adult's outer eye corners; Farkas 1994 has 88 (women) and 91 (men)
HALF_WIDTH_MM = 50.0  # RMS radius of the frontal shape, for markups without known eye corners
N_CANDIDATES = 4  # directions of variation tried as the one that a turning head makes
CANDIDATE_STEPS = 12
FIRST_STEPS = ((0.0, 20), (0.25, 30))  # share of the modes, EM steps with them
START_NOISE = 0.05  # of a shape's RMS radius
LEAST_VARIANCE = 1e-9  # of a mode, in squared RMS radii
BATCH = 256


class _State(NamedTuple):
    pdm: PDM
    params: FaceParams  # of every face
    noise: Float[Array, ""]  # variance of a coordinate


def learn_pdm(
    points: np.ndarray,
    n_modes: int | None = None,
    mirror: Sequence[int] | None = None,
    eye_distances: np.ndarray | None = None,
    steps: int = 50,
    on_step: Callable[[int, int], None] | None = None,
) -> PDM:
    """Learn a PDM from faces' landmarks (n, n_points, 2), in pixels, y down.

    ``n_modes`` defaults to half the number of landmarks. ``mirror`` is the markup's mirror table; without
    it faces are not mirrored. ``eye_distances`` (n,), in pixels, give model units of a millimetre; without
    them the mean's frontal RMS radius is set to 50. ``steps`` are the EM steps with all modes, after some
    with none and some with a quarter of them. ``on_step`` is told (steps done, steps in all).
    Nothing is random. The result is float32, its basis orthonormal, its modes sorted by variance.

    Raises ValueError if there are too few landmarks, faces or too many modes.
    """
    n, n_points, _ = points.shape
    modes = n_points // 2 if n_modes is None else n_modes
    if n_points < 4 or not 1 <= modes <= 3 * n_points - 7:
        raise ValueError(f"{n_points} landmarks cannot carry {modes} modes; at least 4 landmarks are needed.")
    if n < max(20, modes):
        raise ValueError(f"{n} faces are too few for {modes} modes; at least {max(20, modes)} are needed.")
    if mirror is not None:
        points = np.concatenate([points, mirrored(points, mirror)])
        eye_distances = None if eye_distances is None else np.tile(eye_distances, 2)
    points = points.astype(np.float64)
    with jax.enable_x64(True):
        shapes = _normalised(points)
        state = _learn(jnp.asarray(shapes), modes, steps, on_step or (lambda done, total: None))
        return _in_standard_frame(state, points, eye_distances)


def mirrored(points: np.ndarray, mirror: Sequence[int]) -> np.ndarray:
    """The landmarks (n, n_points, 2) of the faces' mirror images, about x = 0."""
    return points[:, np.asarray(mirror)] * np.array([-1, 1])


def _learn(shapes: Array, n_modes: int, steps: int, on_step: Callable[[int, int], None]) -> _State:
    schedule = [(round(share * n_modes), count) for share, count in FIRST_STEPS] + [(n_modes, steps)]
    total, done = sum(count for _, count in schedule), 0
    candidates = [_repeat(_em_step, s, CANDIDATE_STEPS, shapes) for s in _rigid_starts(np.asarray(shapes))]
    state = min(candidates, key=lambda s: float(s.noise))
    for modes, count in schedule:
        state = _grow(state, shapes, modes)
        for _ in range(count):
            state = _em_step(state, shapes)
            done += 1
            on_step(done, total)
    return state


def _repeat(function: Callable, state: _State, times: int, *args) -> _State:
    for _ in range(times):
        state = function(state, *args)
    return state


def _normalised(points: np.ndarray) -> np.ndarray:
    """Every shape about its centroid, with an RMS radius of 1."""
    return (points - points.mean(axis=1, keepdims=True)) / _radii(points)[:, None, None]


def _radii(points: np.ndarray) -> np.ndarray:
    """RMS distance of every shape's landmarks from their centroid."""
    return np.sqrt(points.var(axis=1).sum(axis=-1))


def _rigid_starts(shapes: np.ndarray) -> list[_State]:
    """Rigid models to begin with: the mean shape in the plane, and a guess of its depths.

    Turning by a small angle about an axis of the image plane moves every landmark across the axis in
    proportion to its depth. So each of the main directions in which the shapes vary is read as depth.
    """
    mean, angles = _planar_mean(shapes)
    aligned = shapes @ _planar_rotation(angles)
    _, _, modes = np.linalg.svd((aligned - mean).reshape(len(shapes), -1), full_matrices=False)
    starts = []
    for mode in modes[:N_CANDIDATES]:
        left, _, _ = np.linalg.svd(mode.reshape(mean.shape), full_matrices=False)
        depth = left[:, :1] - left[:, :1].mean()
        depth *= 0.5 / np.sqrt((depth**2).mean())
        starts.append(_rigid_state(np.hstack([mean, depth]), angles))
    return starts


def _planar_mean(shapes: np.ndarray, rounds: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the shapes turned to agree, and the angle (n,) of each from it."""
    mean, angles = shapes.mean(axis=0), np.zeros(len(shapes))
    for _ in range(rounds):
        across = (shapes[..., 1] * mean[:, 0] - shapes[..., 0] * mean[:, 1]).sum(axis=1)
        angles = np.arctan2(across, (shapes * mean).sum(axis=(1, 2)))
        angles -= np.angle(np.exp(1j * angles).mean())
        mean = (shapes @ _planar_rotation(angles)).mean(axis=0)
    return mean, angles


def _planar_rotation(angles: np.ndarray) -> np.ndarray:
    """Matrices (n, 2, 2) that take row vectors back by these angles."""
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _rigid_state(mean: np.ndarray, angles: np.ndarray) -> _State:
    n, n_points = len(angles), len(mean)
    pdm = PDM(mean=jnp.asarray(mean), basis=jnp.zeros((n_points, 3, 0)), eigenvalues=jnp.zeros(0))
    rotation = jnp.zeros((n, 3)).at[:, 2].set(angles)
    params = FaceParams(jnp.ones(n), rotation, jnp.zeros((n, 2)), jnp.zeros((n, 0)))
    return _State(pdm, params, jnp.asarray(START_NOISE**2))


@jax.jit
def _em_step(state: _State, shapes: Float[Array, "n n_points 2"]) -> _State:
    """One round of expectation and maximisation."""
    params, covariance = _expect(state, shapes)
    mean, basis, spread, noise = _maximise(params, covariance, shapes)
    centre = params.shape.mean(0)
    pdm, to_new = _orthonormal(mean + basis @ centre, basis, spread - jnp.outer(centre, centre))
    moved = (params.shape - centre[None]) @ to_new.T
    return _State(pdm, FaceParams(params.scale, params.rotation, params.translation, moved), noise)


def _expect(state: _State, shapes: Array) -> tuple[FaceParams, Float[Array, "n n_modes n_modes"]]:
    """Pose and coefficients of every face, and the coefficients' covariance."""
    pdm, noise = state.pdm, state.noise
    weights = jnp.ones(pdm.n_points)

    def energy(params, points):
        residual = points - shape_2d(pdm, params)
        return jnp.sum(residual**2) + noise * jnp.sum(params.shape**2 / pdm.eigenvalues)

    def equations(params, points):
        return normal_equations(pdm, params, points - shape_2d(pdm, params), weights, noise)

    def one(face):
        params, points = face
        for _ in range(2):
            moved = update(params, step(*equations(params, points)))
            better = energy(moved, points) < energy(params, points)
            params = jax.tree.map(partial(jnp.where, better), moved, params)
        hessian, _ = equations(params, points)
        return params, noise * jnp.linalg.inv(hessian)[N_RIGID:, N_RIGID:]

    if pdm.n_modes == 0:  # lax.map cannot batch empty arrays
        return jax.vmap(one)((state.params, shapes))
    return jax.lax.map(one, (state.params, shapes), batch_size=BATCH)


def _maximise(params: FaceParams, covariance: Array, shapes: Array) -> tuple[Array, Array, Array, Array]:
    """Mean, basis, second moment of the coefficients and noise that explain the faces best.

    A landmark's mean and modes solve linear equations whose matrix is the same for every landmark.
    """
    n, n_points, _ = shapes.shape
    n_modes = params.shape.shape[1]
    cameras = params.scale[:, None, None] * jax.vmap(euler_to_matrix)(params.rotation)[:, :2]
    centred = shapes - params.translation[:, None]
    first = jnp.concatenate([jnp.ones((n, 1)), params.shape], axis=1)
    second = (first[:, :, None] * first[:, None, :]).at[:, 1:, 1:].add(covariance)
    matrix = jnp.einsum("nab,nki,nkj->aibj", second, cameras, cameras, optimize="optimal")
    right = jnp.einsum("na,nki,npk->aip", first, cameras, centred, optimize="optimal")
    size = 3 * (n_modes + 1)
    solution = jnp.linalg.solve(matrix.reshape(size, size), right.reshape(size, n_points))
    modes = jnp.moveaxis(solution.reshape(n_modes + 1, 3, n_points), -1, 0)  # n_points, 1 + n_modes, 3
    # The expected squared residual, by the normal equations: |w|^2 - right . solution
    noise = (jnp.sum(centred**2) - jnp.sum(right.reshape(size, n_points) * solution)) / shapes.size
    return modes[:, 0], jnp.swapaxes(modes[:, 1:], 1, 2), second[:, 1:, 1:].mean(0), noise


def _orthonormal(mean: Array, basis: Array, spread: Array) -> tuple[PDM, Float[Array, "n_modes n_modes"]]:
    """The model with an orthonormal basis sorted by variance and free of rigid motion, and the matrix
    that takes coefficients of ``basis``, whose covariance is ``spread``, to its own.
    """
    mean = mean - mean.mean(0, keepdims=True)
    flat = basis.reshape(mean.size, basis.shape[2])
    rigid = _rigid_directions(mean)
    flat = flat - rigid @ (rigid.T @ flat)
    values, vectors = jnp.linalg.eigh(spread)
    root = vectors * jnp.sqrt(jnp.maximum(values, LEAST_VARIANCE))[None]
    new, deviations, _ = jnp.linalg.svd(flat @ root, full_matrices=False)
    eigenvalues = jnp.maximum(deviations**2, LEAST_VARIANCE)
    return PDM(mean, new.reshape(basis.shape), eigenvalues), new.T @ flat


def _rigid_directions(mean: Float[Array, "n_points 3"]) -> Float[Array, "n_coordinates 7"]:
    """Orthonormal directions in which moving, turning and scaling change the mean shape."""
    axes = jnp.eye(3)
    moves = [jnp.broadcast_to(a, mean.shape) for a in axes]
    turns = [jnp.cross(jnp.broadcast_to(a, mean.shape), mean) for a in axes]
    directions = jnp.stack([d.reshape(-1) for d in (*moves, *turns, mean)], axis=1)
    return jnp.linalg.qr(directions)[0]


def _grow(state: _State, shapes: Array, n_modes: int) -> _State:
    """The model with further modes, taken from what it leaves unexplained in the image plane."""
    pdm, params, noise = state
    extra = n_modes - pdm.n_modes
    if extra <= 0:
        return state
    cameras = jax.vmap(euler_to_matrix)(params.rotation)[:, :2] / params.scale[:, None, None]
    left_over = shapes - jax.vmap(shape_2d, (None, 0))(pdm, params)
    lifted = jnp.einsum("nki,npk->npi", cameras, left_over).reshape(len(shapes), -1)
    rigid = _rigid_directions(pdm.mean)
    lifted = lifted - (lifted @ rigid) @ rigid.T
    values, vectors = jnp.linalg.eigh(lifted.T @ lifted / len(lifted))
    basis = vectors[:, ::-1][:, :extra].reshape(pdm.n_points, 3, extra)
    grown = PDM(
        mean=pdm.mean,
        basis=jnp.concatenate([pdm.basis, basis], axis=2),
        eigenvalues=jnp.concatenate([pdm.eigenvalues, jnp.maximum(values[::-1][:extra], LEAST_VARIANCE)]),
    )
    shape = jnp.pad(params.shape, ((0, 0), (0, extra)))
    return _State(grown, FaceParams(params.scale, params.rotation, params.translation, shape), noise)


class _Views(NamedTuple):
    """A shape model and how the training faces stand to the camera."""

    mean: np.ndarray
    basis: np.ndarray
    rotations: np.ndarray  # (n, 3, 3)
    scales: np.ndarray


def _in_standard_frame(state: _State, points: np.ndarray, eye_distances: np.ndarray | None) -> PDM:
    """The model with the near side, straight ahead and the unit of length settled."""
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
    """The model or its depth reversal, which explains landmarks as well: the one whose rim lies behind."""
    radius = (views.mean[:, :2] ** 2).sum(axis=1)
    if np.cov(views.mean[:, 2], radius)[0, 1] >= 0:
        return views
    flip = np.diag([1.0, 1.0, -1.0])
    return _Views(views.mean @ flip, _turned(flip, views.basis), flip @ views.rotations @ flip, views.scales)


def _straight_ahead(views: _Views) -> _Views:
    """The model in the frame in which the mean rotation of the faces is none."""
    left, _, right = np.linalg.svd(views.rotations.sum(axis=0))
    turn = left @ right
    rotations = views.rotations @ turn.T
    return _Views(views.mean @ turn.T, _turned(turn, views.basis), rotations, views.scales)


def _turned(rotation: np.ndarray, basis: np.ndarray) -> np.ndarray:
    return np.einsum("ij,pjm->pim", rotation, basis)


def _unit(views: _Views, eye_distances: np.ndarray | None) -> float:
    """Millimetres in a unit of the learned model."""
    if eye_distances is None:
        return HALF_WIDTH_MM / float(np.sqrt((views.mean[:, :2] ** 2).sum(axis=1).mean()))
    # Turning the head foreshortens the line between the eyes, which is the model's x axis.
    foreshortening = np.hypot(views.rotations[:, 0, 0], views.rotations[:, 1, 0])
    return EYE_DISTANCE_MM / float(np.median(eye_distances / (views.scales * foreshortening)))
