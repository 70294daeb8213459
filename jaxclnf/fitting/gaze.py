"""Where a face's eyes look, from the fits of the eyes' own models.

Source: OpenFace's `GazeEstimation.cpp`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxclnf.fitting.headpose import head_pose, landmarks_camera
from jaxclnf.fitting.pose import in_full_precision
from jaxclnf.ops.camera import project
from jaxclnf.ops.gaze import gaze_angles, gaze_direction
from jaxclnf.ops.rotation import euler_to_matrix
from jaxclnf.ops.shape import shape_2d
from jaxclnf.types import PDM, Camera, EyeGaze, FaceParams, Model

EYES = {"left_eye_28": (36, 39), "right_eye_28": (42, 45)}
"""The parts that are eyes, and the landmarks of their corners in the whole face."""

IRIS = slice(0, 8)
"""The landmarks of an eye's model around its iris, whose middle is the pupil."""

LIDS = slice(8, 20)
PUPIL = slice(20, 28)


class Eyeballs(NamedTuple):
    """Where eyeballs lie in a head."""

    behind_corners: tuple[float, float, float]  # from the middle of the corners to the centre, millimetres
    perspective: bool  # whether the head is turned as `head_pose` says, or by its parameters


OPENFACE = Eyeballs((0.0, -3.5, 0.0), perspective=False)
OPENFACE2 = Eyeballs((0.0, -3.5, 7.0), perspective=True)


def has_eyes(model: Model) -> bool:
    """Whether a model has the eyes that gaze needs."""
    return set(EYES) <= {part.name for part in model.parts}


@in_full_precision
def gaze(
    model: Model,
    params: FaceParams,
    eyes: dict[str, FaceParams],
    camera: Camera,
    eyeballs: Eyeballs = OPENFACE2,
) -> EyeGaze:
    """Gaze of faces, one or with a leading axis, whose eyes were fitted: a pure, differentiable function.

    ``params`` are the whole face's, ``eyes`` those of the parts "left_eye_28" and "right_eye_28", as in
    `FitResult.params` and `FitResult.parts`; ``camera`` has the same leading axis, or none.

    Raises ValueError if the model or ``eyes`` lacks an eye.
    """
    parts = {part.name: part.model.pdm for part in model.parts}
    if missing := [name for name in EYES if name not in parts or name not in eyes]:
        raise ValueError(
            f"gaze needs the parts {', '.join(EYES)}, but {', '.join(missing)} is not there: use OpenFace's "
            "models (`jaxclnf models install`) and settings that fit their eyes (FitConfig.with_eyes)"
        )
    pdms = {name: parts[name] for name in EYES}
    of_face = _of_face
    if params.scale.ndim:
        of_face = jax.vmap(_of_face, in_axes=(None, None, 0, 0, 0 if jnp.ndim(camera.fx) else None, None))
    return of_face(model.pdm, pdms, params, {name: eyes[name] for name in EYES}, camera, eyeballs)


def _of_face(
    pdm: PDM,
    eye_pdms: dict[str, PDM],
    params: FaceParams,
    eyes: dict[str, FaceParams],
    camera: Camera,
    eyeballs: Eyeballs,
) -> EyeGaze:
    face = landmarks_camera(pdm, params, camera)
    rotation = head_pose(pdm, params, camera).rotation if eyeballs.perspective else params.rotation
    behind = euler_to_matrix(rotation) @ jnp.array(eyeballs.behind_corners, face.dtype)
    landmarks = jnp.stack([shape_2d(eye_pdms[name], eyes[name]) for name in EYES])
    points = jnp.stack([landmarks_camera(eye_pdms[name], eyes[name], camera) for name in EYES])
    centres = [face[jnp.array(corners)].mean(0) + behind for corners in EYES.values()]
    directions = jnp.stack(
        [gaze_direction(eye[IRIS].mean(0), centre) for eye, centre in zip(points, centres, strict=True)]
    )
    return EyeGaze(directions, gaze_angles(directions), landmarks, points)


def ray_image(
    landmarks_camera: Float[Array, "n_eye_points 3"],
    direction: Float[Array, "3"],
    camera: Camera,
    length: float = 50.0,
) -> Float[Array, "2 2"]:
    """Where an eye's pupil and the end of its gaze, ``length`` millimetres on, are seen."""
    pupil = landmarks_camera[IRIS].mean(0)
    return project(jnp.stack([pupil, pupil + length * direction]), camera.intrinsics)
