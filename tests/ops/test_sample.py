from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclnf.ops.sample import sample_patches, sample_patches_of

ROUNDING = {np.float64: 1e-10, np.float32: 2e-3}
"""Grey levels: float32 places a sample to 1e-5 pixel, on slopes of up to 100 levels a pixel."""

HEIGHT, WIDTH = 40, 50
CENTRES = np.array([[20.25, 15.5], [30.0, 22.75], [12.1, 30.9]])
TURN = np.array([[1.2, -0.5], [0.5, 1.2]])

sample = jax.jit(sample_patches, static_argnums=3)


def places(centres: np.ndarray, transform: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of every sample, (n, size, size)."""
    offsets = np.arange(size) - (size - 1) / 2
    v, u = np.meshgrid(offsets, offsets, indexing="ij")
    points = centres[:, None, None] + np.stack([u, v], axis=-1) @ transform.T
    return points[..., 0], points[..., 1]


def arguments(image, centres, transform, dtype):
    return jnp.asarray(image), jnp.asarray(centres, dtype), jnp.asarray(transform, dtype)


@pytest.mark.parametrize("size", [1, 6, 7])
def test_a_ramp_is_sampled_exactly(size: int, dtype) -> None:
    rows, cols = np.mgrid[:HEIGHT, :WIDTH]
    ramp = (10 + 3 * cols - 2 * rows).astype(dtype)
    x, y = places(CENTRES, TURN, size)
    found = sample(*arguments(ramp, CENTRES, TURN, dtype), size)
    np.testing.assert_allclose(found, 10 + 3 * x - 2 * y, atol=ROUNDING[dtype])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_it_is_bilinear_with_replicated_borders(kind, dtype) -> None:
    """Against a loop, half of the samples beyond the image."""
    image = np.random.default_rng(0).integers(0, 256, (9, 11)).astype(kind)
    centres = np.array([[0.0, 0.0], [5.3, 4.2], [10.5, 8.4], [-30, 4], [100, -100]])
    x, y = places(centres, TURN, 8)
    x, y = x.clip(0, 10), y.clip(0, 8)
    expected = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        col, row = min(int(x[place]), 9), min(int(y[place]), 7)
        dx, dy = x[place] - col, y[place] - row
        (a, b), (c, d) = image[row : row + 2, col : col + 2].astype(float)
        expected[place] = (a * (1 - dx) + b * dx) * (1 - dy) + (c * (1 - dx) + d * dx) * dy
    found = sample(*arguments(image, centres, TURN, dtype), 8)
    np.testing.assert_allclose(found, expected, atol=ROUNDING[dtype])


def test_an_upright_patch_at_a_pixel_is_the_image(dtype) -> None:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8)
    found = sample(*arguments(image, [[20.0, 15.0]], np.eye(2), dtype), 5)
    np.testing.assert_array_equal(found[0], image[13:18, 18:23])


def test_one_pixel_is_an_image_too(dtype) -> None:
    found = sample(*arguments(np.full((1, 1), 7, np.uint8), CENTRES, TURN, dtype), 5)
    np.testing.assert_array_equal(found, np.full((3, 5, 5), 7))


def test_one_of_several_images(dtype) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, HEIGHT, WIDTH)).astype(np.uint8)
    of_one = jax.jit(sample_patches_of, static_argnums=4)
    _, centres, transform = arguments(images, CENTRES, TURN, dtype)
    for which in range(4):
        found = of_one(jnp.asarray(images), jnp.int32(which), centres, transform, 5)
        expected = sample(jnp.asarray(images[which]), centres, transform, 5)
        np.testing.assert_array_equal(found, expected)


def test_what_is_no_number_does_not_spread(dtype) -> None:
    image = np.full((HEIGHT, WIDTH), 50, dtype)
    image[0, 0] = np.nan
    assert np.isfinite(sample(*arguments(image, CENTRES, TURN, dtype), 5)).all()
    corner = sample(*arguments(image, [[0.0, 0]], TURN, dtype), 5)
    assert np.isnan(corner).any()


@pytest.mark.parametrize("x", [2**24 + 1, 2**25 + 5, 2**26 + 3])
def test_no_look_up_leaves_a_row_that_float32_cannot_count(x: int) -> None:
    """At such widths the last columns are one number to float32; the second row would be read."""
    image = np.zeros((2, x), np.uint8)
    image[1, :100] = 255
    image[0, -40:] = 7
    centres = jnp.array([[x - 1, 0], [2.0 * x, 0]], jnp.float32)
    found = np.asarray(sample(jnp.asarray(image), centres, jnp.eye(2, dtype=jnp.float32), 1))
    np.testing.assert_array_equal(found.ravel(), [7, 7])
