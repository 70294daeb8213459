"""Non-rigid structure from motion: 3D shapes, their modes and the poses behind many faces' 2D landmarks.

Every face is a 3D shape seen under weak perspective, ``w = s R (mean + basis q)_xy + t + noise`` with
``q ~ N(0, eigenvalues)``; expectation maximisation finds mean, basis, eigenvalues and noise with the
faces' poses (Torresani, Hertzmann & Bregler, "Nonrigid Structure-from-Motion: Estimating Shape and Motion
with Hierarchical Priors", PAMI 2008). Beyond the paper: pose and coefficients of a face are found together
by the fit's own Gauss-Newton step, whose inverse Hessian gives the coefficients' covariance with the
pose's uncertainty in it; and what of a mode would move, turn or scale the face is taken out, because pose
accounts for it. Landmarks that deform little say what that is: the contour of the face slides over the
skull as the head turns, and would take a share of the turning with it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxclnf.ops.gauss_newton import (
    basis_products,
    gauss_newton_step,
    normal_equations,
    rigid_normal_equations,
)
from jaxclnf.ops.rotation import euler_to_matrix
from jaxclnf.ops.shape import N_RIGID, shape_2d, update
from jaxclnf.types import PDM, FaceParams

N_CANDIDATES = 4  # directions of variation tried as the one that a turning head makes
CANDIDATE_STEPS = 12
FIRST_STEPS = ((0.0, 20), (0.25, 30))  # share of the modes, EM steps with them
START_NOISE = 0.05  # of a shape's RMS radius
LEAST_VARIANCE = 1e-9  # of a mode, in squared RMS radii
BATCH = 256


class Factors(NamedTuple):
    """A shape model, the faces' poses and coefficients under it, and the noise it leaves."""

    pdm: PDM
    params: FaceParams  # of every face
    noise: Float[Array, ""]  # variance of a coordinate


def structure_from_motion(
    shapes: Array, n_modes: int, steps: int, on_step: Callable[[int, int], None]
) -> Factors:
    """Model and poses behind centred shapes (n, n_points, 2) of unit RMS radius; needs 64-bit JAX.

    The model's frame, its near side and its unit of length are left as they come. ``on_step`` is told
    (EM steps done, steps in all).
    """
    schedule = [(round(share * n_modes), count) for share, count in FIRST_STEPS] + [(n_modes, steps)]
    total, done = sum(count for _, count in schedule), 0
    candidates = [_try_start(s, shapes) for s in _rigid_starts(np.asarray(shapes))]
    state = min(candidates, key=lambda s: float(s.noise))
    stiffness = jnp.ones(shapes.shape[1])
    for modes, count in schedule:
        if modes > 0 and state.pdm.n_modes == 0:
            stiffness = _stiffness(state, shapes)
        state = _grow(state, shapes, modes, stiffness)
        for _ in range(count):
            state = _em_step(state, shapes, stiffness)
            done += 1
            on_step(done, total)
    return state


def _try_start(state: Factors, shapes: Array) -> Factors:
    for _ in range(CANDIDATE_STEPS):
        state = _em_step(state, shapes, jnp.ones(shapes.shape[1]))
    return state


def _residuals(state: Factors, shapes: Array) -> Float[Array, "n n_points 2"]:
    return shapes - jax.vmap(shape_2d, (None, 0))(state.pdm, state.params)


def _stiffness(state: Factors, shapes: Array) -> Float[Array, " n_points"]:
    """How little each landmark deforms: inverse square of the variance that rigid motion leaves it.

    The square, because the contour has many landmarks and long levers against the few stiff ones.
    """
    stiffness = jnp.mean(_residuals(state, shapes) ** 2, axis=(0, 2)) ** -2
    return stiffness / stiffness.mean()


def _rigid_starts(shapes: np.ndarray) -> list[Factors]:
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


def _rigid_state(mean: np.ndarray, angles: np.ndarray) -> Factors:
    n, n_points = len(angles), len(mean)
    pdm = PDM(mean=jnp.asarray(mean), basis=jnp.zeros((n_points, 3, 0)), eigenvalues=jnp.zeros(0))
    rotation = jnp.zeros((n, 3)).at[:, 2].set(angles)
    params = FaceParams(jnp.ones(n), rotation, jnp.zeros((n, 2)), jnp.zeros((n, 0)))
    return Factors(pdm, params, jnp.asarray(START_NOISE**2))


