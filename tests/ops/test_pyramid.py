"""Pictures from averaged halves of an image."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclnf.ops.pyramid import pyramid, sample_picture
from jaxclnf.ops.sample import sample_patches


@partial(jax.jit, static_argnums=3)
def picture(image, centre, img_from_ref, side: int):
    """What `sample_picture` sees of one image, in the precision of the place."""
    return sample_picture(pyramid(image[None], centre.dtype), jnp.int32(0), centre, img_from_ref, side)


def test_of_its_own_size_it_is_a_patch(dtype) -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 70)).astype(np.uint8)
    centre = jnp.array([33.3, 41.7], dtype)
    turn = jnp.array([[0.9, -0.3], [0.3, 0.9]], dtype)
    found = picture(image, centre, turn, 24)
    expected = jax.jit(sample_patches, static_argnums=3)(image, centre[None], turn, 24)[0]
    np.testing.assert_allclose(found, expected, atol=1e-2)  # float32 places are off by 1e-5 pixels


@pytest.mark.parametrize("factor", [2.0, 4.0, 8.0])
def test_a_ramp_stays_where_it_is_at_every_reduction(factor: float, dtype) -> None:
    """A plane of grey has its values at every place, halved or not."""
    x, y = np.meshgrid(np.arange(301.0), np.arange(257.0))
    image = jnp.asarray(0.5 * x + 0.25 * y, dtype)
    centre = jnp.array([150.25, 120.5], dtype)
    found = picture(image, centre, factor * jnp.eye(2, dtype=dtype), 16)
    grid = factor * (np.arange(16) - 7.5)
    expected = 0.5 * (150.25 + grid[None]) + 0.25 * (120.5 + grid[:, None])
    np.testing.assert_allclose(found, expected, atol=1e-2)


def test_stripes_too_fine_to_be_seen_are_grey(dtype) -> None:
    image = np.tile(np.array([0, 255], np.uint8), (256, 128))
    found = picture(image, jnp.array([128.2, 127.7], dtype), 4 * jnp.eye(2, dtype=dtype), 32)
    np.testing.assert_allclose(found, 127.5, atol=1e-3)


def test_beyond_the_border_it_goes_on_and_no_number_is_no_harm(dtype) -> None:
    image = np.full((40, 40), 7, np.uint8)
    for centre in ([-500.0, 900.0], [np.nan, np.inf]):
        found = picture(image, jnp.array(centre, dtype), 3 * jnp.eye(2, dtype=dtype), 8)
        np.testing.assert_allclose(found, 7, atol=1e-5)
