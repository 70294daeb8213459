from __future__ import annotations

from functools import partial

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import synthetic_model
from shared_data import golden

from jaxclnf.fitting.face_params import landmarks, params_from_box, params_from_landmarks
from jaxclnf.fitting.headpose import axes_image, head_pose, landmarks_camera, weak_head_pose
from jaxclnf.ops.rotation import euler_to_matrix
from jaxclnf.types import PDM, Camera, FaceParams


def main_pdm(dtype) -> PDM:
    arrays = golden("pdm_golden", "main68/")
    basis = arrays["princ_comp"].reshape(3, 68, -1).transpose(1, 0, 2)
    mean = arrays["mean_shape"].reshape(3, 68).T
    return jax.tree.map(partial(jnp.asarray, dtype=dtype), PDM(mean, basis, arrays["eigen_values"].ravel()))


def video(name: str, dtype) -> tuple[dict[str, np.ndarray], FaceParams, Camera]:
    arrays = golden("video_golden", f"{name}/")
    rigid, shape = (jnp.asarray(arrays[k], dtype) for k in ("params_global", "params_local"))
    params = FaceParams(rigid[:, 0], rigid[:, 1:4], rigid[:, 4:6], shape)
    camera = Camera.default(*map(float, arrays["width_height"]))
    return arrays, params, jax.tree.map(partial(jnp.asarray, dtype=dtype), camera)


def over_frames(function, params: FaceParams):
    return jax.jit(jax.vmap(function))(params)


# float32 holds places of a metre to 1e-4 mm; the refined depth hangs on pixels, which it holds to 3e-5.
@pytest.fixture(params=[(np.float64, 1e-9, 5e-5), (np.float32, 5e-4, 0.02)], ids=["float64", "float32"])
def precision(request):
    with jax.enable_x64(request.param[0] is np.float64):
        yield request.param


@pytest.mark.parametrize("name", ["default", "multi_face"])
class TestOpenFace:
    """Poses of the parameters OpenFace tracked, against the poses it derived from them."""

    def test_weak_perspective(self, name: str, precision) -> None:
        dtype, tolerance, _ = precision
        arrays, params, camera = video(name, dtype)
        np.testing.assert_allclose(camera.intrinsics, arrays["camera_fx_fy_cx_cy"])
        pose = over_frames(partial(weak_head_pose, camera=camera), params)
        found = jnp.concatenate([pose.translation, pose.rotation], axis=1)
        np.testing.assert_allclose(found, arrays["pose_camera"], atol=tolerance)

    def test_perspective(self, name: str, precision) -> None:
        """OpenFace gives this rotation as an axis times an angle."""
        dtype, _, tolerance = precision
        arrays, params, camera = video(name, dtype)
        pdm = main_pdm(dtype)
        pose = jax.jit(head_pose)(pdm, params, camera)
        turns = np.asarray(jax.vmap(euler_to_matrix)(pose.rotation), np.float64)
        axes = np.stack([cv2.Rodrigues(turn)[0].ravel() for turn in turns])
        np.testing.assert_allclose(pose.translation, arrays["pose_corrected_world"][:, :3], atol=tolerance)
        np.testing.assert_allclose(axes, arrays["pose_corrected_world"][:, 3:], atol=tolerance / 40)

    def test_landmarks_in_camera_coordinates(self, name: str, precision) -> None:
        dtype, tolerance, _ = precision
        arrays, params, camera = video(name, dtype)
        pdm = main_pdm(dtype)
        found = over_frames(lambda p: landmarks_camera(pdm, p, camera), params)
        np.testing.assert_allclose(found, arrays["shape3d_camera"].transpose(0, 2, 1), atol=tolerance)


def test_every_matrix_product_is_in_full_precision_and_in_that_of_the_model() -> None:
    model, camera = synthetic_model(np.float32), Camera.default(200, 160)
    face = FaceParams(jnp.float32(1), jnp.zeros(3), jnp.array([100.0, 80]), jnp.zeros(4))
    box, points = jnp.array([60.0, 40, 80, 80]), landmarks(model, face)
    for function, given in (
        (head_pose, (model.pdm, face, camera)),
        (landmarks_camera, (model.pdm, face, camera)),
        (lambda face, camera: axes_image(weak_head_pose(face, camera), camera), (face, camera)),
        (params_from_box, (model.pdm, box, jnp.zeros(3))),
        (params_from_landmarks, (model.pdm, points)),
    ):
        lowered = jax.jit(function).lower(*given).as_text()
        products = [line for line in lowered.splitlines() if "stablehlo.dot_general" in line]
        assert products and all("[HIGHEST, HIGHEST]" in line for line in products)
    with jax.enable_x64(True):
        precise = jax.tree.map(lambda a: np.asarray(a, np.float64), model.pdm)
        assert jax.eval_shape(head_pose, precise, face, camera).rotation.dtype == np.float64
        assert jax.eval_shape(landmarks_camera, precise, face, camera).dtype == np.float64


@pytest.mark.parametrize("number", [np.array, np.int16, jnp.array, jnp.float32, jnp.bfloat16])
def test_sizes_of_images_may_be_numbers_of_numpy_and_jax(number) -> None:
    assert Camera.default(number(640), number(480)) == Camera.default(640, 480)


def test_axes_of_a_frontal_face() -> None:
    camera = Camera.default(640, 480)
    # 500 mm away, 220 left of the middle and 150 above it
    params = FaceParams(jnp.float32(1), jnp.zeros(3), jnp.array([100.0, 90.0]), jnp.zeros(3))
    pose = weak_head_pose(params, camera)
    np.testing.assert_allclose(pose.translation, [-220, -150, 500], rtol=1e-6)
    origin, x, y, z = axes_image(pose, camera, length=50.0)
    np.testing.assert_allclose(origin, [100, 90], atol=1e-3)
    np.testing.assert_allclose(x - origin, [50, 0], atol=1e-3)
    np.testing.assert_allclose(y - origin, [0, 50], atol=1e-3)
    assert (z < origin).all()  # nearer to the camera is farther from the middle


def test_a_model_or_its_pdm_places_one_face_or_many() -> None:
    model = synthetic_model(np.float32)
    face = params_from_box(model.pdm, jnp.array([60.0, 40, 80, 80]), jnp.array([0.1, 0.2, 0]))
    camera = Camera.default(200, 160)
    one = head_pose(model, face, camera)
    faces = jax.tree.map(lambda a: jnp.stack([jnp.stack([a, a])]), face)
    cameras = jax.tree.map(lambda a: np.broadcast_to(a, (1, 2)), camera)
    many = head_pose(model.pdm, faces, cameras)
    assert many.translation.shape == (1, 2, 3)
    np.testing.assert_allclose(many.rotation, np.broadcast_to(one.rotation, (1, 2, 3)), atol=1e-4)
    np.testing.assert_array_equal(landmarks(model.pdm, face), landmarks(model, face))
