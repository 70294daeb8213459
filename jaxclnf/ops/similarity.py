"""The similarity between two point sets."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def similarity(source: Float[Array, "n 2"], target: Float[Array, "n 2"]) -> Float[Array, "2 2"]:
    """Find the scaled rotation that takes ``source`` to ``target``, both about their centroids.

    The scale is the ratio of the sets' RMS radii and the rotation the best one by Kabsch, as in
    OpenFace's `AlignShapesWithScale` (not the least-squares scale). It acts on column vectors.
    """
    source = source - source.mean(0, keepdims=True)
    target = target - target.mean(0, keepdims=True)
    scale = jnp.sqrt(jnp.sum(target**2) / jnp.sum(source**2))
    # In the plane the best rotation has a closed form: the angle of the summed products.
    along = jnp.sum(source * target)
    across = jnp.sum(source[:, 0] * target[:, 1] - source[:, 1] * target[:, 0])
    cos, sin = jnp.stack([along, across]) / jnp.hypot(along, across)
    return scale * jnp.array([[cos, -sin], [sin, cos]])


def inverse(transform: Float[Array, "2 2"]) -> Float[Array, "2 2"]:
    """Invert a similarity."""
    (a, b), (c, d) = transform
    return jnp.array([[d, -b], [-c, a]]) / (a * d - b * c)
