"""The point distribution model under weak perspective: shapes, their Jacobian, updates, limits.

Source: OpenFace `PDM.cpp`; Saragih, Lucey & Cohn 2011, section 2.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxclnf.ops.rotation import compose_small_rotation, euler_to_matrix
from jaxclnf.types import PDM, FaceParams

N_RIGID = 6
"""Number of rigid parameters of a step: scale, three small rotations, two translations."""


def shape_3d(pdm: PDM, shape: Float[Array, " n_modes"]) -> Float[Array, "n_points 3"]:
    """Compute the 3D shape of local parameters, in model units, before any rotation."""
    return pdm.mean + pdm.basis @ shape


def shape_2d(pdm: PDM, params: FaceParams) -> Float[Array, "n_points 2"]:
    """Project the shape of parameters to landmarks in image pixels (weak perspective)."""
    rows = euler_to_matrix(params.rotation)[:2]
    return params.scale * shape_3d(pdm, params.shape) @ rows.T + params.translation[None]


def reference_shape(
    pdm: PDM, shape: Float[Array, " n_modes"], patch_scale: Float[Array, ""]
) -> Float[Array, "n_points 2"]:
    """Project the shape upright and frontal at ``patch_scale`` pixels per model unit, about its origin."""
    return patch_scale * shape_3d(pdm, shape)[:, :2]


def rigid_jacobian(pdm: PDM, params: FaceParams) -> Float[Array, "n_points 2 6"]:
    """Derivative of `shape_2d` by scale, small rotation (object frame) and translation.

    The small rotation acts as in `jaxclnf.ops.rotation.compose_small_rotation`.
    """
    rows = euler_to_matrix(params.rotation)[:2]
    points = shape_3d(pdm, params.shape)
    by_scale = points @ rows.T
    # d(R [w]x p)/dw = -R [p]x: row k of it is the cross product of p and row k of R.
    by_rotation = params.scale * jnp.cross(points[:, None], rows[None])
    by_translation = jnp.broadcast_to(jnp.eye(2, dtype=rows.dtype), (pdm.n_points, 2, 2))
    return jnp.concatenate([by_scale[..., None], by_rotation, by_translation], axis=-1)


def jacobian(pdm: PDM, params: FaceParams) -> Float[Array, "n_points 2 n_params"]:
    """Derivative of `shape_2d` by all parameters: the rigid ones, then the local ones.

    It is that of a small step, `shape_2d` of `update`, at no step. Fits need it by blocks alone
    (`jaxclnf.ops.gauss_newton`); whole, it serves steps and covariances of one's own.
    """
    rows = euler_to_matrix(params.rotation)[:2]
    by_shape = params.scale * jnp.einsum("ka,nam->nkm", rows, pdm.basis)
    return jnp.concatenate([rigid_jacobian(pdm, params), by_shape], axis=-1)


def update(params: FaceParams, delta: Float[Array, " n_params"]) -> FaceParams:
    """Add a step to the parameters; its small rotation is composed with theirs."""
    return FaceParams(
        scale=params.scale + delta[0],
        rotation=compose_small_rotation(params.rotation, delta[1:4]),
        translation=params.translation + delta[4:6],
        shape=params.shape + delta[6:],
    )


def clamp(
    pdm: PDM,
    params: FaceParams,
    turn_limit: Float[Array, ""] | float = np.pi / 2,
    n_deviations: float = 3.0,
) -> FaceParams:
    """Clamp local parameters to ``n_deviations`` standard deviations, and angles to ``turn_limit``."""
    limit = n_deviations * jnp.sqrt(pdm.eigenvalues)
    return FaceParams(
        scale=params.scale,
        rotation=jnp.clip(params.rotation, -turn_limit, turn_limit),
        translation=params.translation,
        shape=jnp.clip(params.shape, -limit, limit),
    )
