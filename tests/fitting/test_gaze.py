"""Gaze from parameters that OpenFace fitted, against the gaze it derived from them."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import as_points, openface_model, padded, still
from jax.flatten_util import ravel_pytree
from shared_data import golden

import jaxclnf
from jaxclnf.config import FitConfig, Stage
from jaxclnf.fitting.gaze import OPENFACE, OPENFACE2, gaze
from jaxclnf.fitting.headpose import head_pose
from jaxclnf.ops.eyeball import gaze_angles, gaze_direction
from jaxclnf.types import EYES, Camera, FaceParams, FitResult, Model, PartFit

RULES = {"of1": OPENFACE, "of2": OPENFACE2}
PROGRAMS = [("of1", "single"), ("of1", "multi5"), ("of2", "single"), ("of2", "multi11")]


@pytest.fixture(scope="module")
def model() -> Model:
    return openface_model(np.float32)


def params_of(rigid: np.ndarray, shape: np.ndarray, dtype=np.float32) -> FaceParams:
    rigid, shape = jnp.asarray(rigid, dtype), jnp.asarray(shape, dtype)
    return FaceParams(rigid[:, 0], rigid[:, 1:4], rigid[:, 4:6], shape)


def fitted(arrays: dict[str, np.ndarray], dtype=np.float32) -> FitResult:
    """Fits of which only the parameters are known."""

    def known(cls, prefix: str, **others):
        params = params_of(arrays[f"{prefix}params_global"], arrays[f"{prefix}params_local"], dtype)
        nothing = {f.name: params.scale for f in fields(cls) if f.name not in ("params", "parts")}
        return cls(params=params, **nothing, **others)

    return known(FitResult, "", parts={name: known(PartFit, f"{name}_") for name in EYES})


def cameras(values: np.ndarray, dtype=np.float32) -> Camera:
    return Camera(*jnp.asarray(values, dtype).T)


def both(arrays: dict[str, np.ndarray]) -> np.ndarray:
    return np.stack([arrays["gaze_left"], arrays["gaze_right"]], axis=1)


@pytest.mark.parametrize(("program", "tries"), PROGRAMS)
def test_stills(model: Model, program: str, tries: str) -> None:
    """float32, as OpenFace computes: where a ray grazes the eyeball rounding is magnified."""
    arrays = golden("gaze_golden", f"{program}/stills/{tries}_inner_eyes/")
    found = gaze(model, fitted(arrays), cameras(arrays["camera_fx_fy_cx_cy"]), RULES[program])
    np.testing.assert_allclose(found.directions, both(arrays), atol=1e-3)
    np.testing.assert_allclose(found.angles, arrays["gaze_angle_xy"], atol=1e-3)
    for i, name in enumerate(EYES):
        points = arrays[f"{name}_landmarks"].reshape(-1, 2, 28).swapaxes(1, 2)
        np.testing.assert_allclose(found.landmarks[:, i], points, atol=1e-3)
        in_camera = arrays[f"{name}_shape3d_camera"].swapaxes(1, 2)
        np.testing.assert_allclose(found.landmarks_camera[:, i], in_camera, rtol=1e-5, atol=2e-3)


def test_whole_fits_as_openface_s(model: Model) -> None:
    """From boxes to gaze, of eight stills and five starts: the median within 0.01 pixels, the worst in 0.3.

    OpenFace built otherwise differs by as much, for the 0.1-pixel grid of its kernel magnifies rounding.
    """
    stills = {name: values[8:16] for name, values in golden("gaze_golden", "stills/").items()}
    arrays = {k: a[8:16] for k, a in golden("gaze_golden", "of1/stills/multi5_inner_eyes/").items()}
    images = padded([still(str(name)) for name in stills["names"]], mode="edge")
    config = FitConfig.openface(multi_view=True, parts=("inner", *EYES))
    result = jaxclnf.fit_batch(model, images, stills["boxes_xywh"].astype(np.float32), config)
    fits = {"": result, **{f"{name}_": part for name, part in result.parts.items()}}
    for name, fit in fits.items():
        off = np.abs(fit.landmarks - as_points(arrays[f"{name}landmarks"])).max((1, 2))
        assert np.median(off) < 0.01, name
        assert off.max() < 0.3, name
    found = gaze(model, result, cameras(arrays["camera_fx_fy_cx_cy"]), OPENFACE)
    off = np.abs(found.directions - both(arrays)).max((1, 2))
    assert np.median(off) < 2e-4
    assert off.max() < 3e-3


def test_eyes_leave_the_landmarks_alone(model: Model) -> None:
    image, box = still("samples/sample1.jpg"), golden("gaze_golden")["stills/boxes_xywh"][0]
    box = box.astype(np.float32)
    brief = FitConfig.part((Stage(window=11, scale=0),))
    without = jaxclnf.fit(model, image, box, brief)
    result = jaxclnf.fit(model, image, box, brief.with_eyes())
    np.testing.assert_allclose(result.landmarks, without.landmarks, atol=1e-3)
    assert not without.parts
    assert set(result.parts) == set(EYES)
    corners = result.landmarks[jnp.array([36, 39])]
    np.testing.assert_allclose(result.parts["left_eye_28"].landmarks[jnp.array([8, 14])], corners, atol=8)


@pytest.mark.parametrize("name", ["default", "multi_face"])
@pytest.mark.parametrize("program", ["of1", "of2"])
def test_video(model: Model, name: str, program: str) -> None:
    states, arrays = golden("video_golden", f"{name}/"), golden("gaze_golden", f"{program}/video/{name}/")
    camera = Camera(*map(jnp.float32, states["camera_fx_fy_cx_cy"]))
    found = gaze(model, fitted(states), camera, RULES[program])
    np.testing.assert_allclose(found.directions, both(arrays), atol=1e-3)
    np.testing.assert_allclose(found.angles, arrays["gaze_angle_xy"], atol=1e-3)
    if (name, program) == ("multi_face", "of2"):  # and of faces in rows, as fits under many settings
        rows = jax.eval_shape(partial(gaze, model), jax.tree.map(lambda a: a[None], fitted(states)), camera)
        assert rows.angles.shape == (1, *found.angles.shape)


@pytest.mark.parametrize("tries", ["single", "multi11"])
def test_head_pose_of_openface_2(model: Model, tries: str) -> None:
    arrays = golden("gaze_golden", f"of2/stills/{tries}_inner_eyes/")
    camera = cameras(arrays["camera_fx_fy_cx_cy"])
    params = fitted(arrays).params
    pose = jax.jit(jax.vmap(partial(head_pose, model.pdm)))(params, camera)
    np.testing.assert_allclose(pose.translation, arrays["pose"][:, :3], atol=0.05)
    np.testing.assert_allclose(pose.rotation, arrays["pose"][:, 3:], atol=2e-4)


@pytest.mark.parametrize("rule", list(RULES.values()), ids=list(RULES))
def test_derivatives_are_finite_differences(rule) -> None:
    """Of angles and directions, in every parameter of the face and its eyes.

    The pose that OpenFace 2 turns eyeballs by is an optimum, known to some 1e-8 where its error is flat.
    """
    with jax.enable_x64(True):
        model = openface_model(np.float64)
        arrays = golden("gaze_golden", "of2/stills/single_inner_eyes/")
        result = jax.tree.map(lambda a: a[0], fitted(arrays, np.float64))
        camera = jax.tree.map(lambda a: a[0], cameras(arrays["camera_fx_fy_cx_cy"], np.float64))

        def angles(values):
            found = gaze(model, values, camera, rule)
            return jnp.concatenate([found.directions.ravel(), found.angles])

        flat, unravel = ravel_pytree(result)
        of_flat = jax.jit(lambda x: angles(unravel(x)))
        forward, reverse = jax.jacfwd(of_flat)(flat), jax.jacrev(of_flat)(flat)
        step = 1e-3 if rule.perspective else 1e-5
        steps = step * jnp.eye(flat.size)
        differences = jax.lax.map(lambda d: (of_flat(flat + d) - of_flat(flat - d)) / (2 * step), steps)
        np.testing.assert_allclose(forward, differences.T, rtol=10 * step, atol=step / 10)
        np.testing.assert_allclose(forward, reverse, rtol=1e-7, atol=1e-9)


def test_an_eye_that_looks_into_the_camera() -> None:
    eyeball = jnp.array([30.0, -40.0, 600.0])
    towards = -eyeball / jnp.linalg.norm(eyeball)
    np.testing.assert_allclose(gaze_direction(eyeball + 12 * towards, eyeball), towards, atol=1e-5)


def test_a_pupil_to_the_right_looks_to_the_right() -> None:
    eyeball = jnp.array([0.0, 0.0, 600.0])
    direction = gaze_direction(eyeball + jnp.array([3.0, 2.0, -11.0]), eyeball)
    right, down = gaze_angles(jnp.stack([direction, direction]))
    assert 0.2 < right < 0.3
    assert 0.1 < down < 0.2


def test_a_ray_that_misses_the_eyeball_has_finite_derivatives() -> None:
    jac = jax.jacrev(gaze_direction)(jnp.array([50.0, 0.0, 600.0]), jnp.array([0.0, 0.0, 600.0]))
    assert jnp.isfinite(jac).all()


def test_a_model_without_eyes_is_refused_in_a_sentence(model: Model) -> None:
    result = fitted(golden("gaze_golden", "of1/stills/single_inner_eyes/"))
    camera = Camera.default(640, 480)
    with pytest.raises(ValueError, match="use OpenFace's"):
        gaze(replace(model, parts=model.parts[:2]), result, camera)
    with pytest.raises(ValueError, match="right_eye_28 was not fitted: use settings with eyes"):
        gaze(model, replace(result, parts={"left_eye_28": result.parts["left_eye_28"]}), camera)
