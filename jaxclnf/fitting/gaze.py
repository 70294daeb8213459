"""The gaze of a face's eyes, from the fits of the eyes' own models.

Source: OpenFace's `GazeEstimation.cpp`.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxclnf.cache import keep
from jaxclnf.config import FitConfig
from jaxclnf.fitting.arguments import check_camera, check_kind
from jaxclnf.fitting.full_precision import in_full_precision
from jaxclnf.fitting.headpose import head_pose, landmarks_camera, over_faces
from jaxclnf.ops.camera import project
from jaxclnf.ops.eyeball import gaze_angles, gaze_direction
from jaxclnf.ops.rotation import euler_to_matrix
from jaxclnf.ops.shape import shape_2d
from jaxclnf.types import EYES, PDM, Camera, EyeGaze, FaceParams, FitResult, Model

CORNERS = ((36, 39), (42, 45))
"""The landmarks of the eyes' corners in the whole face."""

IRIS = slice(0, 8)
"""The landmarks of an eye's model around its iris, whose middle is the pupil."""


class Eyeballs(NamedTuple):
    """The place of the eyeballs in a head."""

    behind_corners: tuple[float, float, float]  # from the middle of the corners to the centre, millimetres
    perspective: bool  # whether the head is turned as `head_pose` says, or by its parameters


OPENFACE = Eyeballs((0.0, -3.5, 0.0), perspective=False)
OPENFACE2 = Eyeballs((0.0, -3.5, 7.0), perspective=True)


def check_eyes(model: Model) -> None:
    """Raise ValueError for a model without the eyes that gaze needs."""
    if not set(EYES) <= {part.name for part in model.parts}:
        raise ValueError(
            f"gaze needs a model with both eyes, and {model.provenance.name or 'this one'!r} has none: use "
            "OpenFace's, for research (`jaxclnf models install`, then --model openface-general)"
        )


def n_eye_points(model: Model, config: FitConfig) -> int:
    """Count the landmarks of both eyes; 0 if the model has, or the settings fit, fewer than two eyes."""
    eyes = [
        part.model.pdm.n_points for part in model.parts if part.name in EYES and part.name in config.parts
    ]
    return sum(eyes) if len(eyes) == len(EYES) else 0


def gaze(
    model: Model,
    result: FitResult,
    camera: Camera,
    eyeballs: Eyeballs = OPENFACE2,
) -> EyeGaze:
    """Compute the gaze of fitted faces, one or with leading axes; a pure, differentiable function.

    Their settings must have fitted the eyes (`FitConfig.with_eyes`); ``camera`` has the faces' leading axes,
    or none. Compiled at the first call for every number of faces. Raises ValueError if an eye is missing.
    """
    check_kind("model", model, Model)
    check_kind("result", result, FitResult)
    check_camera(camera, result.params)
    check_eyes(model)
    if missing := [name for name in EYES if name not in result.parts]:
        raise ValueError(
            f"gaze needs fits of {', '.join(EYES)}, but {', '.join(missing)} was not fitted: use settings "
            "with eyes, as FitConfig().with_eyes()"
        )
    pdms = tuple(part.model.pdm for name in EYES for part in model.parts if part.name == name)
    eyes = tuple(result.parts[name].params for name in EYES)
    turned = head_pose(model, result.params, camera) if eyeballs.perspective else result.params
    behind = jnp.asarray(eyeballs.behind_corners, model.pdm.mean.dtype)
    return _gazes(model.pdm, pdms, behind, result.params, eyes, turned.rotation, camera)


@keep
@in_full_precision
def _gazes(
    pdm: PDM,
    eye_pdms: tuple[PDM, ...],
    behind_corners: Float[Array, "3"],
    params: FaceParams,
    eyes: tuple[FaceParams, ...],
    rotation: Float[Array, "*batch 3"],
    camera: Camera,
) -> EyeGaze:
    of_faces = over_faces(partial(_of_face, pdm, eye_pdms, behind_corners), params, camera)
    return of_faces(params, eyes, rotation, camera)


def _of_face(
    pdm: PDM,
    eye_pdms: tuple[PDM, ...],
    behind_corners: Float[Array, "3"],
    params: FaceParams,
    eyes: tuple[FaceParams, ...],
    rotation: Float[Array, "3"],
    camera: Camera,
) -> EyeGaze:
    face = landmarks_camera(pdm, params, camera)
    behind = euler_to_matrix(rotation) @ behind_corners
    pairs = list(zip(eye_pdms, eyes, strict=True))
    landmarks = jnp.stack([shape_2d(pdm, eye) for pdm, eye in pairs])
    points = jnp.stack([landmarks_camera(pdm, eye, camera) for pdm, eye in pairs])
    centres = [face[jnp.array(corners)].mean(0) + behind for corners in CORNERS]
    directions = jnp.stack(
        [gaze_direction(eye[IRIS].mean(0), centre) for eye, centre in zip(points, centres, strict=True)]
    )
    return EyeGaze(directions, gaze_angles(directions), landmarks, points)


def ray_image(
    landmarks_camera: Float[Array | np.ndarray, "n_eye_points 3"],
    direction: Float[Array | np.ndarray, "3"],
    camera: Camera,
    length: float = 50.0,
) -> Float[Array, "2 2"]:
    """Project an eye's pupil, and the end of its gaze ``length`` millimetres on, to pixels."""
    pupil = landmarks_camera[IRIS].mean(0)
    return project(jnp.stack([pupil, pupil + length * direction]), camera.intrinsics)
