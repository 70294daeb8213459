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
"""Steps of a pixel: coordinates come in `STEPS`, what a row and a column add to them in `FINE`."""


TAPS = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.int32)
"""The pixels, x and y, that a value lies between."""


def remap(
    image: Num[Array, "height width"], x: Float[Array, "*grid"], y: Float[Array, "*grid"]
) -> Float[Array, "*grid"]:
    """Values of ``image`` at coordinates, rounded to 1/32 pixel with ties to even."""
    low, high = whole_of(image)
    return read_in_steps(image[None], jnp.uint32(0), steps_of(x), steps_of(y), low, high, x.dtype)


def whole_of(image: Num[Array, "*n height width"]) -> tuple[Int[Array, "2"], Int[Array, "2"]]:
    """The first pixel of an image (x, y) and the one after its last."""
    return jnp.zeros(2, jnp.int32), jnp.array(image.shape[:-3:-1], jnp.int32)


def read_in_steps(
    images: Num[Array, "n_images height width"],
    which: UInt32[Array, ""],
    x: Int[Array, "*grid"],
    y: Int[Array, "*grid"],
    low: Int[Array, "2"],
    high: Int[Array, "2"],
    dtype: DTypeLike,
) -> Float[Array, "*grid"]:
    """Values at whole numbers of 1/32 pixel; pixels outside ``low`` .. ``high`` (excluded) count 0.

    On CPUs one look-up after the other, for the reason that `jaxclnf.ops.sample` gives.
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
    """Pixels a step beyond others, 0 outside."""
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
    """`jaxclnf.ops.sample.sample_patches_of` as OpenFace 2 samples.

    OpenCV's `warpAffine` rounds what rows and what columns add to a coordinate to 1/1024 pixel each, then
    their sum to 1/32.
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
    """Patches' first samples in 1/1024 pixels, whole and the rest, which float32 has not room for together.

    The order of the sums is OpenFace's.
    """
    same, other = jnp.diagonal(img_from_ref), jnp.diagonal(img_from_ref[:, ::-1])
    fine = (centres - reach * same[None] - reach * other[None]) * FINE
    whole = jnp.floor(fine)
    return whole, fine - whole


def steps_of(x: Float[Array, "*grid"]) -> Int[Array, "*grid"]:
    """Coordinates in 1/32 pixels; those that are no numbers or far away lie outside every image."""
    far = 2.0**24
    x = jnp.where(jnp.isnan(x), -far, jnp.clip(x * STEPS, -far, far))
    return jnp.round(x).astype(jnp.int32)
