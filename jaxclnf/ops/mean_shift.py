"""Mean shift of landmarks on their response maps, and the likelihood of their places."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

GRID_STEP = 0.1
"""Step in pixels of OpenFace's kernel table."""


def mean_shift(
    responses: Float[Array, "n rows cols"],
    positions: Float[Array, "n 2"],
    sigma: Float[Array, ""],
    kernel: Literal["exact", "grid"] = "exact",
) -> Float[Array, "n 2"]:
    """Compute each position's shift x, y to the kernel-weighted mean of its map, in map pixels.

    Positions count from the centre of the map's first pixel and are clamped to the map first.
    ``kernel="grid"`` rounds the kernel's centre to a tenth of a pixel as OpenFace's table does
    (`NonVectorisedMeanShift_precalc_kde`); the default does not, and has a derivative.
    """
    rows, cols = responses.shape[-2:]
    size = jnp.array([cols, rows], positions.dtype)
    positions = jnp.clip(positions, 0, size[None] - 0.1)
    centres = _to_grid(positions) if kernel == "grid" else positions
    kernel_x, kernel_y = _kernels(centres, rows, cols, sigma)
    mass_x = jnp.einsum("nyx,ny->nx", responses, kernel_y) * kernel_x
    mass_y = jnp.einsum("nyx,nx->ny", responses, kernel_x) * kernel_y
    total = mass_x.sum(-1)
    moments = jnp.stack([mass_x @ _pixels(cols, sigma), mass_y @ _pixels(rows, sigma)], axis=-1)
    # An empty map (an invisible landmark) stays where it is.
    mean = moments / jnp.where(total > 0, total, 1)[:, None]
    return jnp.where((total > 0)[:, None], mean - positions, 0)


def likelihoods(
    responses: Float[Array, "n rows cols"], positions: Float[Array, "n 2"], sigma: Float[Array, ""]
) -> Float[Array, " n"]:
    """Sum each map, weighted by the kernel about the landmark's position, which is not clamped."""
    kernel_x, kernel_y = _kernels(positions, responses.shape[-2], responses.shape[-1], sigma)
    return jnp.einsum("nyx,ny,nx->n", responses, kernel_y, kernel_x)


def _kernels(centres, rows, cols, sigma):
    """The Gaussian kernel's two factors, along x and along y."""
    factor = -0.5 / sigma**2
    by_x = jnp.exp(factor * (_pixels(cols, sigma)[None] - centres[:, :1]) ** 2)
    by_y = jnp.exp(factor * (_pixels(rows, sigma)[None] - centres[:, 1:]) ** 2)
    return by_x, by_y


def _pixels(n, like):
    return jnp.arange(n, dtype=like.dtype)


def _to_grid(positions):
    return jnp.floor(positions / GRID_STEP + 0.5) * GRID_STEP
