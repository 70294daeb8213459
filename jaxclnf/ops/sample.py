"""Patches of an image, sampled in a rotated and scaled frame."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num, UInt32

MAX_PLACE = 2**31
"""Number of pixels up to which one index can address them all."""


def sample_patches(
    image: Num[Array, "height width"],
    centres: Float[Array, "n 2"],
    img_from_ref: Float[Array, "2 2"],
    size: int,
) -> Float[Array, "n {size} {size}"]:
    """Square patches of ``size`` reference pixels around points of the image.

    Sample (row, col) of a patch lies at ``centre + img_from_ref @ (col - c, row - c)`` with
    ``c = (size - 1) / 2``, read bilinearly; coordinates beyond the image read its nearest border
    pixel. Values keep the image's range. Source: OpenFace's `cvWarpQuadrangle` calls in
    `Patch_experts.cpp`.
    """
    return sample_patches_of(image[None], jnp.int32(0), centres, img_from_ref, size)


def sample_patches_of(
    images: Num[Array, "n_images height width"],
    which: Int[Array, ""],
    centres: Float[Array, "n 2"],
    img_from_ref: Float[Array, "2 2"],
    size: int,
) -> Float[Array, "n {size} {size}"]:
    """Do `sample_patches` on one of several images, which a batch of faces shares."""
    x, y = _grid(centres, img_from_ref, size)
    return bilinear(images, which.astype(jnp.uint32), x, y).reshape(-1, size, size)


def _grid(centres, img_from_ref, size):
    """x and y of every sample, (n, size * size), since loops over long rows of memory are faster."""
    offsets = np.arange(size) - (size - 1) / 2
    grid = jnp.asarray(np.stack(np.meshgrid(offsets, offsets)).reshape(2, -1), centres.dtype)
    x, y = img_from_ref[:, :1] * grid[:1] + img_from_ref[:, 1:] * grid[1:]
    return centres[:, :1] + x[None], centres[:, 1:] + y[None]


def bilinear(
    images: Num[Array, "n_images height width"],
    which: UInt32[Array, ""],
    x: Float[Array, "*grid"],
    y: Float[Array, "*grid"],
) -> Float[Array, "*grid"]:
    """Interpolate image ``which`` between its pixels; beyond the border it has the border's values."""
    height, width = images.shape[1:]
    col, dx, right = _cell(x, width)
    row, dy, down = _cell(y, height)
    offsets = np.array([0, right, down * width, down * width + right], np.uint32)
    place = row * jnp.uint32(width) + col
    corners = jax.lax.platform_dependent(
        images, which, place, cpu=partial(_in_a_loop, offsets), default=partial(_at_once, offsets)
    )
    return between(corners.astype(x.dtype), dx, dy)


def between(
    corners: Array | tuple[Array, ...], dx: Float[Array, "*grid"], dy: Float[Array, "*grid"]
) -> Array:
    """Interpolate between pixels: top left, top right, bottom left and bottom right, in this order."""
    top, top_right, bottom, bottom_right = corners
    left, right = top + dy * (bottom - top), top_right + dy * (bottom_right - top_right)
    return left + dx * (right - left)


def _cell(x: Float[Array, "*grid"], length: int) -> tuple[UInt32[Array, "*grid"], Float[Array, "*grid"], int]:
    """The pixel before each coordinate, how far it lies beyond it, and the step to the next pixel.

    Coordinates that are NaN count as 0: no look-up may leave the image. Its last pixels are counted in
    integers, which float32 cannot tell apart beyond 16,777,216.
    """
    x = jnp.clip(jnp.where(jnp.isnan(x), 0, x), 0, length - 1)
    before = jnp.minimum(jnp.floor(x).astype(jnp.uint32), jnp.uint32(max(length - 2, 0)))
    return before, jnp.clip(x - before.astype(x.dtype), 0, 1), min(length - 1, 1)


def _at_once(offsets, images, which, place):
    """Read the pixels at every offset from each place, all look-ups in one program."""
    return jnp.stack([pixels_at(images, which, place + jnp.uint32(offset)) for offset in offsets])


def _in_a_loop(offsets, images, which, place):
    """Do `_at_once` in a loop for CPUs.

    It keeps XLA from fusing other work with the look-ups, which alone are four times as fast.
    """
    return jax.lax.map(lambda offset: pixels_at(images, which, place + offset), jnp.asarray(offsets))


def pixels_at(
    images: Num[Array, "n_images height width"],
    which: UInt32[Array, ""],
    place: UInt32[Array, "*grid"],
) -> Num[Array, "*grid"]:
    """Read pixels of an image by their place, which counts row by row from the first and is inside."""
    n_images, height, width = images.shape
    if images.size > MAX_PLACE:
        return images.reshape(n_images, -1).at[which, place].get(mode="promise_in_bounds")
    # One number a look-up: several would first be laid out side by side in memory.
    return images.reshape(-1).at[which * jnp.uint32(height * width) + place].get(mode="promise_in_bounds")
