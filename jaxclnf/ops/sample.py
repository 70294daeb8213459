"""Patches of an image, sampled in a rotated and scaled frame."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Num


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
    offsets = jnp.arange(size, dtype=centres.dtype) - (size - 1) / 2
    grid = jnp.stack(jnp.meshgrid(offsets, offsets), axis=-1)  # (row, col, xy)
    points = centres[:, None, None] + (grid @ img_from_ref.T)[None]
    return bilinear(image, points[..., 0], points[..., 1])


def bilinear(
    image: Num[Array, "height width"], x: Float[Array, "*grid"], y: Float[Array, "*grid"]
) -> Float[Array, "*grid"]:
    """Image values between pixels; beyond the border, the border's."""
    height, width = image.shape
    x0, y0 = jnp.floor(x), jnp.floor(y)
    dx, dy = x - x0, y - y0
    col, row = x0.astype(jnp.int32), y0.astype(jnp.int32)
    # Unsigned, so that the look-up need not ask for negative places.
    cols = [jnp.clip(c, 0, width - 1).astype(jnp.uint32) for c in (col, col + 1)]
    rows = [jnp.clip(r, 0, height - 1).astype(jnp.uint32) * width for r in (row, row + 1)]
    flat = image.reshape(-1)
    corner = [[flat.at[r + c].get(mode="promise_in_bounds").astype(x.dtype) for c in cols] for r in rows]
    top, bottom = (left + dx * (right - left) for left, right in corner)
    return top + dy * (bottom - top)
