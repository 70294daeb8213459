"""The gaze of an eye: the ray through its pupil, intersected with the sphere of its eyeball.

Camera coordinates: x right, y down, z away from the camera, millimetres. Source: OpenFace's
`GazeEstimation.cpp`.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

RADIUS = 12.0
"""Radius of an eyeball, in millimetres."""


def gaze_direction(
    pupil: Float[Array, "3"], eyeball: Float[Array, "3"], radius: float = RADIUS
) -> Float[Array, "3"]:
    """Unit vector from an eyeball's centre to the point where the camera's ray through ``pupil`` enters it.

    A ray that misses the eyeball gives, as in OpenFace, the direction from its centre to (0, 0, -1), a
    millimetre behind the camera.
    """
    ray = pupil / jnp.linalg.norm(pupil)
    along = ray @ eyeball
    square = along**2 - (eyeball @ eyeball - radius**2)
    met = square > 0
    # The root's derivative is infinite where the ray grazes the sphere.
    depth = along - jnp.sqrt(jnp.where(met, square, 1))
    seen = jnp.where(met, depth * ray, jnp.array([0, 0, -1], ray.dtype))
    return (seen - eyeball) / jnp.linalg.norm(seen - eyeball)


def gaze_angles(directions: Float[Array, "n_eyes 3"]) -> Float[Array, "2"]:
    """Angles of the eyes' mean direction in radians: positive to the image's right, then positive down."""
    x, y, z = directions.mean(0)
    return jnp.stack([jnp.arctan2(x, -z), jnp.arctan2(y, -z)])
