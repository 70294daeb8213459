from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import (
    PARTS,
    as_params,
    as_points,
    as_points_3d,
    assert_close,
    openface_model,
    rigid_of,
    synthetic_model,
)
from shared_data import golden

from jaxclnf.ops.shape import clamp, jacobian, reference_shape, shape_2d, shape_3d, update
from jaxclnf.types import PDM, FaceParams

EXACT = {np.float64: 1e-12, np.float32: 1e-6}
"""Relative. OpenFace computes shapes in float64, as we can."""
FLOAT32 = {np.float64: 3e-6, np.float32: 3e-6}
"""Relative. OpenFace computes Jacobians, updates and limits from float32 numbers in float32."""

POSES = {"any": 0.5, "near zero": 1e-5, "near the limit": 1.5}
DEVIATIONS = {"any": 1.0, "near zero": 1e-5, "near the limit": 2.99}


def pdm_of(name: str, dtype) -> PDM:
    return synthetic_model(dtype).pdm if name == "synthetic" else openface_model(dtype, name).pdm


def random_params(pdm: PDM, kind: str, n: int, dtype) -> FaceParams:
    """Random signs of about the size that ``kind`` names."""
    rng = np.random.default_rng(len(kind))
    spread = rng.uniform(0.9, 1, (n, 3 + pdm.n_modes)) * rng.choice([-1, 1], (n, 3 + pdm.n_modes))
    rigid = np.concatenate([rng.uniform(0.3, 5, (n, 1)), POSES[kind] * spread[:, :3]], axis=1)
    rigid = np.concatenate([rigid, rng.uniform(0, 500, (n, 2))], axis=1)
    local = DEVIATIONS[kind] * spread[:, 3:] * np.sqrt(np.asarray(pdm.eigenvalues))
    return as_params(rigid, local, dtype)


def over_faces(function, pdm: PDM, *args):
    return jax.jit(jax.vmap(function, in_axes=(None, *[0] * len(args))))(pdm, *args)


@pytest.mark.parametrize("name", PARTS)
class TestOpenFace:
    def test_shapes(self, name: str, dtype) -> None:
        arrays, pdm = golden("pdm_golden", f"{name}/"), pdm_of(name, dtype)
        params = as_params(arrays["p_global"], arrays["p_local"], dtype)
        assert_close(over_faces(shape_3d, pdm, params.shape), as_points_3d(arrays["shape3d"]), EXACT[dtype])
        assert_close(over_faces(shape_2d, pdm, params), as_points(arrays["shape2d"]), EXACT[dtype])

    def test_jacobian(self, name: str, dtype) -> None:
        """Also weighted, rigid and whole."""
        arrays, pdm = golden("pdm_golden", f"{name}/"), pdm_of(name, dtype)
        params = as_params(arrays["p_global"], arrays["p_local_f32"], dtype)
        found = over_faces(jacobian, pdm, params)
        found = np.concatenate([found[:, :, 0], found[:, :, 1]], axis=1)  # rows: every x, then every y
        weighted = found * arrays["weights_diag"][..., None]
        for case in range(len(found)):
            assert_close(found[case], arrays["jacobian"][case], FLOAT32[dtype])
            assert_close(found[case, :, :6], arrays["rigid_jacobian"][case], FLOAT32[dtype])
            assert_close(weighted[case].T, arrays["jacobian_wt_weighted"][case], FLOAT32[dtype])

    def test_update(self, name: str, dtype) -> None:
        arrays = golden("pdm_golden", f"{name}/")
        params = as_params(arrays["p_global"], arrays["p_local_f32"], dtype)
        delta = jnp.asarray(arrays["delta"], dtype)
        moved = jax.jit(jax.vmap(update))(params, delta)
        assert_close(rigid_of(moved)[:, :4], arrays["updated_global"][:, :4], FLOAT32[dtype])
        assert_close(moved.translation, arrays["updated_global"][:, 4:], FLOAT32[dtype])
        assert_close(moved.shape, arrays["updated_local"], FLOAT32[dtype])
        rigid = jax.jit(jax.vmap(update))(params, delta.at[:, 6:].set(0))
        assert_close(rigid_of(rigid), arrays["updated_rigid_global"], FLOAT32[dtype])

    def test_clamp(self, name: str, dtype) -> None:
        arrays, pdm = golden("pdm_golden", f"{name}/"), pdm_of(name, dtype)
        params = as_params(arrays["clamp_in_global"], arrays["clamp_in_local"], dtype)
        clamped = over_faces(clamp, pdm, params)
        assert_close(rigid_of(clamped), arrays["clamp_out_global"], FLOAT32[dtype])
        assert_close(clamped.shape, arrays["clamp_out_local"], FLOAT32[dtype])
        assert not np.array_equal(arrays["clamp_in_local"], arrays["clamp_out_local"])


