from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import as_params, as_points, assert_close, synthetic_model
from traces import GROUPS, traces

from jaxclnf.ops.gauss_newton import (
    basis_products,
    gauss_newton_step,
    normal_equations,
    rigid_normal_equations,
)
from jaxclnf.ops.shape import N_RIGID, jacobian

FLOAT32 = 3e-6
"""Relative. OpenFace sums and solves in float32."""
ROUNDED = 4 * 2.0**-24
"""Of the terms of the right side, which cancel out at rest. We are off by up to 2.3 * 2**-24 of them."""
SOLVED = 1e-3
"""Relative. The float32 solve multiplies its rounding by the Hessian's condition number, 1e4 or so."""
AT_REST = 1e-2
"""Steps of smaller parameters than this are measured by it: there the right side's rounding is left."""

equations = jax.jit(normal_equations)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("model, window", GROUPS)
def test_every_iterations_equations_are_openfaces(model: str, window: int, dtype) -> None:
    t = traces(model, window, dtype)
    params, shifts = t.params("", dtype), jnp.asarray(as_points(t.arrays["ms_img"]), dtype)
    weights = as_points(t.arrays["weights"])[..., 0] * np.asarray(t.face.visible)
    weights = jnp.asarray(weights, dtype)

    def rigid(pdm, *args):
        hessian, gradient = rigid_normal_equations(pdm, *args)
        return hessian, gradient, gauss_newton_step(hessian, gradient)

    def whole(pdm, *args):
        hessian, gradient = normal_equations(pdm, *args)
        return hessian, gradient, gauss_newton_step(hessian, gradient)

    @jax.jit
    @partial(jax.vmap, in_axes=(None, 0, 0, 0, 0))
    def each(pdm, params, shifts, weights, reg_factor):
        common = pdm, params, shifts, weights
        return rigid(*common), whole(*common, reg_factor), jacobian(pdm, params)

    rigidly, wholly, jac = each(t.pdm, params, shifts, weights, t.settings.reg_factor)
    terms = size_of_terms(t.pdm, jac, params, shifts, weights, t.settings.reg_factor)
    check(t.arrays, rigidly, t.rigid, terms[:, :N_RIGID])
    check(t.arrays, wholly, ~t.rigid, terms)


def size_of_terms(pdm, jac, params, shifts, weights, reg_factor) -> np.ndarray:
    """The sum of the absolute terms of each entry of the right sides, rows by parameters."""
    jac, shifts, weights, shape = (np.asarray(a) for a in (jac, shifts, weights, params.shape))
    jac, reg_factor = np.abs(jac, dtype=np.float64), np.asarray(reg_factor)
    pulls = np.abs(weights[..., None] * shifts)
    terms = np.einsum("nki,nk->ni", jac.reshape(len(jac), -1, jac.shape[-1]), pulls.reshape(len(jac), -1))
    terms[:, N_RIGID:] += np.abs(reg_factor[:, None] / np.asarray(pdm.eigenvalues) * shape)
    return terms


def check(arrays, found, rows, terms) -> None:
    """Every row against its own largest entry, but right sides against their terms."""
    assert rows.any()
    size = terms.shape[1]
    hessian, gradient, step = (np.asarray(values)[rows] for values in found)
    right = np.abs(gradient - arrays["rhs"][rows, :size])
    assert (right <= ROUNDED * terms[rows]).all(), (right / terms[rows]).max()
    for name, values, tolerance, least in (
        ("hessian", hessian, FLOAT32, 0),
        ("update", step, SOLVED, AT_REST),
    ):
        for value, expected in zip(values, arrays[name][rows], strict=True):
            expected = expected[(slice(size),) * expected.ndim]
            limit = tolerance * max(np.abs(expected).max(), least)
            np.testing.assert_allclose(value, expected, rtol=0, atol=limit)


def face(rng, dtype):
    params = as_params([2.0, 0.3, -0.4, 0.1, 50, 60], rng.normal(0, 5, 4), dtype)
    shifts, weights = rng.normal(0, 2, (12, 2)), rng.uniform(0, 3, 12)
    weights[3] = 0
    return synthetic_model(dtype).pdm, params, jnp.asarray(shifts, dtype), jnp.asarray(weights, dtype)


@pytest.mark.parametrize("per_mode", [False, True])
def test_equations_are_those_of_the_jacobian(per_mode: bool, rng, dtype) -> None:
    """J'WJ + reg/E and J'W v - (reg/E) q, from the Jacobian itself."""
    pdm, params, shifts, weights = face(rng, dtype)
    reg = jnp.asarray(rng.uniform(5, 30, 4) if per_mode else 20.0, dtype)
    jac = np.asarray(jax.jit(jacobian)(pdm, params), np.float64).reshape(24, -1)
    w = np.repeat(np.asarray(weights, np.float64), 2)[:, None]
    stiffness = np.concatenate([np.zeros(6), np.broadcast_to(reg / pdm.eigenvalues, 4)])
    gradient = (w * jac).T @ np.asarray(shifts, np.float64).ravel()
    gradient -= stiffness * np.concatenate([np.zeros(6), params.shape])
    tolerance = 1e-12 if dtype == np.float64 else FLOAT32
    products = jax.jit(basis_products)(pdm.basis, weights)
    for given in (None, products):
        found = equations(pdm, params, shifts, weights, reg, given)
        assert_close(found[0], (w * jac).T @ jac + np.diag(stiffness), tolerance)
        assert_close(found[1], gradient, tolerance)
    rigid = jax.jit(rigid_normal_equations)(pdm, params, shifts, weights)
    assert_close(rigid[0], found[0][:6, :6], tolerance)
    assert_close(rigid[1], found[1][:6], tolerance)


def test_a_landmark_of_no_weight_has_no_say(rng, dtype) -> None:
    pdm, params, shifts, weights = face(rng, dtype)
    reg = jnp.asarray(20.0, dtype)
    for change in (0.0, 1e4):
        changed = shifts.at[3].set(change)
        found = equations(pdm, params, changed, weights, reg)
        np.testing.assert_array_equal(found[1], equations(pdm, params, shifts, weights, reg)[1])


def test_step_solves_the_equations(rng, dtype) -> None:
    root = rng.normal(size=(10, 10))
    hessian, solution = root @ root.T + np.eye(10), rng.normal(size=10)
    found = gauss_newton_step(jnp.asarray(hessian, dtype), jnp.asarray(hessian @ solution, dtype))
    assert_close(found, solution, 1e-10 if dtype == np.float64 else 1e-3)


def test_a_strong_prior_pulls_the_shape_to_the_mean(rng, dtype) -> None:
    pdm, params, shifts, weights = face(rng, dtype)
    delta = gauss_newton_step(*equations(pdm, params, shifts, weights, jnp.asarray(1e9, dtype)))
    np.testing.assert_allclose(params.shape + delta[6:], 0, atol=1e-3)
