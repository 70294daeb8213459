"""Fitting all faces of a frame at once, each on a canvas about its expected place, on which it stands."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np

from jaxclnf.batch.canvas import Canvas, cut, usual_side
from jaxclnf.batch.placed_faces import in_photo, turned_in_plane
from jaxclnf.batch.reductions import reduction_by
from jaxclnf.config import FitConfig
from jaxclnf.fitting.fit import fit_batch_from
from jaxclnf.tracking.association import Box
from jaxclnf.types import FaceParams, FitResult, Model

LIES = np.radians(60)
"""Roll of a face from which on its canvas is turned by quarters: fits know rolls up to a quarter."""


class Expected(NamedTuple):
    """The place at which a face is expected in a frame."""

    params: FaceParams
    box: Box  # of its landmarks
    reduction: float  # of its canvas; it stays while the size does, so that landmarks do not tremble


def usual_reduction(model: Model, config: FitConfig, box: Box, before: float | None = None) -> float:
    """Choose the reduction of a face's canvas: that of the frame ``before``, unless its size has changed."""
    wanted = reduction_by(model, config)(box)
    return wanted if before is None or not 0.8 < wanted / before < 1.25 else before


def fit_expected(
    model: Model, config: FitConfig, frame: np.ndarray, faces: list[Expected]
) -> list[FitResult]:
    """Fit faces in a frame (grey) from their expected places, in one call."""
    if not faces:
        return []
    side = max(usual_side(frame, face.box, face.reduction) for face in faces)
    canvases = [cut(frame, face.box, side_of(face.params), side, face.reduction) for face in faces]
    starts = [_on_canvas(canvas, face.params) for canvas, face in zip(canvases, faces, strict=True)]
    n_faces = _padded(len(faces))
    take = np.minimum(np.arange(n_faces), len(faces) - 1)
    params = jax.tree.map(lambda *rows: np.stack(rows)[take], *starts)
    pixels = np.stack([canvas.pixels for canvas in canvases])[take]
    found = jax.device_get(fit_batch_from.unchecked(model, pixels, params, config))
    return [in_photo(canvas, jax.tree.map(lambda a, i=i: a[i], found)) for i, canvas in enumerate(canvases)]


def _padded(n_faces: int) -> int:
    """Pad the faces of a call to one of few numbers, so that few programs are compiled."""
    power = 1 << (n_faces - 1).bit_length()
    return n_faces if n_faces <= 4 else next(n for n in (3 * power // 4, power) if n >= n_faces)


def side_of(params: FaceParams) -> float:
    """Choose the quarters of a turn, in radians, by which a face lies in the frame; usually none."""
    roll = float(np.asarray(params.rotation)[2])
    return np.pi / 2 * round(roll / (np.pi / 2)) if abs(roll) > LIES else 0.0


def _on_canvas(canvas: Canvas, params: FaceParams) -> FaceParams:
    dtype = np.asarray(params.translation).dtype
    translation = canvas.of_photo(np.asarray(params.translation)).astype(dtype)
    scale = np.asarray(params.scale * canvas.scale, dtype)
    rotation = params.rotation
    if canvas.roll:
        rotation = np.asarray(turned_in_plane(rotation, np.asarray(-canvas.roll, dtype)))
    return replace(params, scale=scale, rotation=rotation, translation=translation)
