"""A face on its way from a photo to a canvas, and its fit on the way back into the photo."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxclnf.batch.canvas import MARGIN, MIN_SIDE, Canvas, cut, usual_side
from jaxclnf.cache import keep
from jaxclnf.fitting.arguments import check_brightness
from jaxclnf.ops.rotation import euler_to_matrix, matrix_to_euler
from jaxclnf.types import FitResult, PartFit

Fit = TypeVar("Fit", FitResult, PartFit)


class PlacedFace(NamedTuple):
    """One face to fit: its number, its canvas, and its box and photo's size for the way back."""

    index: int
    canvas: Canvas
    box: np.ndarray  # x, y, w, h in the photo
    photo_size: np.ndarray  # width, height


def on_canvas(
    index: int, image: np.ndarray, box: np.ndarray, reduced: Callable[[np.ndarray], float]
) -> PlacedFace:
    _check(image, box)
    check_brightness(images=image)
    least = MIN_SIDE / (MARGIN * max(image.shape))  # for a face that fills its photo or more
    return surroundings(index, image, box, reduction=max(reduced(_numbers(box)), min(least, 1.0)))


def surroundings(
    index: int, image: np.ndarray, box: np.ndarray, side: int | None = None, reduction: float = 1.0
) -> PlacedFace:
    """Cut a face's surroundings out of its photo, onto a canvas of ``side`` or a side that suits the box."""
    _check(image, box)
    with np.errstate(over="ignore"):  # a size beyond float32 becomes infinite, which makes the box invalid
        own = box[:4].astype(np.float32).astype(np.float64)
    # An invalid box is replaced by zeros; the status of its result says that it is invalid.
    roll = float(_numbers(box)[4]) if len(box) == 5 else 0.0
    usable = _numbers(own)
    canvas = cut(image, usable, roll, side or usual_side(image, usable, reduction), reduction)
    return PlacedFace(index, canvas, own, np.array(image.shape[::-1]))


def _check(image: np.ndarray, box: np.ndarray) -> None:
    if image.ndim != 2 or 0 in image.shape or box.shape not in ((4,), (5,)):
        raise ValueError(
            "expected a grey image (height, width) and a box (x, y, width, height); "
            f"got an image of shape {image.shape} and a box of shape {box.shape}"
        )
    if not all(np.can_cast(each.dtype, np.float64, "same_kind") for each in (image, box)):
        raise ValueError(
            f"expected an image and a box of real numbers; got them of {image.dtype} and {box.dtype}"
        )


def _numbers(box: np.ndarray) -> np.ndarray:
    return np.nan_to_num(box.astype(np.float64), posinf=0, neginf=0)


def canvas_side(image: np.ndarray, box: np.ndarray, reduction: float = 1.0) -> int:
    """Choose the canvas's side for a face's surroundings, ``reduction`` times as large as in the photo."""
    return usual_side(image, _numbers(box), reduction)


def in_photo(canvas: Canvas, found: FitResult) -> FitResult:
    """Take a fit and its parts from a face's canvas to its photo."""
    parts = {name: _in_photo(canvas, part) for name, part in found.parts.items()}
    covariance = found.covariance
    if covariance is not None:
        covariance = canvas.spread_in_photo(np.asarray(covariance)).astype(np.asarray(covariance).dtype)
    return replace(_in_photo(canvas, found), parts=parts, covariance=covariance)


def _in_photo(canvas: Canvas, found: Fit) -> Fit:
    params, landmarks = found.params, np.asarray(found.landmarks)
    dtype = landmarks.dtype
    rotation = _turned(params.rotation, np.asarray(canvas.roll, dtype)) if canvas.roll else params.rotation
    translation = canvas.in_photo(np.asarray(params.translation)).astype(dtype)
    scale = np.asarray(params.scale / canvas.scale, dtype)
    moved = replace(params, scale=scale, rotation=np.asarray(rotation), translation=translation)
    return replace(found, landmarks=canvas.in_photo(landmarks).astype(dtype), params=moved)


@keep
def _turned(
    rotation: Float[Array | np.ndarray, "3"], roll: Float[Array | np.ndarray, ""]
) -> Float[Array, "3"]:
    """Turn the Euler angles of a head by ``roll`` in the image plane."""
    in_plane = euler_to_matrix(jnp.stack([jnp.zeros_like(roll), jnp.zeros_like(roll), jnp.asarray(roll)]))
    return matrix_to_euler(in_plane @ euler_to_matrix(jnp.asarray(rotation)))
