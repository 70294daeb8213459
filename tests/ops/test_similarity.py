from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import PARTS, as_points, assert_close, openface_model
from shared_data import golden

from jaxclnf.ops.shape import reference_shape
from jaxclnf.ops.similarity import inverse, similarity

EXACT = {np.float64: 1e-9, np.float32: 3e-6}
"""Relative. OpenFace computes in float64, but centres shapes that a float32 routine rounds a little."""

rng = np.random.default_rng(0)
POINTS = rng.normal(0, 30, (12, 2))


def turn(angle: float, scale: float) -> np.ndarray:
    return scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@pytest.mark.parametrize("name", PARTS)
def test_it_is_openfaces(name: str, dtype) -> None:
    arrays, pdm = golden("pdm_golden", f"{name}/"), openface_model(dtype, name).pdm

    def to_reference(points, shape):
        return similarity(points, reference_shape(pdm, shape, jnp.asarray(0.35, dtype)))

    points, shapes = jnp.asarray(as_points(arrays["shape2d"]), dtype), jnp.asarray(arrays["p_local"], dtype)
    found = jax.jit(jax.vmap(to_reference))(points, shapes)
    assert_close(found, arrays["align_img_to_ref_0p35"], EXACT[dtype])


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 2, np.pi, -2.8])
@pytest.mark.parametrize("scale", [0.01, 1.0, 40.0])
def test_a_turned_and_scaled_set_is_met(angle: float, scale: float, dtype) -> None:
    target = POINTS @ turn(angle, scale).T + np.array([300.0, -20])
    found = similarity(jnp.asarray(POINTS, dtype), jnp.asarray(target, dtype))
    # The centroid's distance costs float32 digits of a small set.
    assert_close(found, turn(angle, scale), 1e-12 if dtype == np.float64 else 2e-4 / min(scale, 1))


def test_no_reflection() -> None:
    mirrored = POINTS * np.array([-1.0, 1])
    assert np.linalg.det(similarity(jnp.asarray(POINTS), jnp.asarray(mirrored))) > 0


def test_scale_is_the_ratio_of_rms_radii(dtype) -> None:
    """Not the least-squares scale, which noise makes smaller."""
    source = POINTS - POINTS.mean(0)
    target = source @ turn(0.4, 2).T + rng.normal(0, 15, POINTS.shape)
    found = similarity(jnp.asarray(source, dtype), jnp.asarray(target, dtype))
    ratio = np.linalg.norm(target - target.mean(0)) / np.linalg.norm(source)
    np.testing.assert_allclose(np.sqrt(np.linalg.det(found)), ratio, rtol=EXACT[dtype])


def test_rotation_is_kabschs(dtype) -> None:
    target = POINTS @ turn(0.4, 2).T + rng.normal(0, 15, POINTS.shape)
    u, _, vt = np.linalg.svd((target - target.mean(0)).T @ (POINTS - POINTS.mean(0)))
    rotation = u @ np.diag([1, np.linalg.det(u @ vt)]) @ vt
    found = similarity(jnp.asarray(POINTS, dtype), jnp.asarray(target, dtype))
    assert_close(found / np.sqrt(np.linalg.det(found)), rotation, EXACT[dtype])


def test_inverse(dtype) -> None:
    transform = jnp.asarray(turn(1.1, 0.35), dtype)
    np.testing.assert_allclose(transform @ inverse(transform), np.eye(2), atol=EXACT[dtype])
