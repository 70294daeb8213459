"""How far a landmark may lie from where it was found.

Errors of landmarks have longer tails than a Gaussian's: those of the faces that the shipped model has not
learned from follow Student's t of four degrees of freedom, whatever was done to the photo
(`experiments/29_networks`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
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
    probability, above 0 and below 1. The mass beyond a circle is a mean over directions, and the radius,
    which can be differentiated, is found by bisection; errors along a line, whose covariance is singular,
    have one, too. It is NaN where the covariance is. Raises ValueError for other shares, and for the
    covariance None of a fit without networks.
    """
    _check(covariance, share)
    return _radius(jnp.asarray(covariance), jnp.asarray(share))


@jax.jit
def _radius(covariance: Num[Array, "*batch 2 2"], share: Num[Array, "*shares"]) -> Float[Array, "*batch"]:
    if not jnp.issubdtype(covariance.dtype, jnp.floating):
        covariance = covariance.astype(float)
    share = share.astype(covariance.dtype)
    angles = jnp.pi * (jnp.arange(DIRECTIONS, dtype=covariance.dtype) + 0.5) / DIRECTIONS
    angles = angles.reshape((1,) * (covariance.ndim - 2) + (DIRECTIONS,))
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    xx, xy, yy = covariance[..., :1, 0], covariance[..., :1, 1], covariance[..., 1:, 1]
    # The error is a round one stretched by the root of the covariance, towards each direction by the square
    # root of this. All directions of the round error are alike, whatever the covariance.
    stretch = jnp.maximum(xx * cos**2 + 2 * xy * cos * sin + yy * sin**2, 0) * (FREEDOM - 2)

    def excess(radius: Array) -> Array:
        beyond = ((stretch / (stretch + radius[..., None] ** 2)) ** (FREEDOM / 2)).mean(-1)
        return beyond - (1 - share)

    # An error along the longest axis alone stays within less than one of both: that bounds the radius.
    longest = jnp.sqrt((xx + yy)[..., 0])
    most = longest * jnp.sqrt(certain_square(share))
    # The derivative is that of the root; that of the bisection is another.
    radius = jax.lax.custom_root(excess, most, _bisected, lambda slope, y: y / slope(jnp.ones_like(y)))
    return jnp.where(jnp.isfinite(longest), radius, jnp.nan)


def _bisected(excess: Callable[[Array], Array], most: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Find where a function that falls from above zero, between 0 and ``most``, is zero."""

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) / 2
        above = excess(middle) > 0
        return jnp.where(above, middle, low), jnp.where(above, high, middle)

    low, high = jax.lax.fori_loop(0, HALVINGS, halve, (jnp.zeros_like(most), most))
    return (low + high) / 2


def _check(covariance: Any, share: Any) -> None:
    if covariance is None:
        raise ValueError(
            "the covariance is None: only models with networks, as the one that ships, give landmarks one"
        )
    if np.shape(covariance)[-2:] != (2, 2):
        found = np.shape(covariance) if hasattr(covariance, "shape") else type(covariance).__name__
        raise ValueError(f"expected a covariance (..., 2, 2), as FitResult.covariance; got {found}")
    if not isinstance(share, Tracer) and not _is_probability(share):
        raise ValueError(f"share = {share!r:.60}, expected a probability above 0 and below 1, as 0.9")


def _is_probability(share: Any) -> bool:
    """Tell a real number above 0 and below 1, or an array of such; words and None are none."""
    numbers = np.asarray(share)
    if not jnp.issubdtype(numbers.dtype, jnp.floating):
        return False
    return bool(((numbers > 0) & (numbers < 1)).all())


def certain_square(share: Float[Array, "*batch"] | float) -> Float[Array, "*batch"]:
    """Give the size of the ellipse that holds a landmark's true place with a probability.

    It is the square of the Mahalanobis distance by the covariance of the error, for shares from 0 to below 1.
    """
    return (FREEDOM - 2) * ((1 - jnp.asarray(share)) ** (-2 / FREEDOM) - 1)
