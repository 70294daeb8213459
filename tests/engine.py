"""What the engine's tests share: a small model made in code, OpenFace's models, the goldens' layout."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from shared_data import golden, shared

from jaxclnf.config import FitConfig, Stage
from jaxclnf.models.openface import convert_openface
from jaxclnf.models.sigma import smoothing_matrices
from jaxclnf.ops.shape import shape_2d
from jaxclnf.types import PDM, FaceParams, Model, PatchExperts

PARTS = ("main68", "inner", "left_eye_28", "right_eye_28")
"""The names of OpenFace's models in the goldens."""

BLOB = 5.0
"""Standard deviation of a synthetic landmark's bright spot, in model units."""


def assert_close(found, expected, tolerance: float) -> None:
    """Every entry within ``tolerance`` of the largest one expected."""
    expected = np.asarray(expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def as_points(flat) -> np.ndarray:
    """The goldens' (..., x1 .. xn, y1 .. yn) as (..., n, 2); 3D alike is `as_points_3d`."""
    return np.stack(np.split(np.asarray(flat), 2, axis=-1), axis=-1)


def as_points_3d(flat) -> np.ndarray:
    return np.stack(np.split(np.asarray(flat), 3, axis=-1), axis=-1)


def as_params(rigid, local, dtype) -> FaceParams:
    """The goldens' (..., 6) global and (..., m) local parameters."""
    rigid, local = np.asarray(rigid, dtype), np.asarray(local, dtype)
    parts = rigid[..., 0], rigid[..., 1:4], rigid[..., 4:6], local
    return FaceParams(*(jnp.asarray(part) for part in parts))


def rigid_of(params: FaceParams) -> np.ndarray:
    """Scale, rotation and translation in one row, as the goldens have them."""
    return np.concatenate([params.scale[..., None], params.rotation, params.translation], axis=-1)


def openface_model(dtype, name: str = "main68") -> Model:
    """OpenFace's general model, or a part of it; to be called in the matching precision."""
    whole = _general_model(dtype)
    return whole if name == "main68" else next(part.model for part in whole.parts if part.name == name)


@cache
def _general_model(dtype) -> Model:
    return convert_openface(shared("openface", "model", "main_clnf_general.txt"), dtype)


def still(name: str) -> np.ndarray:
    """The grey photo of a golden still, as OpenCV makes it grey."""
    import cv2

    if name.startswith("samples"):
        return golden("images_gray")[name.split("/")[1].split(".")[0]]
    image = cv2.imread(str(shared("faces", name)))
    assert image is not None
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def padded(images: list[np.ndarray], mode: Literal["constant", "edge"] = "constant") -> np.ndarray:
    """Images as one array, with more below and to the right: zeros, or the border, as OpenFace of 2016."""
    height, width = np.max([image.shape for image in images], axis=0)
    return np.stack([np.pad(i, [(0, height - len(i)), (0, width - len(i[0]))], mode) for i in images])


def synthetic_pdm() -> PDM:
    """Twelve points on a bulging face and four modes that are no rigid motion of it."""
    rng = np.random.default_rng(1)
    mean = np.array([(x, y, 0) for y in (-40.0, 0, 40) for x in (-48.0, -16, 16, 48)])
    mean += rng.uniform(-4, 4, mean.shape)
    mean[:, 2] += 40 - 0.012 * np.sum(mean[:, :2] ** 2, axis=1)
    motions = [np.tile(axis, (12, 1)) for axis in np.eye(3)]
    motions += [mean, *(np.cross(axis, mean) for axis in np.eye(3))]
    columns = np.concatenate([np.reshape(motions, (7, 36)), rng.normal(size=(4, 36))]).T
    basis = np.linalg.qr(columns)[0][:, 7:]
    return PDM(mean, basis.reshape(12, 3, 4), np.array([200.0, 100, 50, 25]))


@cache
def synthetic_model(dtype) -> Model:
    """A model of bright spots: two scales, three views (yaw 0, 45, -45 degrees), three neurons of 7 x 7.

    A side view does not see two points of the far side; some experts have two neurons only.
    """
    rng = np.random.default_rng(2)
    experts = tuple(_synthetic_experts(scale, rng) for scale in (0.25, 0.5))
    return Model(synthetic_pdm(), experts).astype(dtype)


def _synthetic_experts(patch_scale: float, rng: np.random.Generator) -> PatchExperts:
    views, points = 3, 12
    centres = np.array([[0, 0, 0], [0, np.pi / 4, 0], [0, -np.pi / 4, 0]])
    visibility = np.ones((views, points), bool)
    visibility[1, [0, 4]] = visibility[2, [3, 7]] = False
    radius = np.hypot(*np.mgrid[-3:4, -3:4])
    spots = np.stack([np.exp(-0.5 * (radius / (k * BLOB * patch_scale)) ** 2) for k in (1, 0.8, 1.2)])
    weights = spots + 0.05 * rng.normal(size=(views, points, 3, 7, 7))
    alpha = rng.uniform(0.5, 1.5, (views, points, 3))
    alpha[:, ::3, 2] = 0
    betas = rng.uniform(0.1, 0.5, (views, points, 2))
    edges = {window: np.stack([_grid_laplacian(window, step) for step in (1, 2)]) for window in (5, 7)}
    sigma, sigma_index = smoothing_matrices(alpha, betas, visibility, edges)
    return PatchExperts(
        patch_scale=np.array(patch_scale),
        view_centres=centres,
        visibility=visibility,
        weights=weights,
        norm_weights=rng.uniform(8, 12, alpha.shape),
        bias=rng.uniform(-7, -5, alpha.shape),
        alpha=alpha,
        betas=betas,
        patch_confidence=rng.uniform(0.4, 1, (views, points)),
        edges=edges,
        sigma=sigma,
        sigma_index=sigma_index,
    )


def _grid_laplacian(window: int, step: int) -> np.ndarray:
    """Laplacian of the graph that joins the pixels of a window ``step`` apart in a row or column."""
    line = np.eye(window, k=step) + np.eye(window, k=-step)
    joined = np.kron(line, np.eye(window)) + np.kron(np.eye(window), line)
    return np.diag(joined.sum(0)) - joined


def synthetic_config(**changes) -> FitConfig:
    """Settings for the synthetic model, changed by name: the large window on the coarse scale, one start."""
    stages = (
        Stage(window=7, scale=0, reg_factor=20, sigma=1.5, weight_factor=2),
        Stage(window=5, scale=1, reg_factor=10, sigma=1.75, weight_factor=3),
    )
    config = FitConfig(stages=stages, start_rotations=np.zeros((1, 3), np.float32), parts={})
    return config.changed(changes)


def quick_config() -> FitConfig:
    """The coarse stage alone, which compiles in two thirds of the time: for tests of what is around a fit."""
    config = synthetic_config()
    return replace(config, stages=config.stages[:1])


def synthetic_face(seed: int, dtype, size: tuple[int, int] = (160, 200)) -> tuple[np.ndarray, FaceParams]:
    """A grey image of bright spots at the landmarks of a random face, and the face."""
    rng = np.random.default_rng(seed)
    model, (height, width) = synthetic_model(dtype), size
    params = FaceParams(
        scale=jnp.asarray(rng.uniform(0.9, 1.1), dtype),
        rotation=jnp.asarray(rng.uniform(-0.2, 0.2, 3), dtype),
        translation=jnp.asarray(np.array([width, height]) / 2 + rng.uniform(-10, 10, 2), dtype),
        shape=jnp.asarray(rng.normal(size=4) * np.sqrt(model.pdm.eigenvalues) / 2, dtype),
    )
    return draw_face(np.asarray(jax.jit(shape_2d)(model.pdm, params)), float(params.scale), size, rng), params


def draw_face(
    points: np.ndarray, scale: float, size: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Spots at ``points`` over a slope and a little noise, so that no window is flat; float32."""
    rows, cols = np.mgrid[: size[0], : size[1]]
    squares = (cols[..., None] - points[:, 0]) ** 2 + (rows[..., None] - points[:, 1]) ** 2
    spots = np.exp(-0.5 * squares / (BLOB * scale) ** 2).max(-1)
    image = 60 + 0.1 * cols + 120 * spots + rng.normal(0, 2, size)
    return image.clip(0, 255).astype(np.float32)


def box_of(model: Model, params: FaceParams) -> np.ndarray:
    """The box of a face's landmarks."""
    points = np.asarray(jax.jit(shape_2d)(model.pdm, params), np.float64)
    return np.concatenate([points.min(0), np.ptp(points, axis=0)])
