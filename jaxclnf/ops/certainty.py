"""How far a landmark may lie from where it was found.

Errors of landmarks have longer tails than a Gaussian's: those of the faces that the shipped model has not
learned from follow Student's t of four degrees of freedom, whatever was done to the photo
(`experiments/29_networks`).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

FREEDOM = 4
"""Degrees of freedom; the fewer, the longer the tails."""

DIRECTIONS = 32
HALVINGS = 30


def certain_radius(
    covariance: Num[Array | np.ndarray, "*batch 2 2"] | None, share: float | Float[Array, ""] = 0.9
) -> Float[Array, "*batch"]:
    """Radius in pixels of the circle about a landmark that holds its true place with a given probability.

    ``covariance`` is that of its error, in pixels squared, as `FitResult.covariance` has it, ``share`` the
    probability, above 0 and below 1. The Gaussian's mass beyond a circle is a mean over directions, and the
    radius is found by bisection. It is NaN where the covariance is. Raises ValueError for other shares, and
    for the covariance None of a fit without networks.
    """
    _check(covariance, share)
    covariance = jnp.asarray(covariance)
    if not jnp.issubdtype(covariance.dtype, jnp.floating):
        covariance = covariance.astype(float)
    angles = jnp.pi * (jnp.arange(DIRECTIONS, dtype=covariance.dtype) + 0.5) / DIRECTIONS
    angles = angles.reshape((1,) * (covariance.ndim - 2) + (DIRECTIONS,))
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    xx, xy, yy = covariance[..., :1, 0], covariance[..., :1, 1], covariance[..., 1:, 1]
    determinant = xx * yy - xy**2
    precision = (yy * cos**2 - 2 * xy * cos * sin + xx * sin**2) / determinant
    weight = 1 / (precision * jnp.sqrt(determinant))

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) / 2
        square = middle[..., None] ** 2 * precision
        beyond = (weight * (1 + square / (FREEDOM - 2)) ** (-FREEDOM / 2)).mean(-1)
        inside = beyond > 1 - share
        return jnp.where(inside, middle, low), jnp.where(inside, high, middle)

    # An error along the longest axis alone stays within less than one of both: that bounds the radius.
    longest = jnp.sqrt((xx + yy)[..., 0])
    bounds = jnp.zeros_like(longest), longest * jnp.sqrt(certain_square(jnp.asarray(share, xx.dtype)))
    low, high = jax.lax.fori_loop(0, HALVINGS, halve, bounds)
    return jnp.where(jnp.isfinite(longest), (low + high) / 2, jnp.nan)


def _check(covariance: object, share: ArrayLike) -> None:
    if covariance is None:
        raise ValueError(
            "the covariance is None: only models with networks, as the one that ships, give landmarks one"
        )
    if not isinstance(share, Tracer) and not (np.greater(share, 0) & np.less(share, 1)).all():
        raise ValueError(f"share = {share!r:.60}, expected a probability above 0 and below 1, as 0.9")


def certain_square(share: Float[Array, "*batch"] | float) -> Float[Array, "*batch"]:
    """Give the size of the ellipse that holds a landmark's true place with a probability.

    It is the square of the Mahalanobis distance by the covariance of the error, for shares from 0 to below 1.
    """
    return (FREEDOM - 2) * ((1 - jnp.asarray(share)) ** (-2 / FREEDOM) - 1)
