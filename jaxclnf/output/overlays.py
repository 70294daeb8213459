"""Landmarks, boxes and axes drawn on photos and frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxclnf.cache import keep
from jaxclnf.fitting.gaze import ray_image
from jaxclnf.fitting.headpose import axes_image
from jaxclnf.media.crops import aligned_crop
from jaxclnf.media.images import RGB
from jaxclnf.media.photo_parts import in_resized, resized
from jaxclnf.output.draw import colour_of, draw_axes, draw_box, draw_gaze, draw_landmarks, draw_name
from jaxclnf.output.photo_pipeline import Photo
from jaxclnf.output.tables import MeasuredFace
from jaxclnf.types import Camera, HeadPose
from jaxclnf.whole_files import write_whole
from jaxclnf.wording import percent

LONGEST = 1600
"""Pixels of a picture's longer side; larger ones are shrunk: 12 megapixels take 0.65 s and 20 MB as PNG."""
SMALL = 320
"""Pixels to which a small picture's longer side is enlarged, by the whole number that leads nearest below."""


def overlay(photo: Photo) -> RGB:
    """Draw the boxes, landmarks and head axes of the faces on a copy of a photo.

    The copy of a large photo is shrunk, that of a small one enlarged.
    """
    longest = max(photo.rgb.shape[:2])
    scale = min(LONGEST / longest, max(1.0, SMALL // longest))
    picture = photo.rgb.copy() if scale == 1 else resized(photo.rgb, scale)
    for i, (box, face) in enumerate(zip(photo.boxes, photo.faces, strict=True)):
        draw_box(picture, np.append(scale * box[:4], box[4:]), colour_of(i))
        draw_face(picture, face, photo.camera, i, scale)
        large = scale * float(box[2:4].max())
        draw_name(picture, f"{i}: {percent(face.confidence)}", box[:2] * scale, large)
    return picture


def draw_face(picture: RGB, face: MeasuredFace, camera: Camera, number: int, scale: float = 1.0) -> None:
    """Draw a face's landmarks and axes into a picture ``scale`` times the photo's size."""
    if face.result.usable:
        draw_landmarks(picture, _places(face.result.landmarks, scale), colour_of(number))
        if face.gaze is not None:
            ends = _rays(face.gaze.landmarks_camera, face.gaze.directions, camera)
            draw_gaze(picture, _places(face.gaze.landmarks, scale), _places(ends, scale))
        draw_axes(picture, _places(_axes(face.pose, camera), scale))


def _places(points: Float[Array | np.ndarray, "*n 2"], scale: float) -> Float[np.ndarray, "*n 2"]:
    """Find a photo's points in a copy ``scale`` times as large."""
    return in_resized(np.asarray(points, np.float64), scale)


@keep
def _axes(pose: Float[Array | np.ndarray, "6"], camera: Camera) -> Float[Array, "4 2"]:
    pose = jnp.asarray(pose)
    return axes_image(HeadPose(translation=pose[:3], rotation=pose[3:]), camera)


@keep
def _rays(
    landmarks_camera: Float[Array | np.ndarray, "2 n_eye_points 3"],
    directions: Float[Array | np.ndarray, "2 3"],
    camera: Camera,
) -> Float[Array, "2 2 2"]:
    return jax.vmap(ray_image, in_axes=(0, 0, None))(landmarks_camera, directions, camera)


def save_picture(path: Path, picture: RGB) -> None:
    """Write a picture as PNG or, by the suffix, JPEG."""
    _, data = cv2.imencode(path.suffix, picture[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    write_whole(path, data.tobytes())


def save_crops(folder: Path, name: str, photo: Photo, mean: np.ndarray, size: int, margin: float) -> None:
    """Write each usable face of a photo, aligned with the mean face, as ``<name>_<number>.png``."""
    folder.mkdir(exist_ok=True)
    for i, face in enumerate(photo.faces):
        if face.result.usable:
            crop = aligned_crop(photo.rgb, np.asarray(face.result.landmarks), mean, size, margin)
            save_picture(folder / f"{name}_{i}.png", crop)
