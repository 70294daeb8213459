"""Whether landmarks are visible, by how far the response maps of a network spread.

Maps of a hidden landmark spread further than they usually do, those of its neighbours too; where the photo
is bad, all maps of the face do.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxclnf.types import PDM, Visibility

NEAR = 20.0
"""Distance in model units at which neighbours count little: some 15 % of a face's width."""

SEEN = 0.25
"""Share of a face's landmarks that are taken to be visible: those of the narrowest maps."""


def log_area(covariance: Float[Array, "n_points 2 2"], scale: Float[Array, ""]) -> Float[Array, " n_points"]:
    """Compute the logarithm of the area of each covariance, in squared model units."""
    (xx, xy), (_, yy) = covariance.transpose(1, 2, 0)
    return jnp.log(xx * yy - xy**2) / 2 - 2 * jnp.log(scale)


def hidden_sign(
    pdm: PDM, usual: Float[Array, " n_points"], areas: Float[Array, " n_points"]
) -> Float[Array, " n_points"]:
    """Compute how much wider than usual maps about each landmark are, beside the narrowest of the face."""
    wider = areas - usual
    wider = wider - jnp.sort(wider)[round(SEEN * len(wider))]
    mean = pdm.mean[:, :2]
    apart = mean[:, None] - mean[None]
    near = jnp.exp(-jnp.sum(apart**2, -1) / (2 * NEAR**2))
    return near @ wider / near.sum(1)


def visibility(
    pdm: PDM, known: Visibility, covariance: Float[Array, "n_points 2 2"], scale: Float[Array, ""]
) -> Float[Array, " n_points"]:
    """Compute the probability that each landmark of a face is visible."""
    sign = hidden_sign(pdm, known.usual, log_area(covariance, scale))
    return jax.nn.sigmoid(known.slope * sign + known.bias)
