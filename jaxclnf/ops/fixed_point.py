"""Bilinear reading of pixels as OpenCV does it: coordinates in steps of 1/32 pixel, 0 beyond the border.

Source: OpenCV's `remap` and `warpAffine` with INTER_LINEAR, which OpenFace 2 and its validators call.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Num, UInt32

from jaxclnf.ops.sample import pixels_at

STEPS, FINE = 32, 1024
"""Steps of a pixel: coordinates are rounded to `STEPS`, the summands of a row and a column to `FINE`."""

TAPS = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.int32)
"""Offsets, x and y, of the four pixels around a value."""


def whole_of(images: Num[Array, "n_images height width"]) -> tuple[Int[Array, "2"], Int[Array, "2"]]:
    """Give the first pixel of images (x, y) and the one after their last."""
    return jnp.zeros(2, jnp.int32), jnp.array(images.shape[:-3:-1], jnp.int32)


def read_in_steps(
    images: Num[Array, "n_images height width"],
    which: UInt32[Array, ""],
    x: Int[Array, "*grid"],
    y: Int[Array, "*grid"],
    low: Int[Array, "2"],
    high: Int[Array, "2"],
    dtype: DTypeLike,
) -> Float[Array, "*grid"]:
    """Read values at whole numbers of 1/32 pixel; pixels outside ``low`` .. ``high`` (excluded) count as 0.

    On CPUs the look-ups follow one another, for the reason given in `jaxclnf.ops.sample`.
    """
    col, row = x // STEPS, y // STEPS
    taps = jax.lax.platform_dependent(
        *(images, which, col, row, low, high), cpu=_taps_in_a_loop, default=_taps_at_once
    ).astype(dtype)
    dx, dy = ((a % STEPS).astype(dtype) / STEPS for a in (x, y))
    top = (1 - dx) * taps[0] + dx * taps[1]
    bottom = (1 - dx) * taps[2] + dx * taps[3]
    return (1 - dy) * top + dy * bottom


def _taps_in_a_loop(*places: Array) -> Num[Array, "4 *grid"]:
    return jax.lax.map(lambda step: _tap(step, *places), jnp.asarray(TAPS))


def _taps_at_once(*places: Array) -> Num[Array, "4 *grid"]:
    return jnp.stack([_tap(step, *places) for step in jnp.asarray(TAPS)])


def _tap(
    step: Int[Array, "2"], images: Array, which: Array, col: Array, row: Array, low: Array, high: Array
) -> Num[Array, "*grid"]:
    """Read the pixels one step beyond the given ones; 0 outside."""
    height, width = images.shape[1:]
    col, row = col + step[0], row + step[1]
    inside = (col >= low[0]) & (col < high[0]) & (row >= low[1]) & (row < high[1])
    place = jnp.clip(row, 0, height - 1).astype(jnp.uint32) * jnp.uint32(width)
    place += jnp.clip(col, 0, width - 1).astype(jnp.uint32)
    found = pixels_at(images, which, place)
    return jnp.where(inside, found, jnp.zeros_like(found))


def sample_in_steps_of(
    images: Num[Array, "n_images height width"],
    which: Int[Array, ""],
    centres: Float[Array, "n 2"],
    img_from_ref: Float[Array, "2 2"],
    size: int,
) -> Float[Array, "n {size} {size}"]:
    """Sample patches as `jaxclnf.ops.sample.sample_patches_of` does, but rounded as in OpenFace 2.

    OpenCV's `warpAffine` rounds the summands of the row and of the column to 1/1024 pixel, then their sum to
    1/32.
    """
    offset = jnp.arange(size).astype(centres.dtype)
    corner, fraction = _corner(centres, img_from_ref, (size - 1) / 2)
    along = offset[:, None, None] * img_from_ref.T[None] * FINE  # size, of a column or row, xy
    of_row = corner[:, None] + jnp.round(fraction[:, None] + along[None, :, 1])
    of_col = jnp.round(along[:, 0])
    far = 2.0**30
    total = jnp.clip(jnp.nan_to_num(of_row[:, :, None] + of_col[None, None], nan=-far), -far, far)
    steps = (total.astype(jnp.int32) + STEPS // 2) >> 5
    x, y = steps[..., 0], steps[..., 1]
    return read_in_steps(images, which.astype(jnp.uint32), x, y, *whole_of(images), centres.dtype)


def _corner(
    centres: Float[Array, "n 2"], img_from_ref: Float[Array, "2 2"], reach: float
) -> tuple[Float[Array, "n 2"], Float[Array, "n 2"]]:
    """First samples of patches in 1/1024 pixels: the whole part and the rest, too long for one float32.

    The order of the sums is OpenFace's.
    """
    same, other = jnp.diagonal(img_from_ref), jnp.diagonal(img_from_ref[:, ::-1])
    fine = (centres - reach * same[None] - reach * other[None]) * FINE
    whole = jnp.floor(fine)
    return whole, fine - whole


def steps_of(x: Float[Array, "*grid"]) -> Int[Array, "*grid"]:
    """Round coordinates to 1/32 pixels; NaN and far away ones come to lie outside every image."""
    far = 2.0**24
    x = jnp.where(jnp.isnan(x), -far, jnp.clip(x * STEPS, -far, far))
    return jnp.round(x).astype(jnp.int32)
