from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import as_params, as_points, assert_close, rigid_of, synthetic_model
from traces import GROUPS, stages, traces, window_of

from jaxclnf.fitting.map_frames import map_frame
from jaxclnf.fitting.nurlms import (
    INVISIBLE,
    StageSettings,
    iterate,
    landmark_weights,
    log_likelihood,
    newton_step,
    positions_in_maps,
)
from jaxclnf.ops.gauss_newton import basis_products
from jaxclnf.ops.mean_shift import mean_shift
from jaxclnf.ops.shape import shape_2d
from jaxclnf.types import FaceParams

MAP_PIXELS = 3e-5
"""OpenFace rounds positions and shifts of up to 15 pixels to float32; so do the maps' values."""
STEP, USUAL_STEP = {np.float64: 1e-4, np.float32: 5e-4}, 1e-4
"""Pixels of the landmarks after a step: of all, of nine in ten. OpenFace solves in float32; so may we.

There one number is 3e-5 pixels from the next, and ill-conditioned steps magnify such roundings.
"""
LIKELIHOOD = 1e-3
"""Relative; positions that differ by 1e-4 of a map pixel weigh it so."""


def test_every_trace_is_met() -> None:
    assert {(stage.model, window_of(stage)) for stage in stages()} == set(GROUPS)


@pytest.mark.parametrize("model, window", GROUPS)
class TestOpenFace:
    """Each iteration of OpenFace's traces, started where that iteration started."""

    def test_iterations(self, model: str, window: int, dtype) -> None:
        t = traces(model, window, dtype)
        params = t.params("", dtype)

        def through(face, maps, params, settings, rigid):
            shape = shape_2d(t.pdm, params)
            positions = positions_in_maps(face, shape, window)
            shifts = mean_shift(maps, positions, settings.sigma, "grid")
            weights = landmark_weights(face, settings)
            step = partial(newton_step, t.pdm, face, params, shifts, settings)
            whole = step(basis_products(t.pdm.basis, weights))
            after = jax.tree.map(lambda a, b: jnp.where(rigid, a, b), step(None), whole)
            likelihood = log_likelihood(face, maps, positions, settings.sigma)
            return shape, positions, shifts, shifts @ face.img_from_ref.T, weights, after, likelihood

        run = jax.jit(jax.vmap(through))
        shape, positions, shifts, shifts_img, weights, after, likelihood = jax.device_get(
            run(t.face, t.maps, params, t.settings, jnp.asarray(t.rigid))
        )
        arrays = t.arrays
        assert_close(shape, as_points(arrays["shape2d"]), 1e-6)
        seen = np.asarray(t.face.visible)
        expected = np.stack([arrays["dxs"], arrays["dys"]], axis=-1)
        np.testing.assert_allclose(positions[seen], expected[seen], atol=4 * MAP_PIXELS)
        sure = self.check_shifts(arrays, positions, shifts, shifts_img, seen)
        given = as_points(arrays["weights"])[..., 0]
        np.testing.assert_allclose(weights[seen], given[seen], rtol=1e-6)
        assert not np.asarray(weights)[~seen].any()
        self.check_after(t, after, sure, dtype)
        mean, each = (np.asarray(a)[t.last] for a in likelihood)
        assert_close(each[seen[t.last]], arrays["lhoods"][t.last][seen[t.last]], LIKELIHOOD)
        assert (each[~seen[t.last]] == INVISIBLE).all()
        np.testing.assert_allclose(mean, arrays["loglhood"][t.last][:, 0], atol=LIKELIHOOD)

    def check_shifts(self, arrays, positions, shifts, shifts_img, seen) -> np.ndarray:
        """Whether each landmark surely takes OpenFace's tick of the grid, which a last digit may decide."""
        ticks = np.asarray(positions, np.float64) / 0.1 + 0.5
        sure = (np.abs(ticks - np.round(ticks)) > 1e-3).all(-1) | ~seen
        assert sure.mean() > 0.95
        for found, name, tolerance in ((shifts, "ms_ref", MAP_PIXELS), (shifts_img, "ms_img", 1e-4)):
            expected = as_points(arrays[name])[sure & seen]
            np.testing.assert_allclose(found[sure & seen], expected, atol=4 * tolerance)
        assert not np.asarray(shifts_img)[~seen].any()
        return sure

    def check_after(self, t, after: FaceParams, sure: np.ndarray, dtype) -> None:
        expected = jax.device_get(t.params("_post", dtype))
        shapes = jax.jit(jax.vmap(shape_2d, in_axes=(None, 0)))
        distance = np.asarray(shapes(t.pdm, after)) - np.asarray(shapes(t.pdm, expected))
        distance = np.abs(distance).max(axis=(1, 2))
        sure = sure.all(axis=1)
        assert sure.mean() > 0.5
        assert distance[sure].max() < STEP[dtype]
        assert np.quantile(distance[sure], 0.9) < USUAL_STEP
        assert distance.max() < 0.05  # where one landmark takes the other tick
        assert_close(rigid_of(after)[sure], rigid_of(expected)[sure], 1e-4)
        assert_close(after.shape[sure], np.asarray(expected.shape)[sure], 1e-3)


