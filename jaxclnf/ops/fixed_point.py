"""Bilinear reading of pixels as OpenCV does it: coordinates in steps of 1/32 pixel, 0 beyond the border.

Source: OpenCV's `remap` and `warpAffine` with INTER_LINEAR, which OpenFace 2 and its validators call.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

STEPS, FINE = 32, 1024
"""Steps of a pixel: coordinates come in `STEPS`, what a row and a column add to them in `FINE`."""


def remap(
    image: Num[Array, "height width"], x: Float[Array, "*grid"], y: Float[Array, "*grid"]
) -> Float[Array, "*grid"]:
    """Values of ``image`` at coordinates, rounded to 1/32 pixel with ties to even."""
    return read_in_steps(image, steps_of(x), steps_of(y), x.dtype)


def read_in_steps(
    image: Num[Array, "height width"],
    x: Int[Array, "*grid"],
    y: Int[Array, "*grid"],
    dtype,
    low: Int[Array, "2"] | None = None,
    high: Int[Array, "2"] | None = None,
) -> Float[Array, "*grid"]:
    """Values at whole numbers of 1/32 pixel; pixels outside ``low`` .. ``high`` (x, y; excluded) count 0.

    Without these, pixels outside the image do.
    """
    height, width = image.shape
    low = jnp.zeros(2, jnp.int32) if low is None else low
    high = jnp.array([width, height], jnp.int32) if high is None else high
    col, row = x // STEPS, y // STEPS
    dx, dy = ((a % STEPS).astype(dtype) / STEPS for a in (x, y))

    def tap(col, row):
        inside = (col >= low[0]) & (col < high[0]) & (row >= low[1]) & (row < high[1])
        pixel = image[jnp.clip(row, 0, height - 1), jnp.clip(col, 0, width - 1)]
        return jnp.where(inside, pixel.astype(dtype), 0)

    top = (1 - dx) * tap(col, row) + dx * tap(col + 1, row)
    bottom = (1 - dx) * tap(col, row + 1) + dx * tap(col + 1, row + 1)
    return (1 - dy) * top + dy * bottom


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
    return read_in_steps(images[which], steps[..., 0], steps[..., 1], centres.dtype)


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
