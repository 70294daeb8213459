"""Photos through the stages of a run: read and detected in threads, fitted in groups, measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from jaxclnf.batch.many_faces import fit_faces
from jaxclnf.batch.overlap import in_groups
from jaxclnf.cache import keep
from jaxclnf.config import FitConfig
from jaxclnf.fitting.gaze import gaze
from jaxclnf.fitting.headpose import head_pose, landmarks_camera
from jaxclnf.media.failures import Failure, failed
from jaxclnf.media.images import RGB, to_grey
from jaxclnf.media.read_and_detect import BoxSource, Looked, at_a_time, look_at
from jaxclnf.models.confidence import how_sure
from jaxclnf.output.tables import (
    PHOTO,
    MeasuredFace,
    empty_row,
    photo_row,
    table_columns,
    tells_certainty,
)
from jaxclnf.types import EYES, Camera, FitResult, Model, Validator

UNLIKELY = 0.05
"""Confidence below which a detection is taken for no face, where one that is smaller may be the face."""

GROUP_PIXELS = 32e6  # of photos that are fitted together, which bounds the memory


class Photo(NamedTuple):
    """A photo that was read, the boxes of its faces, and what was fitted in them."""

    path: Path
    rgb: RGB
    camera: Camera
    boxes: np.ndarray  # (k, 4) or, tilted, (k, 5), as `fit_faces` takes them
    faces: tuple[MeasuredFace, ...] = ()
    has_more: bool = False  # pictures in the file, after the first, which is this


def load_photos(paths: Iterable[Path], boxes: BoxSource, camera: Camera | None) -> Iterator[Photo | Failure]:
    """Read photos and look for their faces, a few ahead of what is taken.

    A photo that cannot be used becomes a `Failure`. Without ``camera`` it is OpenFace's guess from
    each photo's size.
    """
    return with_cameras(look_at(paths, boxes), camera)


def with_cameras(looked: Iterable[Looked | Failure], camera: Camera | None) -> Iterator[Photo | Failure]:
    """Add the camera to photos that were searched for faces; None stands for OpenFace's guess by size."""
    for each in looked:
        if isinstance(each, Looked):
            own = camera or Camera.default(*each.rgb.shape[1::-1])
            yield Photo(each.path, each.rgb, own, each.boxes, has_more=each.has_more)
        else:
            yield each
        del each


def fit_loaded(
    model: Model,
    loaded: Iterable[Photo | Failure],
    config: FitConfig,
    validator: Validator | None = None,
    only_largest: bool = False,
) -> Iterator[Photo | Failure]:
    """Fit the faces of photos that were read; confidences are the ``validator``'s or the calibration's.

    With ``only_largest``, boxes come the largest first, and each photo keeps the first that is of a face.
    """
    for group in in_groups(loaded, _weight, 1.0):
        for photo in _fit_or_name(model, group, config, validator):
            yield _with_largest(photo) if only_largest and isinstance(photo, Photo) else photo
        group.clear()  # frees this group's pictures while the next group is waited for


def _with_largest(photo: Photo) -> Photo:
    """Keep the first of a photo's fits that may be of a face, or the first fit if none may."""
    believed = (i for i, face in enumerate(photo.faces) if _may_be_face(face))
    i = next(believed, 0)
    return photo._replace(boxes=photo.boxes[i : i + 1], faces=photo.faces[i : i + 1])


def _may_be_face(face: MeasuredFace) -> bool:
    """Tell whether a fit can be used and its confidence, unless unknown, is not that of a non-face."""
    return bool(face.result.usable) and not face.confidence < UNLIKELY


def photo_columns(model: Model, config: FitConfig, certainty: bool = False) -> list[str]:
    """Name the columns of a table of photos; raises ValueError if certainty is asked for but unknown."""
    return table_columns(model, config, PHOTO, certainty)


def photo_rows(names: list[str], photo: Photo, source: str) -> list[list[str]]:
    """Make the rows of the photo ``source``: one for each face, or one that says there is none."""
    sure = tells_certainty(names)
    rows = [photo_row(source, i, face, sure) for i, face in enumerate(photo.faces)]
    return rows or [empty_row(names, source)]


def _weight(photo: Photo | Failure) -> float:
    return pixels_held(photo) / GROUP_PIXELS + 1 / at_a_time()


def pixels_held(photo: Photo | Failure) -> float:
    """Count the pixels of a photo that was read."""
    return float(photo.rgb.shape[0] * photo.rgb.shape[1]) if isinstance(photo, Photo) else 0.0


def _fit_or_name(
    model: Model, group: list[Photo | Failure], config: FitConfig, validator: Validator | None
) -> Iterator[Photo | Failure]:
    """Fit a group of photos; if that fails, fit each photo alone, so that only the failing one is lost."""
    try:
        fitted = list(_fit_group(model, group, config, validator))
    except Exception as error:
        if len(group) == 1:
            fitted = [
                failed(str(photo.path), error) if isinstance(photo, Photo) else photo for photo in group
            ]
        else:
            fitted = [each for photo in group for each in _fit_or_name(model, [photo], config, validator)]
    while fitted:
        yield fitted.pop(0)


def _fit_group(
    model: Model, group: list[Photo | Failure], config: FitConfig, validator: Validator | None
) -> Iterator[Photo | Failure]:
    with_faces = [p for p in group if isinstance(p, Photo) and len(p.boxes)]
    found = iter(())
    if with_faces:
        greys = [to_grey(p.rgb) for p in with_faces]
        result = fit_faces(model, greys, [p.boxes for p in with_faces], config)
        of_faces = [grey for p, grey in zip(with_faces, greys, strict=True) for _ in p.boxes]
        cameras = jax.tree.map(lambda *c: np.stack(c), *(p.camera for p in with_faces for _ in p.boxes))
        found = iter(measure(model, result, how_sure(model, result, config, validator, of_faces), cameras))
    for photo in group:
        if isinstance(photo, Photo):
            photo = photo._replace(faces=tuple(next(found) for _ in photo.boxes))
        yield photo


def measure(
    model: Model, result: FitResult, sure: Float[np.ndarray, " n_faces"], cameras: Camera
) -> list[MeasuredFace]:
    """Compute what tables hold of a batch of fits with confidences ``sure``, each seen by its camera."""
    n_faces = len(result.status)
    padded = 1 << (n_faces - 1).bit_length()  # few sizes to compile
    take = np.minimum(np.arange(padded), n_faces - 1)
    padded_result, cameras = jax.tree.map(lambda a: np.asarray(a)[take], (result, cameras))
    shapes = replace(model, experts=())  # a call looks at every array that it is given
    pose, points, looks = jax.device_get(_geometry(shapes, padded_result, cameras))
    return [
        MeasuredFace(
            result=jax.tree.map(lambda a, i=i: a[i], result),
            confidence=float(sure[i]),
            pose=np.concatenate([pose.translation[i], pose.rotation[i]]),
            landmarks_camera=points[i],
            gaze=jax.tree.map(lambda a, i=i: a[i], looks),
        )
        for i in range(n_faces)
    ]


@keep
def _geometry(model: Model, result: FitResult, cameras: Camera):
    def one(params, camera):
        return head_pose(model.pdm, params, camera), landmarks_camera(model.pdm, params, camera)

    looks = gaze(model, result, cameras) if set(EYES) <= set(result.parts) else None
    return *jax.vmap(one)(result.params, cameras), looks
