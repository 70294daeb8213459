"""Derivatives of the landmark error by the settings, and settings learned with them."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import box_of, synthetic_config, synthetic_face, synthetic_model

from jaxclnf.config import setting
from jaxclnf.ops.shape import shape_2d
from jaxclnf.sweeps.sweep_faces import Canvases
from jaxclnf.sweeps.tune import face_errors, freed, loss, tune, with_learned

NAMES = ("reg_factor", "sigma", "landmark_weights", "mode_stiffness", "box_correction")
SIZES = {"landmark_weights": 12, "mode_stiffness": 4}


def faces(dtype, n: int) -> Canvases:
    model = synthetic_model(dtype)
    images, params = zip(*(synthetic_face(seed, dtype) for seed in range(n)), strict=True)
    points = np.stack([shape_2d(model.pdm, p) for p in params])
    boxes = np.stack([box_of(model, p) + [4, -3, 5, 2] for p in params])
    return Canvases(np.stack(images), boxes, points, np.full(n, 80.0))


@pytest.fixture(scope="module")
def derivatives():
    with jax.enable_x64(True):
        model, photos = synthetic_model(jnp.float64), faces(jnp.float64, 2)
        starts = np.array([[0, 0, 0], [0, 0.6, 0]], np.float32)
        config = synthetic_config(
            start_rotations=starts, keep=(2, 1), between_views=(1,), tolerance=np.float32(0)
        )
        config = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), config)
        free = freed(config, NAMES, SIZES)
        error = jax.jit(lambda free: loss(free, model, photos, config))
        yield free, jax.jit(jax.grad(error))(free), error


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_central_differences(derivatives, name):
    free, gradient, error = derivatives
    with jax.enable_x64(True):
        found = np.asarray(gradient[name])
        for i in np.ndindex(found.shape):
            step = 1e-6
            ahead, behind = (
                float(error({**free, name: free[name].at[i].add(sign * step)})) for sign in (1, -1)
            )
            expected = (ahead - behind) / (2 * step)
            assert found[i] == pytest.approx(expected, rel=1e-3, abs=1e-6)
        assert np.abs(found).max() > 1e-3  # so that the comparison says something


@pytest.mark.releases
def test_learned_settings_fit_better():
    model, photos = synthetic_model(jnp.float32), faces(np.float32, 8)
    poor = synthetic_config(reg_factor=np.array([400, 400], np.float32))
    config = jax.tree.map(jnp.asarray, poor)
    with jax.numpy_dtype_promotion("standard"):  # optax counts steps in integers
        free = tune(model, photos, config, freed(config, ["reg_factor"]), 25, batch=4, learning_rate=0.2)
    before, after = (face_errors(model, photos, c).mean() for c in (config, with_learned(config, free)))
    assert after < 0.9 * before


def test_settings_are_learned_by_their_logarithm_if_positive():
    config = synthetic_config(box_correction=np.array([0.1, 0, 0, 0], np.float32))
    again = with_learned(config, freed(config, NAMES, SIZES))
    np.testing.assert_allclose(setting(again, "reg_factor"), setting(config, "reg_factor"), rtol=1e-6)
    np.testing.assert_allclose(again.box_correction, config.box_correction)
    assert again.landmark_weights.shape == (12,)
    assert replace(again).mode_stiffness.shape == (4,)


def test_settings_of_one_stage_are_learned_within_what_they_may_be():
    config = synthetic_config().changed({"freedom.0": 0.3})
    free = freed(config, ("sigma.1", "freedom.0"))
    again = with_learned(config, free)
    np.testing.assert_allclose(setting(again, "freedom"), setting(config, "freedom"), rtol=1e-6)
    for step in (-5, 5):
        there = with_learned(config, {name: number + step for name, number in free.items()})
        assert there.stages[1].sigma == pytest.approx(config.stages[1].sigma * np.exp(step))
        assert 0 < there.stages[0].freedom < 1
