"""Early termination: if a try is good enough after the first stage, the face's other tries are dropped.

Source: OpenFace 2's `DetectLandmarksInImage`; Baltrušaitis et al., "OpenFace 2.0", 2018.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxclnf.types import EarlyTermination


def adjusted(
    early: EarlyTermination, score: Float[Array, "*tries"], view: Int[Array, "*tries"]
) -> tuple[Float[Array, "*tries"], Bool[Array, "*tries"]]:
    """Make scores comparable between views, and tell whether each is good enough to stop the search."""
    comparable = score * early.weights[view] + early.biases[view]
    return comparable, comparable > early.cutoffs[view]


def kept(
    comparable: Float[Array, "n_faces n_starts"], enough: Bool[Array, "n_faces n_starts"], n_kept: int
) -> Int[Array, "n_faces n_kept"]:
    """Choose the tries that a face goes on with: the first good one, repeated, or else the likeliest."""
    _, best = jax.lax.top_k(comparable, n_kept)
    first = jnp.argmax(enough, axis=1).astype(jnp.int32)
    return jnp.where(enough.any(1)[:, None], first[:, None], best)


def keeps_shape(
    which: Int[Array, "n_faces n_kept"], enough: Bool[Array, "n_faces n_starts"]
) -> Bool[Array, "n_faces n_kept"]:
    """Tell whether OpenFace 2 goes on from the shape that a try found, not from the mean shape.

    There, tries share the memory of their shapes, and each clears it before it starts: if none was good
    enough, only the last start's shape is left.
    """
    return enough.any(1)[:, None] | (which == enough.shape[1] - 1)
