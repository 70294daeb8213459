"""The faces to learn from, cropped to one size, with the frames that a fit would look at them in."""

from __future__ import annotations

from functools import partial

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from jaxclnf.data.datasets import Faces
from jaxclnf.fitting.fit import corrected_boxes
from jaxclnf.fitting.network import window_on
from jaxclnf.fitting.pose import params_from_box, params_from_landmarks
from jaxclnf.training.conv.pictures import Crops
from jaxclnf.training.conv.recipe import ConvRecipe
from jaxclnf.types import PDM, ConvExperts

RESOLUTION = 1.36
"""Pixels of a crop for one of the picture; larger faces are reduced to it by area."""

ROOM = 2.25
"""Side of a crop in sides of the picture at `RESOLUTION`'s scale: heads turn and boxes lie beside them."""


def patch_scale(pdm: PDM, recipe: ConvRecipe) -> float:
    """Pixels of the picture a model unit: the mean face's box takes its part of the picture."""
    return recipe.side / (recipe.reach * float(np.ptp(np.asarray(pdm.mean)[:, :2], axis=0).max()))


def gather_crops(faces: Faces, pdm: PDM, experts: ConvExperts, recipe: ConvRecipe) -> Crops:
    """Read and crop every photo; boxes are made tight on average, or are the landmarks' own."""
    points = jnp.asarray(faces.points, jnp.float32)
    truth = jax.jit(jax.vmap(partial(params_from_landmarks, pdm)))(points)
    boxes = _tight(faces)
    starts = jax.vmap(partial(params_from_box, pdm, rotation=jnp.zeros(3)))(boxes)
    frames = [jax.vmap(partial(_frame, pdm, experts))(params) for params in (starts, truth)]
    crops = [
        _crop(faces.image(i), faces.points[i], float(truth.scale[i]), float(experts.patch_scale), recipe)
        for i in range(len(faces))
    ]
    pixels, corners, scales = (np.stack(a) for a in zip(*crops, strict=True))
    moved = (points - corners[:, None] + 0.5) * scales[:, None, None] - 0.5
    return Crops(
        jnp.asarray(pixels),
        jnp.asarray(moved, jnp.float32),
        *(_moved(np.asarray(frame), corners, scales) for frame in frames),
    )


def _tight(faces: Faces) -> jax.Array:
    low, high = faces.points.min(1), faces.points.max(1)
    if faces.boxes is None:
        return jnp.asarray(np.concatenate([low, high - low], 1), jnp.float32)
    size = faces.boxes[:, 2:]
    shift = ((low + high) / 2 - faces.boxes[:, :2] - size / 2) / size
    correction = np.concatenate([shift.mean(0), np.log((high - low) / size).mean(0)])
    return corrected_boxes(jnp.asarray(faces.boxes, jnp.float32), jnp.asarray(correction[None], jnp.float32))


def _frame(pdm: PDM, experts: ConvExperts, params) -> jax.Array:
    window = window_on(pdm, experts, params)
    return jnp.concatenate([window.img_from_ref, window.centre[:, None]], 1)


def _crop(
    image: np.ndarray, points: np.ndarray, scale: float, patch_scale: float, recipe: ConvRecipe
) -> tuple[np.ndarray, np.ndarray, np.float32]:
    """A square about the face, its corner in the photo and its pixels per pixel of the photo."""
    side = round(ROOM * recipe.side)
    extent = round(side / min(1.0, RESOLUTION * patch_scale / scale))
    corner = np.floor((points.min(0) + points.max(0)) / 2 - extent / 2).astype(int)
    end = corner + extent
    low, high = np.maximum(corner, 0), np.minimum(end, image.shape[::-1])
    part = image[low[1] : high[1], low[0] : high[0]]
    (left, top), (right, bottom) = low - corner, end - high
    part = cv2.copyMakeBorder(part, top, bottom, left, right, cv2.BORDER_REPLICATE)
    pixels = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA)
    return pixels.astype(np.uint8), corner.astype(np.float32), np.float32(side / extent)


def _moved(frames: np.ndarray, corners: np.ndarray, scales: np.ndarray) -> jax.Array:
    """Frames of the photo as frames of its crop."""
    factor = scales[:, None, None]
    centre = (frames[:, :, 2:] - corners[..., None] + 0.5) * factor - 0.5
    return jnp.asarray(np.concatenate([factor * frames[:, :, :2], centre], 2), jnp.float32)
