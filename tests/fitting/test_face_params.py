from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import PARTS, as_params, as_points, assert_close, openface_model, rigid_of, synthetic_model
from shared_data import golden

from jaxclnf.fitting.face_params import (
    box_from_params,
    landmarks,
    params_from_box,
    params_from_landmarks,
    params_near,
)
from jaxclnf.ops.shape import shape_2d

EXACT = {np.float64: 1e-9, np.float32: 3e-6}
"""Relative; OpenFace computes boxes in float64."""
FITTED = 1e-3
"""Model standard deviations and radians: OpenFace iterates in float32 and stops where a step gains less."""

from_box = jax.jit(jax.vmap(params_from_box, in_axes=(None, 0, 0)))
from_landmarks = jax.jit(jax.vmap(params_from_landmarks, in_axes=(None, 0, 0)))
shapes = jax.jit(jax.vmap(shape_2d, in_axes=(None, 0)))


@pytest.mark.parametrize("name", PARTS)
class TestOpenFace:
    def test_params_from_box(self, name: str, dtype) -> None:
        """Of the mean face; the cases of another shape are no start of a fit."""
        arrays, pdm = golden("pdm_golden", f"{name}/"), openface_model(dtype, name).pdm
        mean = arrays["bbox_local_is_zero"] == 1
        assert mean.sum() >= 8
        boxes, rotations = (jnp.asarray(arrays[f"bbox_{k}"][mean], dtype) for k in ("in_xywh", "rotation"))
        found = from_box(pdm, boxes, rotations)
        assert_close(rigid_of(found), arrays["bbox_out_global"][mean], EXACT[dtype])
        assert not found.shape.any()

    def test_box_from_params(self, name: str, dtype) -> None:
        """OpenFace cuts each of the numbers to an integer."""
        arrays, pdm = golden("pdm_golden", f"{name}/"), openface_model(dtype, name).pdm
        params = as_params(arrays["p_global"], arrays["p_local"], dtype)
        boxes = jax.jit(jax.vmap(box_from_params, in_axes=(None, 0)))(pdm, params)
        gap = np.asarray(boxes) - arrays["bbox_int_xywh"]
        assert (np.abs(gap) < 1).all()
        assert (gap * np.sign(boxes) > -1e-3).all()

    @pytest.mark.parametrize("kind", ["exact", "noisy"])
    def test_params_from_landmarks(self, name: str, kind: str) -> None:
        """In float64: where to stop hangs on the last digits of a step's gain. All landmarks seen."""
        with jax.enable_x64(True):
            arrays, pdm = golden("pdm_golden", f"{name}/"), openface_model(np.float64, name).pdm
            given = arrays["shape2d" if kind == "exact" else "calcparams_noisy_in"]
            target = jnp.asarray(as_points(given))
            found = from_landmarks(pdm, target, jnp.ones(target.shape[:2], bool))
            expected = as_params(
                arrays[f"calcparams_{kind}_global"], arrays[f"calcparams_{kind}_local"], np.float64
            )
            gaps = np.abs(shapes(pdm, found) - shapes(pdm, expected)).max(axis=(1, 2))
            sizes = np.ptp(np.asarray(target), axis=1).max(axis=1)
            assert np.median(gaps / sizes) < 1e-5
            assert np.quantile(gaps / sizes, 0.8) < FITTED

    def test_params_from_some_landmarks(self, name: str) -> None:
        """The start is another by design, so turned faces may end elsewhere, but no farther off.

        Distances are of the landmarks seen, and what both make of the prior is added.
        """
        with jax.enable_x64(True):
            arrays, pdm = golden("pdm_golden", f"{name}/"), openface_model(np.float64, name).pdm
            target = jnp.asarray(as_points(arrays["calcparams_partial_in"]))
            seen = target[..., 0] != 0
            found = from_landmarks(pdm, target, seen)
            expected = as_params(
                arrays["calcparams_partial_global"], arrays["calcparams_partial_local"], np.float64
            )

            def cost(params):
                misses = jnp.where(seen[..., None], shapes(pdm, params) - target, 0)
                return np.asarray((misses**2).sum((1, 2)) + (params.shape**2 / pdm.eigenvalues[None]).sum(1))

            ours, theirs = cost(found), cost(expected)
            assert np.mean(ours <= 1.05 * theirs + 1e-3) >= 0.8
            assert np.median(ours / theirs) < 1.01


