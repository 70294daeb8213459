"""Piecewise-affine warp of a face to a reference shape's pixels, as OpenFace's validator takes it.

Source: OpenFace's `PAW.cpp`.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

from jaxclnf.ops.fixed_point import STEPS, read_in_steps, steps_of

MARGIN = 3.0
"""Pixels around the landmarks within which the picture counts."""


def region(
    landmarks: Float[Array, "n_points 2"], image_size: tuple[int, ...]
) -> tuple[Int[Array, "2"], Int[Array, "2"]]:
    """Find the first and last pixel (x, y) of an image's region that holds the landmarks."""
    # Landmarks beyond the range of integers are as good as anywhere outside.
    points = jnp.clip(jnp.nan_to_num(landmarks), -1e8, 1e8)
    last = jnp.array(image_size[::-1], jnp.int32) - 1
    low = jnp.trunc(points.min(0) - MARGIN).astype(jnp.int32)
    high = jnp.trunc(points.max(0) + MARGIN).astype(jnp.int32)
    return jnp.maximum(low, 0), jnp.minimum(high, last)


def warp(
    image: Num[Array, "height width"],
    landmarks: Float[Array, "n_points 2"],
    triangles: Int[Array, "n_triangles 3"],
    alpha: Float[Array, "n_triangles 3"],
    beta: Float[Array, "n_triangles 3"],
    triangle_of: Int[Array, "rows cols"],
    origin: Float[Array, "2"],
) -> Float[Array, "rows cols"]:
    """Warp the face to the reference shape; pixel (row, col) stands for ``origin + (col, row)`` there.

    In triangle (i, j, k) that point comes from ``v_i + a (v_j - v_i) + b (v_k - v_i)`` with
    ``a = alpha @ (1, x, y)`` and ``b = beta @ (1, x, y)``. Pixels whose ``triangle_of`` is -1 are 0, as are
    those outside the landmarks' region.
    """
    low, high = region(landmarks, image.shape)
    corners = (landmarks - low[None].astype(landmarks.dtype))[triangles]  # n_triangles, corner, xy
    first, second, third = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    # One affine map a triangle: (n_triangles, coefficient, xy)
    affine = alpha[:, :, None] * second[:, None] + beta[:, :, None] * third[:, None]
    affine = affine.at[:, 0].add(first)
    inside: Bool[Array, "rows cols"] = triangle_of >= 0
    of_pixel = affine[jnp.maximum(triangle_of, 0)]
    rows, cols = (jnp.arange(n).astype(landmarks.dtype) for n in triangle_of.shape)
    x, y = (cols + origin[0])[None, :, None], (rows + origin[1])[:, None, None]
    source = of_pixel[:, :, 0] + of_pixel[:, :, 1] * x + of_pixel[:, :, 2] * y
    steps = steps_of(source) + STEPS * low[None, None]
    values = read_in_steps(
        image[None], jnp.uint32(0), steps[..., 0], steps[..., 1], low, high, landmarks.dtype
    )
    return jnp.where(inside, values, 0)
