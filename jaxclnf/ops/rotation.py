"""Rotations: Euler angles and matrices (R = Rx Ry Rz, radians), composition with small rotations."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def euler_to_matrix(euler: Float[Array, "3"]) -> Float[Array, "3 3"]:
    """Rotation matrix ``Rx(euler[0]) Ry(euler[1]) Rz(euler[2])``."""
    (sx, sy, sz), (cx, cy, cz) = jnp.sin(euler), jnp.cos(euler)
    return jnp.array(
        [
            [cy * cz, -cy * sz, sy],
            [cx * sz + cz * sx * sy, cx * cz - sx * sy * sz, -cy * sx],
            [sx * sz - cx * cz * sy, cz * sx + cx * sy * sz, cx * cy],
        ]
    )


def matrix_to_euler(rotation: Float[Array, "3 3"]) -> Float[Array, "3"]:
    """Euler angles x, y, z of a rotation matrix; y lies in [-pi/2, pi/2].

    OpenFace goes through a quaternion, which loses half the digits near a half turn; reading the
    matrix directly gives the same angles.
    """
    r = rotation
    # atan2 has no derivative at (0, 0), which only a quarter turn about y reaches.
    cos_y = jnp.sqrt(jnp.maximum(r[1, 2] ** 2 + r[2, 2] ** 2, jnp.finfo(r.dtype).tiny))
    return jnp.array(
        [
            jnp.arctan2(-r[1, 2], r[2, 2]),
            jnp.arctan2(r[0, 2], cos_y),
            jnp.arctan2(-r[0, 1], r[0, 0]),
        ]
    )


def skew(w: Float[Array, "3"]) -> Float[Array, "3 3"]:
    """Build the matrix of the cross product with ``w``."""
    zero = jnp.zeros_like(w[0])
    return jnp.array([[zero, -w[2], w[1]], [w[2], zero, -w[0]], [-w[1], w[0], zero]])


def small_rotation(w: Float[Array, "3"]) -> Float[Array, "3 3"]:
    """The rotation nearest to ``I + [w]x``: a turn by atan(|w|) about ``w``.

    ``I + [w]x`` stretches the plane across ``w`` by sqrt(1 + |w|^2) and turns it by atan(|w|), so its
    polar factor, which OpenFace finds by SVD, has this closed form.
    """
    square = w @ w
    cos = 1 / jnp.sqrt(1 + square)
    cross = skew(w)
    # (1 - cos) / |w|^2 without the division by zero
    return jnp.eye(3, dtype=w.dtype) + cos * cross + cos**2 / (1 + cos) * (cross @ cross)


def compose_small_rotation(euler: Float[Array, "3"], w: Float[Array, "3"]) -> Float[Array, "3"]:
    """Euler angles of ``R(euler)`` followed on the right by the small rotation ``w`` (object frame)."""
    return matrix_to_euler(euler_to_matrix(euler) @ small_rotation(w))
