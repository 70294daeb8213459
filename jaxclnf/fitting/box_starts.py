"""The starts of fits: the mean face in every box, in every start rotation; whether a box can start a fit."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from jaxclnf.config import FitConfig
from jaxclnf.fitting.face_params import params_from_box
from jaxclnf.types import PDM, FaceParams, Status

_LEAST_SEEN = 0.01
"""Share of a box on the image below which whatever a fit found would be made up."""

_LARGEST = 1e4
"""Pixels; the side at most of a box that takes the place of another."""


def starts_in_boxes(pdm: PDM, boxes: Float[Array, "n_faces 4"], config: FitConfig) -> FaceParams:
    """Place the mean face in every box, in every start rotation; leading axes: faces, start rotations."""
    by_rotation = jax.vmap(partial(params_from_box, pdm), in_axes=(None, 0))
    boxes = corrected_boxes(boxes, config.box_correction[None])
    return jax.vmap(by_rotation, in_axes=(0, None))(boxes, config.start_rotations)


def corrected_boxes(boxes: Float[Array, "n_faces 4"], by: Float[Array, "1 4"]) -> Float[Array, "n_faces 4"]:
    """Move and stretch boxes by `FitConfig.box_correction`."""
    size = boxes[:, 2:]
    growth = size * jnp.expm1(by[:, 2:])
    return boxes + jnp.concatenate([size * by[:, :2] - growth / 2, growth], axis=1)


def sound_boxes(
    boxes: Float[Array, "n_faces 4"], status: Int[Array | np.ndarray, " n_faces"]
) -> Float[Array, "n_faces 4"]:
    """Put a box at the first pixel in the place of those that cannot start a fit, by their `Status`.

    What becomes of it is not used; starts that are not finite, or so far off that floats cannot tell their
    landmarks apart, would make the derivatives of the whole batch NaN, since zero times NaN is NaN.
    """
    size = jnp.clip(jnp.nan_to_num(boxes[:, 2:]), 1, _LARGEST)
    others = jnp.concatenate([jnp.zeros_like(size), size], axis=1)
    return jnp.where((status == Status.OK)[:, None], boxes, others)


def box_status(
    box: Float[Array | np.ndarray, "4"], image_size: Num[Array | np.ndarray, "2"]
) -> Int[Array | np.ndarray, ""]:
    """Check whether a box can start a fit on an image of ``image_size`` (width, height); gives a `Status`."""
    xp = box.__array_namespace__()  # NumPy for arrays on the host, which need no compilation
    corner, size = box[:2], box[2:]
    valid = xp.isfinite(box).all() & (size > 0).all()
    corner, size = xp.where(valid, corner, xp.zeros_like(corner)), xp.where(valid, size, xp.ones_like(size))
    seen = xp.clip((image_size - corner) / size, 0, 1) - xp.clip(-corner / size, 0, 1)  # of width and height
    of_sound = xp.where(seen[0] * seen[1] >= _LEAST_SEEN, Status.OK, Status.BOX_OUTSIDE)
    return xp.where(valid, of_sound, Status.BOX_INVALID).astype(xp.int32)