WINDOW = 7


@pytest.fixture
def setup(dtype):
    """A synthetic face, the frame of its maps, and settings of plain numbers."""
    model = synthetic_model(dtype)
    params = as_params([1.0, 0.05, 0.1, -0.05, 100, 80], [3.0, -2, 1, 0.5], dtype)
    settings = StageSettings(*(jnp.asarray(v, dtype) for v in (20.0, 1.5, 0.0, 0.01)))
    return model.pdm, map_frame(model.pdm, model.experts[1], params), params, settings


def peaks(offset, dtype):
    """Maps of one bright pixel each, ``offset`` from the centre."""
    maps = np.zeros((12, WINDOW, WINDOW))
    maps[:, WINDOW // 2 + offset[1], WINDOW // 2 + offset[0]] = 1
    return jnp.asarray(maps, dtype)


def run(pdm, face, maps, params, settings, rigid, iterations=10, kernel="exact"):
    arguments = (pdm, face, maps, params, settings)
    return jax.jit(iterate, static_argnums=(5, 6, 7))(*arguments, iterations, kernel, rigid)


@pytest.mark.parametrize("rigid", [True, False])
@pytest.mark.parametrize("offset", [(3, 0), (-1, 2)])
def test_peaks_move_the_landmarks_by_their_offset(offset, rigid: bool, setup) -> None:
    """Three reference pixels to the right on every map are as many to the right in the image."""
    pdm, face, params, settings = setup
    params = params if rigid else FaceParams(*rigid_parts(params), jnp.zeros_like(params.shape))
    out = run(pdm, face, peaks(offset, params.scale.dtype), params, settings, rigid)
    start = np.asarray(shape_2d(pdm, params))
    aim = np.asarray(face.img_from_ref) @ np.array(offset)
    if rigid:
        moved = np.asarray(shape_2d(pdm, out.params)) - start
        np.testing.assert_allclose(moved, np.broadcast_to(aim, (12, 2)), atol=1e-3)
    else:  # the maps' centres are not quite those of the mean shape
        moved = np.asarray(shape_2d(pdm, out.params)) - np.asarray(face.base)
        np.testing.assert_allclose(moved.mean(0), aim, atol=0.02)


def rigid_parts(params: FaceParams):
    return params.scale, params.rotation, params.translation


@pytest.mark.parametrize("kernel", ["exact", "grid"])
def test_at_rest_it_stops_early_and_says_so(kernel: str, setup) -> None:
    pdm, face, params, settings = setup
    out = run(pdm, face, peaks((0, 0), params.scale.dtype), params, settings, True, kernel=kernel)
    assert int(out.iterations) == 1
    assert bool(out.converged) and not bool(out.astray)
    np.testing.assert_allclose(rigid_of(out.params), rigid_of(params), atol=1e-4)


def test_a_step_at_the_cap_is_not_at_rest(setup) -> None:
    """The step of a single iteration that carried the face away is told."""
    pdm, face, params, settings = setup
    out = run(pdm, face, peaks((3, 0), params.scale.dtype), params, settings, True, iterations=1)
    assert int(out.iterations) == 1
    assert not bool(out.converged) and bool(out.astray)


def test_a_rigid_stage_leaves_the_shape_alone(setup) -> None:
    pdm, face, params, settings = setup
    maps = jnp.asarray(np.random.default_rng(0).uniform(0, 1, (12, WINDOW, WINDOW)), params.scale.dtype)
    rigid, whole = (run(pdm, face, maps, params, settings, rigid) for rigid in (True, False))
    np.testing.assert_array_equal(rigid.params.shape, params.shape)
    assert (np.asarray(whole.params.shape) != np.asarray(params.shape)).all()


def test_an_invisible_landmark_has_no_say(setup) -> None:
    pdm, face, params, settings = setup
    face = face._replace(visible=face.visible.at[0].set(False))
    dtype = params.scale.dtype
    maps = jnp.asarray(np.random.default_rng(0).uniform(0, 1, (12, WINDOW, WINDOW)), dtype)
    found = [run(pdm, face, maps.at[0].set(m), params, settings, False) for m in (0.0, 1.0)]
    jax.tree.map(np.testing.assert_array_equal, *(out.params for out in found))
    mean, each = log_likelihood(face, maps, found[0].positions, settings.sigma)
    assert float(each[0]) == INVISIBLE
    np.testing.assert_allclose(mean, np.log(np.asarray(each)[1:] + 1e-8).mean(), rtol=1e-5)


def test_weights_are_confidence_times_factor_or_one(setup) -> None:
    _, face, params, settings = setup
    dtype = params.scale.dtype
    np.testing.assert_array_equal(landmark_weights(face, settings), np.ones(12))
    weighted = settings._replace(weight_factor=jnp.asarray(2.5, dtype))
    np.testing.assert_allclose(landmark_weights(face, weighted), 2.5 * face.confidence, rtol=1e-6)
    own = jnp.arange(12, dtype=dtype)
    found = landmark_weights(face._replace(visible=own > 3), weighted._replace(landmark_weights=own))
    np.testing.assert_allclose(found, np.where(own > 3, 2.5 * face.confidence * own, 0), rtol=1e-6)