@pytest.mark.parametrize("rotation", [(0, 0, 0), (0, 0.5236, 0), (-0.4, 0.8, 0.3)])
def test_box_to_params_and_back(rotation, dtype) -> None:
    """A box of the turned face's own proportions comes back; of any other, its centre does."""
    pdm, turn = synthetic_model(dtype).pdm, jnp.asarray(rotation, dtype)
    box = jnp.asarray([20.0, 30, 100, 80], dtype)
    back = box_from_params(pdm, params_from_box(pdm, box, turn))
    assert_close(back[:2] + back[2:] / 2, box[:2] + box[2:] / 2, EXACT[dtype])
    again = box_from_params(pdm, params_from_box(pdm, back, turn))
    assert_close(again, back, EXACT[dtype])


@pytest.mark.parametrize("n_hidden", [0, 4])
def test_landmarks_of_a_face_give_the_face_back(n_hidden: int, dtype) -> None:
    """Up to the prior's pull; hidden landmarks may say anything."""
    pdm = synthetic_model(dtype).pdm
    truth = as_params([3.0, 0.1, -0.3, 0.2, 200, 150], [4.0, -3, 2, 1], dtype)
    points = shape_2d(pdm, truth)
    seen = jnp.arange(12) >= n_hidden
    given = jnp.where(seen[:, None], points, jnp.nan)
    found = jax.jit(partial(params_from_landmarks, pdm))(given, seen)
    np.testing.assert_allclose(shape_2d(pdm, found), points, atol=1.5)
    np.testing.assert_allclose(found.scale, truth.scale, rtol=0.02)
    np.testing.assert_allclose(found.rotation, truth.rotation, atol=0.03)


def test_landmarks_are_the_models_points(dtype) -> None:
    model = synthetic_model(dtype)
    params = as_params([2.0, 0.1, 0.2, -0.1, 50, 60], [1.0, 2, 3, 4], dtype)
    np.testing.assert_array_equal(landmarks(model, params), shape_2d(model.pdm, params))


@pytest.mark.parametrize("n_hidden", [0, 4])
def test_params_near_a_rotation_are_those_of_the_long_search(n_hidden: int) -> None:
    pdm = synthetic_model(np.float32).pdm
    truth = as_params([3.0, 0.1, -0.3, 0.2, 200, 150], [4.0, -3, 2, 1], np.float32)
    seen = jnp.arange(12) >= n_hidden
    noise = np.random.default_rng(0).normal(0, 2, (12, 2)).astype(np.float32)
    target = jnp.where(seen[:, None], shape_2d(pdm, truth) + noise, jnp.nan)
    long = params_from_landmarks(pdm, target, seen)
    for rotation in ([0.1, -0.3, 0.2], [0.3, 0.1, 0.0]):
        near = params_near(pdm, target, jnp.asarray(rotation, jnp.float32), seen, steps=8)
        assert_close(shape_2d(pdm, near), shape_2d(pdm, long), 1e-4)


def test_params_near_a_rotation_have_a_reverse_derivative() -> None:
    with jax.enable_x64(True):
        pdm = synthetic_model(np.float64).pdm
        truth = as_params([3.0, 0.1, -0.3, 0.2, 200, 150], [4.0, -3, 2, 1], np.float64)
        target = shape_2d(pdm, truth)

        def scale(target):
            return params_near(pdm, target, truth.rotation).scale

        found = np.asarray(jax.grad(scale)(target))
        for i in ((0, 0), (5, 1), (11, 0)):
            ahead, behind = (scale(target.at[i].add(sign * 1e-5)) for sign in (1, -1))
            np.testing.assert_allclose(found[i], (ahead - behind) / 2e-5, rtol=1e-5, atol=1e-9)


def test_landmarks_of_many_faces_are_those_of_each() -> None:
    model, boxes = synthetic_model(np.float32), jnp.array([[10.0, 20, 80, 90], [5, 0, 60, 70]])
    params = from_box(model.pdm, boxes, jnp.zeros((2, 3)))
    square = jax.tree.map(lambda a: a[None], params)
    one_by_one = [landmarks(model, jax.tree.map(lambda a, i=i: a[i], params)) for i in range(2)]
    np.testing.assert_allclose(landmarks(model, square), np.stack(one_by_one)[None], rtol=1e-6)
