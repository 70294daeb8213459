"""The faces to learn from, cropped to one size and put where the training steps can sample them."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from jaxclnf.data.datasets import Faces
from jaxclnf.fitting.pose import params_from_landmarks
from jaxclnf.ops.sample import sample_patches
from jaxclnf.types import PDM, FaceParams

SIDE = 320  # pixels of a cropped photo
MAX_RESOLUTION = 1.25  # pixels per model unit; larger faces are reduced
MARGIN = 0.3  # of the face's larger side, kept around it


class TrainingPhotos(NamedTuple):
    """Cropped photos and the faces on them.

    A face may be mirrored: its points, box and parameters then belong to the mirrored crop, while
    ``pixels`` holds the crop as it is.
    """

    pixels: UInt8[Array, "n_photos side side"]
    photo: Int[Array, " n_faces"]
    mirrored: Bool[Array, " n_faces"]
    points: Float[Array, "n_faces n_points 2"]
    boxes: Float[Array, "n_faces 4"]
    truth: FaceParams  # what best explains the points

    def __len__(self) -> int:
        return len(self.photo)


def gather(faces: Faces, pdm: PDM, with_mirrored: bool = True) -> TrainingPhotos:
    """Read and crop every photo. If the markup has a mirror table, every face comes mirrored too."""
    sizes = np.asarray(_explain(pdm, jnp.asarray(faces.points)).scale)
    crops = [_crop(faces.image(i), faces.points[i], float(sizes[i])) for i in range(len(faces))]
    scale = np.array([c.scale for c in crops], np.float32)[:, None, None]
    origin = np.array([c.origin for c in crops], np.float32)
    points = (faces.points - origin[:, None]) * scale
    boxes = _tight_boxes(points) if faces.boxes is None else _cropped_boxes(faces.boxes, origin, scale[:, 0])
    index, mirrored = np.arange(len(faces)), np.zeros(len(faces), bool)
    if with_mirrored and faces.mirror is not None:
        points = np.concatenate([points, _mirror_points(points)[:, list(faces.mirror)]])
        boxes = np.concatenate([boxes, _mirror_boxes(boxes)])
        index, mirrored = np.tile(index, 2), np.repeat([False, True], len(faces))
    return TrainingPhotos(
        pixels=jnp.asarray(np.stack([c.pixels for c in crops])),
        photo=jnp.asarray(index, jnp.int32),
        mirrored=jnp.asarray(mirrored),
        points=jnp.asarray(points, jnp.float32),
        boxes=jnp.asarray(boxes, jnp.float32),
        truth=_explain(pdm, jnp.asarray(points, jnp.float32)),
    )


def sample_face(
    photos: TrainingPhotos,
    face: Int[Array, ""],
    centres: Float[Array, "n 2"],
    img_from_ref: Float[Array, "2 2"],
    size: int,
) -> Float[Array, "n {size} {size}"]:
    """Patches of one face, as `jaxclnf.ops.sample` takes them of its photo, mirrored if the face is."""
    side = photos.pixels.shape[-1]
    sign = jnp.where(photos.mirrored[face], -1.0, 1.0)
    flip = jnp.stack([sign, jnp.ones_like(sign)])
    shift = jnp.where(photos.mirrored[face], side - 1.0, 0.0)
    centres = centres * flip + jnp.stack([shift, jnp.zeros_like(shift)])
    return sample_patches(photos.pixels[photos.photo[face]], centres, flip[:, None] * img_from_ref, size)


class _Crop(NamedTuple):
    pixels: np.ndarray
    origin: np.ndarray  # of the crop, in pixels of the photo
    scale: float  # pixels of the crop per pixel of the photo


def _crop(image: np.ndarray, points: np.ndarray, resolution: float) -> _Crop:
    low, high = points.min(0), points.max(0)
    extent = float((high - low).max())
    reach = 0.5 * extent * (1 + 2 * MARGIN)
    scale = min(1.0, MAX_RESOLUTION / float(resolution), SIDE / (2 * reach))
    half = SIDE / scale / 2
    height, width = image.shape
    x0, y0 = np.maximum(np.floor((low + high) / 2 - half).astype(int), 0)
    x1, y1 = np.minimum([x0 + int(2 * half), y0 + int(2 * half)], [width, height])
    part = image[y0:y1, x0:x1]
    if scale < 1:
        part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    part = part[:SIDE, :SIDE]
    below, right = SIDE - part.shape[0], SIDE - part.shape[1]
    part = cv2.copyMakeBorder(part, 0, below, 0, right, cv2.BORDER_REPLICATE)
    # Reduction keeps the outer edges of pixels, so their centres shift by half the difference.
    return _Crop(part, np.array([x0, y0]) - 0.5 + 0.5 / scale, scale)


@jax.jit
def _explain(pdm: PDM, points: Float[Array, "n_faces n_points 2"]) -> FaceParams:
    with jax.default_matmul_precision("highest"):
        return jax.vmap(partial(params_from_landmarks, pdm))(points)


def _tight_boxes(points):
    low = points.min(1)
    return np.concatenate([low, points.max(1) - low], axis=1)


def _cropped_boxes(boxes, origin, scale):
    return np.concatenate([(boxes[:, :2] - origin) * scale, boxes[:, 2:] * scale], axis=1)


def _mirror_points(points):
    flip, shift = np.array([[-1, 1], [SIDE - 1, 0]], np.float32)
    return points * flip + shift


def _mirror_boxes(boxes):
    x, y, w, h = boxes.T
    return np.stack([SIDE - 1 - x - w, y, w, h], axis=1)
