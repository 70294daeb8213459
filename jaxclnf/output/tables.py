"""Tables of results with OpenFace's columns, so that programs for OpenFace's tables can read them.

After OpenFace's columns come, by option, the certainty of each landmark, and three of ours: ``source`` (the
file), ``status`` (how the fit ended, in words) and ``log_likelihood``. What is not known, as where no face
was found, is NaN.

Landmarks, pose and parameters are NaN, too, where a fit failed, and in videos where ``success`` is 0; a fit
that came to its end has them, however low its confidence is. ``status`` and ``confidence`` then say what
became of the face, and ``log_likelihood`` of one that was lost; of a fit that failed it is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxclnf.config import FitConfig
from jaxclnf.fitting.gaze import n_eye_points
from jaxclnf.models.network_presets import uses_network
from jaxclnf.ops.certainty import certain_radius
from jaxclnf.output.csv_cells import number_cell, path_cell
from jaxclnf.types import STATUS_WORDS, EyeGaze, FitResult, Model, Status
from jaxclnf.types.array_columns import param_columns, point_columns

PHOTO = ("face", "confidence")
VIDEO = ("frame", "face_id", "timestamp", "confidence", "success")
OWN = ("source", "status", "log_likelihood")
CERTAINTY = ("cov_xx", "cov_xy", "cov_yy", "r90", "visible")  # of each landmark

NO_FACE = "no face"
LOST = STATUS_WORDS[Status.LOST]  # also of a followed face whose fit ended where no face is


class MeasuredFace(NamedTuple):
    """The values of one face's row."""

    result: FitResult  # of this face
    confidence: float  # 0..1
    pose: Float[np.ndarray, "6"]  # Tx, Ty, Tz in millimetres, Rx, Ry, Rz in radians
    landmarks_camera: Float[np.ndarray, "n_points 3"]  # millimetres
    gaze: EyeGaze | None = None  # where eyes were fitted


def columns(
    n_points: int,
    n_modes: int,
    leading: Sequence[str] = PHOTO,
    n_eye_points: int = 0,
    own: Sequence[str] = OWN,
    certainty: bool = False,
) -> list[str]:
    """Name a table's columns, in order, for models with ``n_points`` landmarks and ``n_modes`` modes.

    Gaze has columns if ``n_eye_points``, the landmarks of both eyes, is not 0. ``certainty`` adds of each
    landmark its covariance in pixels squared, the radius in pixels that holds it with 90 % probability, and
    how likely it is to be visible.
    """
    directions = [f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz"]
    eye_points = [f"eye_lmk_{axis}_{i}" for axis in "xyXYZ" for i in range(n_eye_points)]
    gaze = [*directions, "gaze_angle_x", "gaze_angle_y", *eye_points] if n_eye_points else []
    pose = [f"pose_{what}{axis}" for what in "TR" for axis in "xyz"]
    points = point_columns(n_points, "xyXYZ")
    sure = [f"{what}_{i}" for what in CERTAINTY for i in range(n_points)] if certainty else []
    return [*leading, *gaze, *pose, *points, *param_columns(n_modes), *sure, *own]


def table_columns(
    model: Model, config: FitConfig, leading: Sequence[str], certainty: bool = False
) -> list[str]:
    """Name the columns of fits by a model and settings; raises ValueError for a certainty that is unknown."""
    if certainty and not uses_network(model, config):
        raise ValueError(
            "--certainty needs a convolutional expert, as the model that ships has; these settings use none"
        )
    sizes = model.pdm.n_points, model.pdm.n_modes
    return columns(*sizes, leading, n_eye_points(model, config), certainty=certainty)


def tells_certainty(names: Sequence[str]) -> bool:
    """Tell whether a table has the columns of each landmark's certainty."""
    return f"{CERTAINTY[0]}_0" in names


def photo_row(source: str, face: int, found: MeasuredFace, certainty: bool = False) -> list[str]:
    """Make the row of a photo's face; faces of a photo are numbered from 0."""
    leading = [str(face), _number(found.confidence)]
    return [*leading, *_values(found, True, certainty), *_own(source, found, True)]


def video_row(
    source: str,
    frame: int,
    timestamp: float,
    face_id: int,
    found: MeasuredFace,
    success: bool,
    certainty: bool = False,
) -> list[str]:
    """Make the row of a face in a video's frame; frames count from 1, time is in seconds."""
    leading = [str(frame), str(face_id), _number(timestamp), _number(found.confidence), str(int(success))]
    return [*leading, *_values(found, success, certainty), *_own(source, found, success)]


def empty_row(names: Sequence[str], source: str, **known: object) -> list[str]:
    """Make the row of a photo or frame without a face: confidence 0, and what is ``known``."""
    known = {
        "confidence": number_cell(0.0),
        "face": 0,
        "face_id": 0,
        "success": 0,
        "source": path_cell(source),
        "status": NO_FACE,
    } | known
    return [str(known.get(name, "NaN")) for name in names]


class Group(NamedTuple):
    """The values of adjacent columns, and the number of decimals that OpenFace 2 writes of them."""

    values: np.ndarray
    decimals: int


def groups(found: MeasuredFace) -> list[Group]:
    """List the values of a face's row in OpenFace's order."""
    params, pose = found.result.params, np.asarray(found.pose)
    points = [np.transpose(found.result.landmarks), found.landmarks_camera.T]
    rigid = np.array([params.scale, *params.rotation, *params.translation])
    face = [Group(pose[:3], 1), Group(pose[3:], 3), *(Group(p.ravel(), 1) for p in points)]
    return [*_gaze_groups(found.gaze), *face, Group(np.concatenate([rigid, params.shape]), 3)]


def _gaze_groups(gaze: EyeGaze | None) -> list[Group]:
    if gaze is None:
        return []
    by_axis = [np.concatenate(eyes).T for eyes in (gaze.landmarks, gaze.landmarks_camera)]
    points = [Group(axes.ravel(), 1) for axes in by_axis]
    return [Group(np.ravel(gaze.directions), 6), Group(np.asarray(gaze.angles), 3), *points]


@jax.jit
def _certainty(covariance: Float[Array, "n_points 2 2"]) -> Float[Array, "4 n_points"]:
    xx, xy, yy = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    return jnp.stack([xx, xy, yy, certain_radius(covariance)])


def _values(found: MeasuredFace, trusted: bool, certainty: bool) -> list[str]:
    values = np.concatenate([group.values for group in groups(found)])
    if certainty:
        values = np.concatenate([values, np.asarray(_certainty(found.result.covariance)).ravel()])
        values = np.concatenate([values, _visible(found.result)])
    trusted = trusted and bool(found.result.usable)
    return _numbers(values if trusted else np.full_like(values, np.nan))


def _visible(result: FitResult) -> Float[np.ndarray, " n_points"]:
    if result.visibility is None:
        return np.full(len(result.landmarks), np.nan)
    return np.asarray(result.visibility)


def _own(source: str, found: MeasuredFace, success: bool) -> list[str]:
    ended = found.result.usable
    status = LOST if ended and not success else STATUS_WORDS[Status(int(found.result.status))]
    likelihood = float(found.result.log_likelihood) if ended else math.nan
    return [path_cell(source), status, _number(likelihood)]


def _numbers(values: np.ndarray) -> list[str]:
    return [_number(value) for value in values.tolist()]


def _number(value: float) -> str:
    """Format a number with six decimals, finer than a float32 at 10 pixels; NaN if it is not finite."""
    return number_cell(value if math.isfinite(value) else math.nan)
