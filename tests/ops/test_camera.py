from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclnf.ops.camera import project, resect
from jaxclnf.ops.rotation import euler_to_matrix

POINTS = np.random.default_rng(0).normal(0, 40, (30, 3))
CAMERA = np.array([500.0, 520.0, 320.0, 240.0])


def seen(angles, place, dtype):
    rotation = euler_to_matrix(jnp.asarray(angles, dtype))
    place = jnp.asarray(place, dtype)
    points = jnp.asarray(POINTS, dtype)
    return points, project(points @ rotation.T + place[None], jnp.asarray(CAMERA, dtype)), rotation, place


def test_a_point_on_the_axis_is_seen_at_the_principal_point() -> None:
    points = jnp.array([[0.0, 0.0, 700.0], [70.0, -70.0, 700.0]])
    pixels = project(points, jnp.asarray(CAMERA, points.dtype))
    np.testing.assert_allclose(pixels, [[320, 240], [370, 188]], rtol=1e-6)


@pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-8), (False, 2e-3)])
@pytest.mark.parametrize("angles", [(0, 0, 0), (0.3, -0.5, 0.2), (-0.2, 1.2, 1.0)])
@pytest.mark.parametrize("place", [(0, 0, 600), (-200, 150, 800)])
def test_a_pose_is_found_again(x64: bool, tolerance: float, angles, place) -> None:
    """From a start that is 0.2 rad and 50 off; float32 knows 0.0001 pixel, which is 0.001 in depth."""
    with jax.enable_x64(x64):
        dtype = np.float64 if x64 else np.float32
        points, pixels, rotation, translation = seen(angles, place, dtype)
        start = euler_to_matrix(jnp.asarray(angles, dtype) + jnp.asarray(0.2, dtype))
        found = jax.jit(resect)(points, pixels, jnp.asarray(CAMERA, dtype), start, translation + 50)
        np.testing.assert_allclose(found[0], rotation, atol=tolerance)
        np.testing.assert_allclose(found[1], translation, atol=100 * tolerance)


def test_noise_moves_a_pose_little_and_the_rotation_stays_one() -> None:
    points, pixels, rotation, translation = seen((0.1, 0.4, -0.3), (30, 20, 700), np.float32)
    noisy = pixels + jax.random.normal(jax.random.key(0), pixels.shape)
    found = resect(points, noisy, jnp.asarray(CAMERA, jnp.float32), rotation, translation)
    np.testing.assert_allclose(found[0] @ found[0].T, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(found[0], rotation, atol=0.03)
    np.testing.assert_allclose(found[1], translation, atol=20)
