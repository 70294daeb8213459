"""The position and rotation of a head in camera coordinates, from a fitted face and a pinhole camera.

Millimetres and radians hold as far as the model's unit is a millimetre on the face at hand: a head twice as
large looks like one twice as near.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxclnf.cache import keep
from jaxclnf.fitting.arguments import check_camera, check_params, pdm_of
from jaxclnf.fitting.full_precision import in_full_precision
from jaxclnf.ops.camera import project, resect
from jaxclnf.ops.rotation import euler_to_matrix, matrix_to_euler
from jaxclnf.ops.shape import shape_2d, shape_3d
from jaxclnf.types import PDM, Camera, FaceParams, HeadPose, Model

R = TypeVar("R")
Tree = TypeVar("Tree")


def weak_head_pose(params: FaceParams, camera: Camera) -> HeadPose:
    """Compute the pose under weak perspective: depth from the scale, angles as fitted.

    The angles are right near the middle of the photo only; see `head_pose`. Source: OpenFace's
    `GetPoseCamera`.
    """
    depth = camera.fx / params.scale
    x = (params.translation[0] - camera.cx) * depth / camera.fx
    y = (params.translation[1] - camera.cy) * depth / camera.fy
    return HeadPose(translation=jnp.stack([x, y, depth]), rotation=params.rotation)


def head_pose(model: Model | PDM, params: FaceParams, camera: Camera) -> HeadPose:
    """Compute the pose under full perspective, by fitting the face's 3D shape to its landmarks.

    One face or many; ``camera`` has the faces' leading axes, or none. Computed in the precision of the model;
    compiled at the first call for every number of faces. Source: OpenFace's `GetPose`.
    """
    check_params(model, params)
    check_camera(camera, params)
    return _poses(pdm_of(model), params, camera)


@keep
@in_full_precision
def _poses(pdm: PDM, params: FaceParams, camera: Camera) -> HeadPose:
    return over_faces(partial(_pose, pdm), params, camera)(params, camera)


def _pose(pdm: PDM, params: FaceParams, camera: Camera) -> HeadPose:
    pdm, params, camera = _as((pdm, params, camera), pdm.mean.dtype)
    start = weak_head_pose(params, camera)
    rotation, translation = resect(
        shape_3d(pdm, params.shape),
        shape_2d(pdm, params),
        camera.intrinsics,
        euler_to_matrix(start.rotation),
        start.translation,
    )
    return HeadPose(translation=translation, rotation=matrix_to_euler(rotation))


def over_faces(function: Callable[..., R], params: FaceParams, camera: Camera) -> Callable[..., R]:
    """Have a function of what a face has, and of its camera, take as many leading axes as faces have."""
    of_camera = 0 if jnp.ndim(camera.fx) else None
    for _ in range(jnp.ndim(params.scale)):
        function = _over_axis(function, of_camera)
    return function


def _over_axis(function: Callable[..., R], of_camera: int | None) -> Callable[..., R]:
    def over_axis(*given):
        return jax.vmap(function, (*(0,) * (len(given) - 1), of_camera))(*given)

    return over_axis


@in_full_precision
def landmarks_camera(pdm: PDM, params: FaceParams, camera: Camera) -> Float[Array, "n_points 3"]:
    """Place the landmarks in camera coordinates (millimetres): on their rays, at the depth of the shape.

    Source: OpenFace's `CLNF::GetShape`.
    """
    pdm, params, camera = _as((pdm, params, camera), pdm.mean.dtype)
    turned = shape_3d(pdm, params.shape) @ euler_to_matrix(params.rotation).T
    depth = camera.fx / params.scale + turned[:, 2]
    x, y = shape_2d(pdm, params).T
    return jnp.stack(
        [(x - camera.cx) / camera.fx * depth, (y - camera.cy) / camera.fy * depth, depth], axis=-1
    )


@in_full_precision
def axes_image(pose: HeadPose, camera: Camera, length: float = 60.0) -> Float[Array, "4 2"]:
    """Project the head's origin and the tips of its axes, ``length`` millimetres long, to pixels.

    x points to the photo's right, y down, z out of the face, towards the camera of a frontal face.
    """
    pose, camera = _as((pose, camera), jnp.result_type(pose.rotation))
    tips = length * jnp.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, -1]], pose.rotation.dtype)
    in_camera = tips @ euler_to_matrix(pose.rotation).T + pose.translation[None]
    return project(in_camera, camera.intrinsics)


def _as(tree: Tree, dtype: DTypeLike) -> Tree:
    """Convert all arrays of a tree to one precision."""
    return jax.tree.map(lambda a: jnp.asarray(a, dtype), tree)