@pytest.mark.parametrize("kind", POSES)
@pytest.mark.parametrize("name", ["synthetic", *PARTS])
def test_jacobian_is_the_derivative_of_a_small_step(name: str, kind: str) -> None:
    """Of the small rotation's composition, not of Euler angles; 1e-6 relative in every column."""
    with jax.enable_x64(True):
        pdm = pdm_of(name, np.float64)
        params = random_params(pdm, kind, 8, np.float64)

        def derivative(pdm, params):
            step = jnp.zeros(6 + pdm.n_modes, pdm.mean.dtype)
            return jax.jacfwd(lambda delta: shape_2d(pdm, update(params, delta)))(step)

        found, expected = over_faces(jacobian, pdm, params), over_faces(derivative, pdm, params)
        error = np.abs(found - expected).max(axis=(1, 2))
        assert (error <= 1e-6 * np.abs(expected).max(axis=(1, 2))).all()


@pytest.mark.parametrize("kind", POSES)
def test_a_step_and_back_returns_to_first_order(kind: str) -> None:
    with jax.enable_x64(True):
        pdm = pdm_of("synthetic", np.float64)
        params = random_params(pdm, kind, 16, np.float64)
        direction = jnp.asarray(np.random.default_rng(0).normal(size=(16, 10)))
        there = jax.jit(jax.vmap(update))
        gaps = []
        for size in (1e-2, 1e-3):
            back = there(there(params, size * direction), -size * direction)
            gap = over_faces(shape_2d, pdm, back) - over_faces(shape_2d, pdm, params)
            gaps.append(np.abs(gap).max())
        assert gaps[0] < 0.1
        assert gaps[1] <= 0.02 * gaps[0] + 1e-9


def test_clamp_leaves_what_is_within_and_cuts_what_is_not(dtype) -> None:
    pdm = pdm_of("synthetic", dtype)
    limit = 3 * jnp.sqrt(pdm.eigenvalues)
    within = as_params([2.0, 1.5, -1.5, 1.5, 9, -9], 0.99 * limit, dtype)
    beyond = as_params([2.0, 1.6, -1.6, 9, 9, -9], -1.5 * limit, dtype)
    jax.tree.map(np.testing.assert_array_equal, clamp(pdm, within), within)
    cut = clamp(pdm, beyond)
    np.testing.assert_allclose(cut.shape, -limit, rtol=1e-6)
    np.testing.assert_allclose(cut.rotation, np.array([1, -1, 1]) * np.pi / 2, rtol=1e-6)
    np.testing.assert_array_equal(rigid_of(cut)[[0, 4, 5]], [2, 9, -9])


def test_reference_shape_is_the_upright_face_at_the_experts_scale(dtype) -> None:
    pdm = pdm_of("synthetic", dtype)
    q = jnp.asarray([3.0, -2, 1, 4], dtype)
    upright = FaceParams(jnp.asarray(0.35, dtype), jnp.zeros(3, dtype), jnp.zeros(2, dtype), q)
    assert_close(reference_shape(pdm, q, upright.scale), shape_2d(pdm, upright), EXACT[dtype])
