"""The training faces of networks, cropped to one size, with the frames in which a fit looks at them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxclnf.batch.box_rows import tight_box
from jaxclnf.batch.canvas import Canvas, cut
from jaxclnf.data.datasets import Faces
from jaxclnf.data.evaluate import start_boxes
from jaxclnf.fitting.box_starts import corrected_boxes
from jaxclnf.fitting.face_params import params_from_box, params_from_landmarks
from jaxclnf.fitting.network_sight import window_on
from jaxclnf.training.conv.augmentation import Crops
from jaxclnf.training.conv.network_recipe import ConvRecipe
from jaxclnf.training.starts import box_correction
from jaxclnf.training.turned_crops import turned_copies
from jaxclnf.training.warped_crops import CroppedFaces, with_copies, with_warped
from jaxclnf.types import PDM, ConvExperts

RESOLUTION = 1.36
"""Pixels of a crop per pixel of the picture; larger faces are reduced to it by area."""

ROOM = 2.25
"""Side of a crop in sides of the picture at `RESOLUTION`'s scale: heads turn and boxes lie beside them."""


def gather_crops(
    faces: Faces,
    pdm: PDM,
    experts: ConvExperts,
    recipe: ConvRecipe,
    on_face: Callable[[], None] = lambda: None,
) -> Crops:
    """Read and crop every photo, warp and turn copies; boxes are tight on average, or the landmarks' own.

    ``on_face`` is called after each face that was turned.
    """
    explained = jax.jit(jax.vmap(partial(params_from_landmarks, pdm)))
    sizes = np.asarray(explained(jnp.asarray(faces.points, jnp.float32)).scale)
    crops = [
        _crop(faces.image(i), faces.points[i], float(sizes[i]), float(experts.patch_scale), recipe)
        for i in range(len(faces))
    ]
    columns = [
        (crop.pixels, crop.of_photo(points), crop.box(box))
        for crop, points, box in zip(crops, faces.points, np.asarray(_tight(faces)), strict=True)
    ]
    cropped = CroppedFaces(*(np.stack(column) for column in zip(*columns, strict=True)))
    warped = with_warped(cropped, recipe.warped, recipe.seed)
    pixels, *rest = with_copies(warped, turned_copies(cropped, pdm, recipe.turned, recipe.seed, on_face))
    points, boxes = (jnp.asarray(array, jnp.float32) for array in rest)
    starts = jax.vmap(partial(params_from_box, pdm, rotation=jnp.zeros(3)))(boxes)
    box_frames, true_frames = (
        jax.vmap(partial(_frame, pdm, experts))(params) for params in (starts, explained(points))
    )
    return Crops(jnp.asarray(pixels), points, box_frames, true_frames)


def _tight(faces: Faces) -> jax.Array:
    boxes, points = (jnp.asarray(a, jnp.float32) for a in (start_boxes(faces), faces.points))
    return corrected_boxes(boxes, box_correction(boxes, points)[None])


def _frame(pdm: PDM, experts: ConvExperts, params) -> jax.Array:
    window = window_on(pdm, experts, params)
    return jnp.concatenate([window.img_from_ref, window.centre[:, None]], 1)


def _crop(
    image: np.ndarray, points: np.ndarray, scale: float, patch_scale: float, recipe: ConvRecipe
) -> Canvas:
    """Cut out a square about a face that has ``scale`` pixels per model unit in its photo."""
    box = tight_box(points)
    return cut(image, box, 0.0, round(ROOM * recipe.side), min(1.0, RESOLUTION * patch_scale / scale))
