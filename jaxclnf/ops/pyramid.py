"""Pictures sampled from images at any reduction without aliasing: from the image or its averaged halves."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Num

from jaxclnf.ops.sample import between

LEVELS = 6
"""Most levels of a pyramid: the image itself, then each half of the one before."""

SMALLEST = 32
"""Shorter sides than this, in pixels, are not halved."""


class Pyramid(NamedTuple):
    """Images and their halves, one after the other in a row of memory for each image."""

    pixels: Float[Array, "n_images n_pixels"]
    first: Int[Array, " n_levels"]  # place of each level's first pixel
    height: Int[Array, " n_levels"]
    width: Int[Array, " n_levels"]


def pyramid(images: Num[Array | np.ndarray, "n_images height width"], dtype: DTypeLike) -> Pyramid:
    """Average images two by two until they are small; an odd last row or column counts twice."""
    level = jnp.asarray(images, dtype)
    levels = [level]
    while len(levels) < LEVELS and min(level.shape[1:]) >= 2 * SMALLEST:
        n, height, width = level.shape
        level = jnp.pad(level, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
        level = level.reshape(n, -(-height // 2), 2, -(-width // 2), 2).mean((2, 4))
        levels.append(level)
    sizes = np.array([a.shape[1:] for a in levels], np.int32)
    first = np.cumsum([0, *(a.shape[1] * a.shape[2] for a in levels[:-1])]).astype(np.int32)
    pixels = jnp.concatenate([a.reshape(len(a), -1) for a in levels], axis=1)
    return Pyramid(pixels, jnp.asarray(first), jnp.asarray(sizes[:, 0]), jnp.asarray(sizes[:, 1]))


def sample_picture(
    of: Pyramid,
    which: Int[Array, ""],
    centre: Float[Array, "2"],
    img_from_ref: Float[Array, "2 2"],
    side: int,
) -> Float[Array, "{side} {side}"]:
    """Sample a square picture about a point of image ``which``, as `jaxclnf.ops.sample` does a patch.

    It is read, between pixels, from the level whose pixels are nearest to the picture's in size.
    """
    size = jnp.sqrt(jnp.abs(jnp.linalg.det(jax.lax.stop_gradient(img_from_ref))))
    finite = jnp.where(jnp.isfinite(size) & (size > 0), size, 1)
    level = jnp.clip(jnp.round(jnp.log2(finite)), 0, len(of.first) - 1).astype(jnp.int32)
    reduction = jnp.exp2(level.astype(centre.dtype))
    grid = jnp.asarray(np.arange(side) - (side - 1) / 2, centre.dtype)
    x, y = (
        (centre[k] + img_from_ref[k, 0] * grid[None] + img_from_ref[k, 1] * grid[:, None] + 0.5) / reduction
        - 0.5
        for k in (0, 1)
    )
    col, dx, right = _cell(x, of.width[level])
    row, dy, down = _cell(y, of.height[level])
    place = of.first[level] + row * of.width[level] + col
    row_of = of.pixels[which]
    steps = 0, right, down * of.width[level], down * of.width[level] + right
    return between(tuple(row_of.at[place + step].get(mode="clip") for step in steps), dx, dy)


def _cell(x: Array, length: Array) -> tuple[Array, Array, Array]:
    """Find the pixel before each coordinate, the distance beyond it, and the step to the next pixel.

    Here ``length`` is an array, since each face has its level; in `jaxclnf.ops.sample` it is a number.
    """
    x = jnp.clip(jnp.where(jnp.isnan(x), 0, x), 0, (length - 1).astype(x.dtype))
    before = jnp.minimum(jnp.floor(x), jnp.maximum(length - 2, 0).astype(x.dtype))
    return before.astype(jnp.int32), x - before, jnp.minimum(length - 1, 1)
