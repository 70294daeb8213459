"""The training faces of patch experts, cropped to one size so that training steps can sample them."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from jaxclnf.batch.box_rows import tight_box
from jaxclnf.batch.canvas import Canvas, cut
from jaxclnf.data.datasets import Faces
from jaxclnf.fitting.face_params import params_from_landmarks
from jaxclnf.ops.sample import sample_patches
from jaxclnf.training.warped_crops import CroppedFaces, with_warped
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


def gather(
    faces: Faces, pdm: PDM, with_mirrored: bool = True, n_warped: int = 0, seed: int = 0
) -> TrainingPhotos:
    """Read and crop every photo, and warp ``n_warped`` copies of each.

    If the markup has a mirror table, every face comes mirrored too.
    """
    sizes = np.asarray(_explain(pdm, jnp.asarray(faces.points)).scale)
    crops = [_crop(faces.image(i), faces.points[i], float(sizes[i])) for i in range(len(faces))]
    points = np.stack([crop.of_photo(face) for crop, face in zip(crops, faces.points, strict=True)])
    if faces.boxes is None:
        boxes = tight_box(points)
    else:
        boxes = np.stack([crop.box(box) for crop, box in zip(crops, faces.boxes, strict=True)])
    pixels = np.stack([crop.pixels for crop in crops])
    pixels, points, boxes = with_warped(CroppedFaces(pixels, points, boxes), n_warped, seed)
    index, mirrored = np.arange(len(pixels)), np.zeros(len(pixels), bool)
    if with_mirrored and faces.mirror is not None:
        points = np.concatenate([points, _mirror_points(points)[:, list(faces.mirror)]])
        boxes = np.concatenate([boxes, _mirror_boxes(boxes)])
        index, mirrored = np.tile(index, 2), np.repeat([False, True], len(pixels))
    return TrainingPhotos(
        pixels=jnp.asarray(pixels),
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


def _crop(image: np.ndarray, points: np.ndarray, resolution: float) -> Canvas:
    """Cut out a face that has ``resolution`` pixels per model unit in its photo, with a margin around it."""
    box = tight_box(points)
    room = SIDE / (float(box[2:].max()) * (1 + 2 * MARGIN))
    return cut(image, box, 0.0, SIDE, min(1.0, MAX_RESOLUTION / resolution, room))


@jax.jit
def _explain(pdm: PDM, points: Float[Array, "n_faces n_points 2"]) -> FaceParams:
    return jax.vmap(partial(params_from_landmarks, pdm))(points)


def _mirror_points(points):
    flip, shift = np.array([[-1, 1], [SIDE - 1, 0]], np.float32)
    return points * flip + shift


def _mirror_boxes(boxes):
    x, y, w, h = boxes.T
    return np.stack([SIDE - 1 - x - w, y, w, h], axis=1)