@jax.jit
def _em_step(
    state: Factors, shapes: Float[Array, "n n_points 2"], stiffness: Float[Array, " n_points"]
) -> Factors:
    """One round of expectation and maximisation."""
    params, covariance = _expect(state, shapes)
    mean, basis, spread, noise = _maximise(params, covariance, shapes)
    centre = params.shape.mean(0)
    spread = spread - jnp.outer(centre, centre)
    pdm, to_new = _orthonormal(mean + basis @ centre, basis, spread, stiffness)
    moved = (params.shape - centre[None]) @ to_new.T
    return Factors(pdm, FaceParams(params.scale, params.rotation, params.translation, moved), noise)


def _expect(state: Factors, shapes: Array) -> tuple[FaceParams, Float[Array, "n n_modes n_modes"]]:
    """Pose and coefficients of every face, and the coefficients' covariance."""
    pdm, noise = state.pdm, state.noise
    weights = jnp.ones(pdm.n_points)
    products = basis_products(pdm.basis, weights) if pdm.n_modes else None

    def energy(params, points):
        residual = points - shape_2d(pdm, params)
        return jnp.sum(residual**2) + noise * jnp.sum(params.shape**2 / pdm.eigenvalues)

    def equations(params, points):
        shifts = points - shape_2d(pdm, params)
        if pdm.n_modes == 0:
            return rigid_normal_equations(pdm, params, shifts, weights)
        return normal_equations(pdm, params, shifts, weights, noise, products)

    def one(face):
        params, points = face
        for _ in range(2):
            moved = update(params, gauss_newton_step(*equations(params, points)))
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


def _orthonormal(
    mean: Array, basis: Array, spread: Array, stiffness: Array
) -> tuple[PDM, Float[Array, "n_modes n_modes"]]:
    """The model with an orthonormal basis sorted by variance and free of rigid motion, and the matrix
    that takes coefficients of ``basis``, whose covariance is ``spread``, to its own.
    """
    mean = mean - mean.mean(0, keepdims=True)
    flat = _without_rigid_motion(basis.reshape(mean.size, basis.shape[2]), mean, stiffness)
    values, vectors = jnp.linalg.eigh(spread)
    root = vectors * jnp.sqrt(jnp.maximum(values, LEAST_VARIANCE))[None]
    new, deviations, _ = jnp.linalg.svd(flat @ root, full_matrices=False)
    eigenvalues = jnp.maximum(deviations**2, LEAST_VARIANCE)
    return PDM(mean, new.reshape(basis.shape), eigenvalues), new.T @ flat


def _without_rigid_motion(
    deformations: Float[Array, "n_coordinates n"], mean: Float[Array, "n_points 3"], stiffness: Array
) -> Float[Array, "n_coordinates n"]:
    """Deformations of the mean without their rigid part, fitted with most weight on stiff landmarks."""
    axes = jnp.eye(3)
    moves = [jnp.broadcast_to(a, mean.shape) for a in axes]
    turns = [jnp.cross(jnp.broadcast_to(a, mean.shape), mean) for a in axes]
    rigid = jnp.stack([d.reshape(-1) for d in (*moves, *turns, mean)], axis=1)
    weighted = jnp.repeat(stiffness, 3)[:, None] * rigid
    return deformations - rigid @ jnp.linalg.solve(weighted.T @ rigid, weighted.T @ deformations)


def _grow(state: Factors, shapes: Array, n_modes: int, stiffness: Array) -> Factors:
    """The model with further modes, taken from what it leaves unexplained in the image plane."""
    pdm, params, noise = state
    extra = n_modes - pdm.n_modes
    if extra <= 0:
        return state
    cameras = jax.vmap(euler_to_matrix)(params.rotation)[:, :2] / params.scale[:, None, None]
    lifted = jnp.einsum("nki,npk->npi", cameras, _residuals(state, shapes)).reshape(len(shapes), -1)
    lifted = _without_rigid_motion(lifted.T, pdm.mean, stiffness)
    values, vectors = jnp.linalg.eigh(lifted @ lifted.T / len(shapes))
    basis = vectors[:, ::-1][:, :extra].reshape(pdm.n_points, 3, extra)
    grown = PDM(
        mean=pdm.mean,
        basis=jnp.concatenate([pdm.basis, basis], axis=2),
        eigenvalues=jnp.concatenate([pdm.eigenvalues, jnp.maximum(values[::-1][:extra], LEAST_VARIANCE)]),
    )
    shape = jnp.pad(params.shape, ((0, 0), (0, extra)))
    return Factors(grown, FaceParams(params.scale, params.rotation, params.translation, shape), noise)
