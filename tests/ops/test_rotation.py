from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import PARTS
from shared_data import golden

from jaxclnf.ops.rotation import compose_small_rotation, euler_to_matrix, matrix_to_euler, small_rotation

ROUNDING = {np.float64: 1e-12, np.float32: 2e-6}
"""A few roundings of numbers about 1, and of angles, which lose a digit at 86 degrees of yaw."""

rng = np.random.default_rng(0)
ANGLES = np.concatenate([rng.uniform(-1.5, 1.5, (200, 3)), rng.normal(0, 1e-4, (20, 3)), np.zeros((1, 3))])
TURNS = np.concatenate([rng.normal(0, 0.3, (200, 3)), rng.normal(0, 1e-4, (20, 3)), np.zeros((1, 3))])

to_matrices = jax.jit(jax.vmap(euler_to_matrix))
to_eulers = jax.jit(jax.vmap(matrix_to_euler))
small_rotations = jax.jit(jax.vmap(small_rotation))
compose = jax.jit(jax.vmap(compose_small_rotation))


@pytest.mark.parametrize("name", PARTS)
def test_rotations_are_openfaces(name: str, dtype) -> None:
    arrays = golden("pdm_golden", f"{name}/")
    matrices = to_matrices(jnp.asarray(arrays["p_global"][:, 1:4], dtype))
    np.testing.assert_allclose(matrices, arrays["R"], atol=ROUNDING[dtype])
    eulers = to_eulers(jnp.asarray(arrays["R"], dtype))
    np.testing.assert_allclose(eulers, arrays["euler_from_R"], atol=5 * ROUNDING[dtype])


def test_euler_round_trip(dtype) -> None:
    matrices = to_matrices(jnp.asarray(ANGLES, dtype))
    np.testing.assert_allclose(to_eulers(matrices), ANGLES, atol=20 * ROUNDING[dtype])


@pytest.mark.parametrize("rotations, inputs", [(to_matrices, ANGLES), (small_rotations, TURNS)])
def test_rotations_are_orthonormal_and_no_reflections(rotations, inputs, dtype) -> None:
    found = np.asarray(rotations(jnp.asarray(inputs, dtype)), np.float64)
    products = found @ found.transpose(0, 2, 1)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(3), found.shape), atol=ROUNDING[dtype])
    np.testing.assert_allclose(np.linalg.det(found), 1, atol=3 * ROUNDING[dtype])


def test_a_rotation_stays_orthonormal_over_a_thousand_steps(dtype) -> None:
    turn = jnp.asarray([0.02, -0.03, 0.01], dtype)
    start = jnp.asarray([0.1, 0.2, -0.3], dtype)
    end = jax.jit(lambda e: jax.lax.fori_loop(0, 1000, lambda _, e: compose_small_rotation(e, turn), e))(
        start
    )
    matrix = np.asarray(euler_to_matrix(end), np.float64)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=ROUNDING[dtype])


def test_small_rotation_is_the_polar_factor(dtype) -> None:
    """OpenFace finds it by SVD."""
    cross = np.cross(np.eye(3), -TURNS[:, None])
    u, _, vt = np.linalg.svd(np.eye(3) + cross.transpose(0, 2, 1))
    np.testing.assert_allclose(small_rotations(jnp.asarray(TURNS, dtype)), u @ vt, atol=ROUNDING[dtype])


def test_axes_turn_as_the_right_hand_says(dtype) -> None:
    """About x: y goes to z; about y: z goes to x; about z: x goes to y."""
    for axis in range(3):
        matrix = np.asarray(euler_to_matrix(0.5 * jnp.eye(3, dtype=dtype)[axis]))
        first, second = (axis + 1) % 3, (axis + 2) % 3
        np.testing.assert_allclose(matrix[second, first], np.sin(0.5), rtol=1e-6)
        np.testing.assert_allclose(matrix[axis, axis], 1, rtol=1e-6)


def test_a_turn_there_and_back_ends_where_it_began(dtype) -> None:
    angles, turns = jnp.asarray(ANGLES, dtype), jnp.asarray(TURNS, dtype)
    back = compose(compose(angles, turns), -turns)
    np.testing.assert_allclose(to_matrices(back), to_matrices(angles), atol=50 * ROUNDING[dtype])


def test_derivatives_are_finite_at_rest_and_at_a_quarter_turn(dtype) -> None:
    for angles in ([0.0, 0, 0], [0.3, np.pi / 2, 0.1]):
        derivative = jax.jit(jax.jacfwd(compose_small_rotation, argnums=(0, 1)))
        for each in derivative(jnp.asarray(angles, dtype), jnp.zeros(3, dtype)):
            assert np.isfinite(each).all()
