"""A pinhole camera: projecting points, and the rigid motion that best explains where they were seen.

Camera coordinates: x right, y down, z away from the camera, in the points' unit; intrinsics are fx, fy, cx,
cy in pixels.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxclnf.ops.gauss_newton import gauss_newton_step
from jaxclnf.ops.rotation import skew, small_rotation

ITERATIONS = 15


def project(points: Float[Array, "n_points 3"], intrinsics: Float[Array, "4"]) -> Float[Array, "n_points 2"]:
    """Project points in camera coordinates to pixels."""
    focal, centre = intrinsics[:2], intrinsics[2:]
    return focal[None] * points[:, :2] / points[:, 2:] + centre[None]


@jax.custom_jvp
def resect(
    points: Float[Array, "n_points 3"],
    seen: Float[Array, "n_points 2"],
    intrinsics: Float[Array, "4"],
    rotation: Float[Array, "3 3"],
    translation: Float[Array, "3"],
) -> tuple[Float[Array, "3 3"], Float[Array, "3"]]:
    """Find the rotation and translation that take ``points`` to where the camera saw them (PnP).

    Minimises the squared distances in the image by Levenberg-Marquardt from the given start; a step that
    increases them is not taken. OpenFace calls OpenCV's iterative solvePnP, which minimises the same sum.
    Derivatives are those of the optimum, which does not depend on the start.
    """

    def residual(delta, rotation, translation):
        return _residual(delta, points, seen, intrinsics, rotation, translation)

    def iterate(_, state):
        rotation, translation, damping = state
        zero = jnp.zeros(6, points.dtype)
        error = residual(zero, rotation, translation)
        jac = jax.jacfwd(residual)(zero, rotation, translation)
        delta = _damped_step(jac, error, damping)
        better = jnp.sum(residual(delta, rotation, translation) ** 2) < jnp.sum(error**2)
        delta = jnp.where(better, delta, 0)
        return *_moved(delta, rotation, translation), damping * jnp.where(better, 0.1, 10)

    start = rotation, translation, jnp.asarray(1e-3, points.dtype)
    rotation, translation, _ = jax.lax.fori_loop(0, ITERATIONS, iterate, start)
    return rotation, translation


@resect.defjvp
def _(primals, tangents):
    """Differentiate by the implicit function theorem: at the optimum the error's gradient stays zero."""
    found = resect(*primals)
    zero = jnp.zeros(6, primals[0].dtype)

    def gradient(delta, points, seen, intrinsics):
        return jax.grad(lambda d: jnp.sum(_residual(d, points, seen, intrinsics, *found) ** 2))(delta)

    hessian = jax.jacfwd(gradient)(zero, *primals[:3])
    _, drift = jax.jvp(lambda *a: gradient(zero, *a), primals[:3], tangents[:3])
    length = jnp.sqrt(jnp.abs(jnp.diagonal(hessian)))
    delta = -jnp.linalg.solve(hessian / (length[:, None] * length[None]), drift / length) / length
    return found, (found[0] @ skew(delta[:3]), delta[3:])


def _residual(delta, points, seen, intrinsics, rotation, translation):
    turned, shifted = _moved(delta, rotation, translation)
    return (project(points @ turned.T + shifted[None], intrinsics) - seen).ravel()


def _moved(delta, rotation, translation):
    return rotation @ small_rotation(delta[:3]), translation + delta[3:]


def _damped_step(
    jac: Float[Array, "n_residuals k"], error: Float[Array, " n_residuals"], damping: Float[Array, ""]
) -> Float[Array, " k"]:
    """Solve the damped normal equations, with columns scaled to length one, which float32 needs."""
    length = jnp.sqrt(jnp.sum(jac**2, axis=0))
    scaled = jac / length[None]
    hessian = scaled.T @ scaled + damping * jnp.eye(jac.shape[1], dtype=jac.dtype)
    return -gauss_newton_step(hessian, scaled.T @ error) / length
